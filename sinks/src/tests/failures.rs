//! Crashes, errors and damage: nothing lost, nothing twice, nothing believed that is not there.

use ringlake_transform::{LogPartition, Positions};

use super::ALL;
use crate::testing::*;
use crate::{Sink, SinkError};

fn at(log: &LogPartition, last: i64) -> Positions {
    Positions::from_iter([(log.clone(), last)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_tables_is_made_good() {
    for failing in ["/call_participants/", "/field_changes/", "/calls/", "/progress/"] {
        let (folder, log) = (folder(), calls_log());
        let (mut sink, faults) = faulty_sink(&folder).await;
        sink.write(calls(&log, 0, 9)).await.unwrap();
        faults.add(&format!("{failing}_delta_log"), false, 100);
        sink.write(calls(&log, 10, 19)).await.unwrap_err();
        assert_eq!(sink.positions(), at(&log, 9), "{failing}");
        drop(sink);

        let mut restarted = self::sink(&folder).await;
        assert_eq!(restarted.positions(), at(&log, 9));
        // The log is read again in other pieces than before.
        restarted.write(calls(&log, 10, 14)).await.unwrap();
        restarted.write(calls(&log, 15, 24)).await.unwrap();
        for table in ALL {
            assert_eq!(census(&folder, table).await, (25, 25, 0, 24), "{failing} {table}");
        }
        assert_eq!(restarted.positions(), at(&log, 24));
    }
}

/// Of two who create one commit both would believe that it is theirs.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_lets_two_create_one_name_is_refused_before_anything_is_written() {
    let folder = folder();
    let error = overwriting_sink(&folder).await.err().unwrap();
    assert!(matches!(error, SinkError::NotExclusive { .. }), "{error}");
    assert!(ALL.iter().all(|table| !exists(&folder, table)));
    sink(&folder).await.write(calls(&calls_log(), 0, 9)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_sink_goes_on_after_an_error() {
    let (folder, log) = (folder(), calls_log());
    let (mut sink, faults) = faulty_sink(&folder).await;
    for failing in ["calls/_delta_log", "progress/part", "field_changes/event_month"] {
        let first = sink.positions().get(&log).map_or(0, |last| last + 1);
        faults.add(failing, false, 100);
        let error = sink.write(calls(&log, first, first + 4)).await.unwrap_err();
        assert!(!error.must_reload(), "{error}");
        faults.clear();
        sink.write(calls(&log, first, first + 4)).await.unwrap();
    }
    for table in ALL {
        assert_eq!(census(&folder, table).await, (15, 15, 0, 14), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_after_the_commit_landed_is_no_error() {
    let (folder, log) = (folder(), calls_log());
    let (mut sink, faults) = faulty_sink(&folder).await;
    sink.write(calls(&log, 0, 4)).await.unwrap();
    faults.add("calls/_delta_log", true, 1);
    faults.add("progress/_delta_log", true, 1);
    faults.add("field_changes/_delta_log", false, 1);
    let written = sink.write(calls(&log, 5, 9)).await.unwrap();
    assert_eq!(written.rows, 15);
    for table in ALL {
        assert_eq!(census(&folder, table).await, (10, 10, 0, 9), "{table}");
    }
    assert_eq!(sink.positions(), at(&log, 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_newest_commit_is_refused() {
    for (length, what) in [(0, "is empty"), (300, "is cut short")] {
        let (folder, log) = (folder(), calls_log());
        let mut sink = sink(&folder).await;
        sink.write(calls(&log, 0, 9)).await.unwrap();
        drop(sink);
        let newest = commits(&folder, "calls").pop().unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&newest).unwrap();
        file.set_len(length).unwrap();
        let error = Sink::open(settings(&folder)).await.err().unwrap();
        assert!(matches!(error, SinkError::TornCommit { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("00000000000000000001.json of table calls"), "{text}");
        assert!(text.contains(what), "{text}");

        // What the hint says: away with it, and the replay makes the rows anew.
        std::fs::remove_file(newest).unwrap();
        let mut sink = self::sink(&folder).await;
        sink.write(calls(&log, 0, 9)).await.unwrap();
        assert_eq!(census(&folder, "calls").await, (10, 10, 0, 9));
        assert_eq!(census(&folder, "call_participants").await, (10, 10, 0, 9));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_forgets_positions_is_refused() {
    let (folder, log) = (folder(), calls_log());
    let mut sink = sink(&folder).await;
    sink.write(calls(&log, 0, 1)).await.unwrap();
    drop(sink);
    let first = commits(&folder, "calls").remove(0);
    let text = std::fs::read_to_string(&first).unwrap();
    let key = "\"delta.logRetentionDuration\"";
    let more = format!("\"delta.setTransactionRetentionDuration\":\"interval 1 days\",{key}");
    std::fs::write(&first, text.replace(key, &more)).unwrap();
    let error = Sink::open(settings(&folder)).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "table calls forgets log positions: it sets delta.setTransactionRetentionDuration"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_call_is_still_written() {
    let (folder, log) = (folder(), calls_log());
    let mut sink = sink(&folder).await;
    {
        let write = sink.write(calls(&log, 0, 9));
        let given_up = tokio::time::timeout(std::time::Duration::from_millis(1), write).await;
        assert!(given_up.is_err());
    }
    sink.write(calls(&log, 10, 19)).await.unwrap();
    for table in ALL {
        assert_eq!(census(&folder, table).await, (20, 20, 0, 19), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_and_its_folder_are_synced() {
    let (folder, log) = (folder(), calls_log());
    let settings = settings(&folder);
    let root = crate::root::Root::open(&settings.root, &settings.storage_options).unwrap();
    let durable = root.durable().unwrap().clone();
    let mut sink = Sink::open_at(root, settings).await.unwrap();
    sink.write(calls(&log, 0, 1)).await.unwrap();
    let before = durable.syncs();
    sink.write(calls(&log, 2, 3)).await.unwrap();
    let after = durable.syncs();
    // Three tables and progress, each a Parquet file and a commit.
    assert_eq!((after.0 - before.0, after.1 - before.1), (8, 8));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_scheme_names_the_feature() {
    let error = Sink::open(crate::SinkSettings::new("gs://bucket/lake")).await.err().unwrap();
    assert_eq!(error.to_string(), "this build cannot reach gs:// locations");
    assert_eq!(error.hint(), "build with `--features ringlake-sinks/gcs`");
}

/// A deterministic stream of small numbers.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_every_row_is_there_once() {
    for seed in 0..6 {
        let (folder, log) = (folder(), calls_log());
        let mut dice = Dice(seed);
        let (mut sink, mut faults) = faulty_sink(&folder).await;
        let end = 60;
        loop {
            let next = sink.positions().get(&log).map_or(0, |last| last + 1);
            if next > end {
                break;
            }
            let last = (next + dice.roll(9) as i64).min(end);
            let table = ["call_participants", "field_changes", "calls", "progress"];
            let table = table[dice.roll(4) as usize];
            let part = ["/_delta_log/", "/event_month", "/part-"][dice.roll(3) as usize];
            faults.clear();
            if dice.roll(2) == 0 {
                let times = [1, 1, 2, 1000][dice.roll(4) as usize];
                faults.add(&format!("/{table}{part}"), dice.roll(2) == 0, times);
            }
            let result = sink.write(calls(&log, next, last)).await;
            assert!(!result.as_ref().is_err_and(SinkError::must_reload), "seed {seed}: {result:?}");
            if dice.roll(3) == 0 {
                (sink, faults) = faulty_sink(&folder).await;
            }
        }
        for table in ALL {
            assert_eq!(census(&folder, table).await, (61, 61, 0, 60), "seed {seed}, {table}");
        }
    }
}
