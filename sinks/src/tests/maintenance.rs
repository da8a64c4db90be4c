//! Tidying must not lose a row, a position or a version that readers may still ask for.

use std::collections::HashSet;
use std::time::Duration;

use ringlake_transform::{LogPartition, Positions, tables};

use super::ALL;
use crate::delta::maintain::Maintained;
use crate::testing::*;
use crate::{Progress, Sink, SinkSettings, Upkeep, Vacuumed};

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
        done.add(sink.committer().maintain().await.unwrap());
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
        done.add(sink.committer().maintain().await.unwrap());
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
    sink.committer().maintain().await.unwrap_err();
    sink.write(batch(&other, 0, 3, vec![])).await.unwrap();
    faults.clear();
    assert_eq!(sink.committer().maintain().await.unwrap().checkpoints, 1);
    assert_eq!(sink.positions(), Positions::from_iter([(log, 51), (other, 3)]));
}

/// Small files of several batches, some of them with a column of their own.
async fn many_small(folder: &tempfile::TempDir, log: &LogPartition) -> Sink {
    let mut sink = sink(folder).await;
    for n in 0..8 {
        let offsets: Vec<i64> = (n * 5..n * 5 + 5).collect();
        let mut deals = rows(&tables::DEALS, log, &offsets);
        if n % 2 == 1 {
            deals = with_column(deals, "cf_area", "Area");
        }
        let calls = rows(&tables::CALLS, log, &offsets);
        sink.write(batch(log, n * 5, n * 5 + 4, vec![calls, deals])).await.unwrap();
    }
    sink
}

async fn sums(folder: &tempfile::TempDir, table: &str) -> Vec<String> {
    let sql = "SELECT * FROM table ORDER BY \"offset\"";
    let rows = ask(folder, table, sql).await;
    let shown = arrow::util::pretty::pretty_format_batches(&rows).unwrap();
    shown.to_string().lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_keeps_rows_positions_and_versions() {
    let (folder, log) = (folder(), calls_log());
    let mut writer = many_small(&folder, &log).await;
    let before = (sums(&folder, "calls").await, sums(&folder, "deals").await);
    let shown = writer.progress().versions;
    let mut upkeep = Upkeep::open(settings(&folder)).await.unwrap();
    let done = upkeep.compact(2, &|_| {}).await.unwrap();
    // A batch at the turn of the month left two files a table.
    assert_eq!((done.files, done.rows), (18, 80), "{done:?}");
    assert_eq!(done.became, 4, "two tables, two months: {done:?}");
    assert_eq!((sums(&folder, "calls").await, sums(&folder, "deals").await), before);
    // Readers are shown the new versions, at the same positions.
    let progress = Progress::load(&settings(&folder).root, &Default::default()).await.unwrap();
    assert_eq!(progress.positions, Positions::from_iter([(log.clone(), 39)]));
    assert!(progress.versions["calls"] > shown["calls"], "{progress:?}");
    // The writer knows nothing of it, and goes on.
    let offsets: Vec<i64> = (40..45).collect();
    writer.write(batch(&log, 38, 44, vec![rows(&tables::CALLS, &log, &offsets)])).await.unwrap();
    assert_eq!(census(&folder, "calls").await, (45, 45, 0, 44));
    assert_eq!(upkeep.compact(8, &|_| {}).await.unwrap().files, 0, "nothing small is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_that_lost_its_files_leaves_the_table_alone() {
    let (folder, log) = (folder(), calls_log());
    let mut writer = many_small(&folder, &log).await;
    let (one, other) = (settings(&folder), settings(&folder));
    let (one, other) = tokio::join!(
        async { Upkeep::open(one).await.unwrap().compact(2, &|_| {}).await.unwrap() },
        async { Upkeep::open(other).await.unwrap().compact(2, &|_| {}).await.unwrap() },
    );
    assert!(one.files + other.files >= 16, "{one:?} {other:?}");
    writer.refresh().await.unwrap();
    for table in ["calls", "deals"] {
        assert_eq!(census(&folder, table).await, (40, 40, 0, 39), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn vacuum_deletes_what_is_out_of_reach_and_nothing_else() {
    let (folder, log) = (folder(), calls_log());
    let _writer = many_small(&folder, &log).await;
    let mut upkeep = Upkeep::open(settings(&folder)).await.unwrap();
    upkeep.compact(2, &|_| {}).await.unwrap();
    let before = sums(&folder, "deals").await;
    let week = Duration::from_secs(7 * 24 * 3600);
    let none = HashSet::new();
    assert_eq!(upkeep.vacuum(week, &none, false).await.unwrap(), Vacuumed::default());
    let dry = upkeep.vacuum(Duration::ZERO, &none, true).await.unwrap();
    assert_eq!(dry.files, 18, "{dry:?}");
    assert_eq!(upkeep.vacuum(Duration::ZERO, &none, true).await.unwrap(), dry, "it was dry");
    assert!(upkeep.vacuum(Duration::ZERO, &none, false).await.unwrap().files >= 18);
    assert_eq!(sums(&folder, "deals").await, before);
    assert_eq!(census(&folder, "calls").await, (40, 40, 0, 39));
}
