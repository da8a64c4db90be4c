//! Tidying must not lose a row, a position or a version that readers may still ask for.

use std::time::Duration;

use ringlake_transform::{LogPartition, Positions};

use super::ALL;
use crate::delta::maintain::Maintained;
use crate::testing::*;
use crate::{Sink, SinkSettings};

fn files(folder: &tempfile::TempDir, table: &str) -> usize {
    let path = folder.path().join("tables").join(table);
    let names = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.extension().is_some_and(|e| e == "parquet")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_keep_rows_and_positions() {
    let (folder, log) = (folder(), calls_log());
    let settings = || SinkSettings { checkpoint_every: 4, ..settings(&folder) };
    let mut sink = Sink::open(settings()).await.unwrap();
    let mut done = Maintained::default();
    for n in 0..10 {
        sink.write(calls(&log, n * 5, n * 5 + 4)).await.unwrap();
        done.add(sink.maintain().await.unwrap());
    }
    // Four tables, each after its commits 4 and 8; nothing is old enough to go.
    assert_eq!(done, Maintained { checkpoints: 8, log_files: 0, files: 0 });
    sink.write(calls(&log, 40, 49)).await.unwrap();
    drop(sink);
    let mut sink = Sink::open(settings()).await.unwrap();
    assert_eq!(sink.positions(), Positions::from_iter([(log.clone(), 49)]));
    let again = sink.write(calls(&log, 45, 54)).await.unwrap();
    assert_eq!(again.rows, 15);
    for table in ALL {
        assert_eq!(census(&folder, table).await, (55, 55, 0, 54), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_log_entries_and_progress_files_go() {
    let (folder, log) = (folder(), calls_log());
    let settings =
        SinkSettings { checkpoint_every: 3, history: Duration::ZERO, ..settings(&folder) };
    let mut sink = Sink::open(settings.clone()).await.unwrap();
    let mut done = Maintained::default();
    for n in 0..12 {
        sink.write(calls(&log, n * 5, n * 5 + 4)).await.unwrap();
        done.add(sink.maintain().await.unwrap());
    }
    assert!(done.log_files > 20, "{done:?}");
    assert!(done.files > 5, "{done:?}");
    assert!(commits(&folder, "calls").len() < 6);
    assert!(files(&folder, "progress") < 6);
    drop(sink);
    let mut sink = Sink::open(settings).await.unwrap();
    sink.write(calls(&log, 55, 64)).await.unwrap();
    assert_eq!(sink.positions(), Positions::from_iter([(log, 64)]));
    for table in ALL {
        assert_eq!(census(&folder, table).await, (65, 65, 0, 64), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_checkpoint_harms_no_commit() {
    let (folder, log) = (folder(), calls_log());
    let (mut sink, faults) = faulty_sink(&folder).await;
    faults.add("checkpoint", false, 1000);
    for n in 0..52 {
        sink.write(batch(&log, n, n, vec![])).await.unwrap();
    }
    let other = LogPartition::new("ringlake.vonage", 0);
    sink.maintain().await.unwrap_err();
    sink.write(batch(&other, 0, 3, vec![])).await.unwrap();
    faults.clear();
    assert_eq!(sink.maintain().await.unwrap().checkpoints, 1);
    assert_eq!(sink.positions(), Positions::from_iter([(log, 51), (other, 3)]));
}
