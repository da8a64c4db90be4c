//! Several writers on the same tables, each with log partitions of its own.

use ringlake_transform::{FlatBatch, LogPartition, Positions, tables};

use super::ALL;
use crate::testing::*;
use crate::{Progress, Sink, SinkError, SinkSettings};

fn log(partition: i32) -> LogPartition {
    LogPartition::new("ringlake.freshcaller", partition)
}

async fn write_all(mut sink: Sink, batches: Vec<FlatBatch>) -> Sink {
    for batch in batches {
        sink.write(batch).await.unwrap();
    }
    sink
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_share_the_tables() {
    let folder = folder();
    let patient = || SinkSettings { commit_attempts: 20, ..settings(&folder) };
    let batches = |partition| (0..8).map(|n| calls(&log(partition), n * 5, n * 5 + 4)).collect();
    let (a, b) = (Sink::open(patient()).await.unwrap(), Sink::open(patient()).await.unwrap());
    let both = tokio::join!(
        tokio::spawn(write_all(a, batches(0))),
        tokio::spawn(write_all(b, batches(1))),
    );
    let mut sink = both.0.unwrap();
    for table in ALL {
        assert_eq!(census(&folder, table).await, (80, 80, 0, 39), "{table}");
    }
    sink.refresh().await.unwrap();
    assert_eq!(sink.positions(), Positions::from_iter([(log(0), 39), (log(1), 39)]));
    let progress = Progress::load(&settings(&folder).root, &Default::default()).await.unwrap();
    assert_eq!(progress, sink.progress());
    for table in ALL {
        let newest = commits(&folder, table).len() as i64 - 1;
        assert_eq!(progress.versions[table], newest, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_add_columns_at_the_same_time() {
    let folder = folder();
    let log = |partition| LogPartition::new("ringlake.freshsales", partition);
    let patient = || SinkSettings { commit_attempts: 20, ..settings(&folder) };
    let batches = |partition: i32| {
        (0..5)
            .map(|n| {
                let deals = rows(&tables::DEALS, &log(partition), &[n]);
                // One column that both bring, and one of its own.
                let deals = with_column(deals, &format!("cf_both_{n}"), "Both");
                let deals = with_column(deals, &format!("cf_own_{partition}_{n}"), "Own");
                batch(&log(partition), n, n, vec![deals])
            })
            .collect()
    };
    let (a, b) = (Sink::open(patient()).await.unwrap(), Sink::open(patient()).await.unwrap());
    let both = tokio::join!(
        tokio::spawn(write_all(a, batches(0))),
        tokio::spawn(write_all(b, batches(1))),
    );
    both.0.unwrap();
    both.1.unwrap();
    assert_eq!(census(&folder, "deals").await, (10, 10, 0, 4));
    let sink = self::sink(&folder).await;
    let new = sink.schemas()["deals"].fields().len() - tables::DEALS.schema().fields().len();
    assert_eq!(new, 15);
    let sql = "SELECT count(*) FROM table WHERE cf_both_3 IS NOT NULL AND (cf_own_0_3 IS NULL) <> (cf_own_1_3 IS NULL)";
    assert_eq!(number(&ask(&folder, "deals", sql).await), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_lost_its_partition_is_told() {
    let folder = folder();
    let mut late = sink(&folder).await;
    late.write(calls(&log(0), 0, 4)).await.unwrap();
    let mut owner = sink(&folder).await;
    owner.write(calls(&log(0), 5, 11)).await.unwrap();
    // The late one believes the tables are at 4, and has other bounds than the owner had.
    let error = late.write(calls(&log(0), 5, 9)).await.unwrap_err();
    assert!(matches!(error, SinkError::Moved { .. }), "{error}");
    assert!(error.must_reload());
    for table in ALL {
        assert_eq!(census(&folder, table).await, (12, 12, 0, 11), "{table}");
    }
    late.refresh().await.unwrap();
    assert_eq!(late.positions().get(&log(0)), Some(11));
    late.write(calls(&log(0), 12, 14)).await.unwrap();
    // The owner writes exactly what the late one wrote: the same rows, once.
    owner.write(calls(&log(0), 12, 14)).await.unwrap();
    for table in ALL {
        assert_eq!(census(&folder, table).await, (15, 15, 0, 14), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_names_legs_of_a_call_that_another_writer_wrote() {
    let folder = folder();
    let (mut a, faults) = faulty_sink(&folder).await;
    let mut b = sink(&folder).await;
    a.write(calls(&log(0), 0, 4)).await.unwrap();
    b.write(calls(&log(1), 0, 4)).await.unwrap();
    // A's batch reaches all tables but is not shown.
    faults.add("progress/_delta_log", false, 1000);
    a.write(calls(&log(0), 5, 9)).await.unwrap_err();
    // B brings calls only, on top of A's; the legs of A's calls must be in what it shows.
    let more = rows(&tables::CALLS, &log(1), &[5]);
    b.write(batch(&log(1), 5, 5, vec![more])).await.unwrap();
    let versions = b.progress().versions;
    for table in ALL {
        assert_eq!(versions[table], commits(&folder, table).len() as i64 - 1, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_other_partitions_in_a_replaced_file_stay() {
    let folder = folder();
    let (a, b) = (log(0), log(1));
    let mut first = sink(&folder).await;
    let mut both = calls(&a, 0, 4);
    both.ranges.extend(calls(&b, 0, 4).ranges);
    first.write(both).await.unwrap();
    drop(first);
    let mut second = sink(&folder).await;
    second.write(calls(&b, 5, 9)).await.unwrap();
    assert_eq!(second.positions(), Positions::from_iter([(a, 4), (b, 9)]));
    let reopened = sink(&folder).await;
    assert_eq!(reopened.positions(), second.positions());
}
