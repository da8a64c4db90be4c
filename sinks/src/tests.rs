//! What must hold of the sink whatever happens: every row once, positions that tell the truth.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use ringlake_transform::{LogPartition, OffsetRange, Positions, tables};

use crate::testing::*;
use crate::{Progress, Sink, SinkError};

const ALL: [&str; 3] = ["call_participants", "field_changes", "calls"];

fn at(log: &LogPartition, last: i64) -> Positions {
    Positions::from_iter([(log.clone(), last)])
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_back() {
    let (folder, log) = (folder(), calls_log());
    let mut sink = sink(&folder).await;
    assert!(sink.positions().is_empty());
    let written = sink.write(calls(&log, 0, 99)).await.unwrap();
    assert_eq!(written.rows, 300);
    // March to June: one file a month and table.
    assert_eq!(written.files, 12);
    for table in ALL {
        assert_eq!(census(&folder, table).await, (100, 100, 0, 99), "{table}");
    }
    assert!(!exists(&folder, "deals"), "a table without rows is not made");
    assert_eq!(sink.positions(), at(&log, 99));
    assert_eq!(written.versions["calls"], 1);

    let june =
        ask(&folder, "calls", "SELECT count(*) FROM table WHERE event_month = '2026-06'").await;
    assert_eq!(june[0].column(0).as_primitive::<Int64Type>().value(0), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_adds_nothing() {
    let (folder, log) = (folder(), calls_log());
    let mut sink = sink(&folder).await;
    sink.write(calls(&log, 0, 9)).await.unwrap();
    let again = sink.write(calls(&log, 0, 9)).await.unwrap();
    assert_eq!((again.rows, again.files), (0, 0));
    drop(sink);

    let mut restarted = self::sink(&folder).await;
    let partly = restarted.write(calls(&log, 5, 14)).await.unwrap();
    assert_eq!(partly.rows, 15, "five new rows in each of three tables");
    for table in ALL {
        assert_eq!(census(&folder, table).await, (15, 15, 0, 14), "{table}");
        assert_eq!(commits(&folder, table).len(), 3, "made, first batch, second batch");
    }
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
async fn gaps_and_empty_batches_move_the_position() {
    let (folder, log) = (folder(), calls_log());
    let mut sink = sink(&folder).await;
    let table = rows(&tables::CALLS, &log, &[3, 7]);
    sink.write(batch(&log, 0, 9, vec![table])).await.unwrap();
    sink.write(batch(&log, 50, 80, vec![])).await.unwrap();
    assert_eq!(sink.positions(), at(&log, 80));
    assert_eq!(commits(&folder, "calls").len(), 2, "a quiet table gets no commit");
    // Offset 60 is behind `progress`, but the table has no row of it: nothing was ever lost.
    let late = rows(&tables::CALLS, &log, &[90]);
    sink.write(batch(&log, 81, 95, vec![late])).await.unwrap();
    assert_eq!(census(&folder, "calls").await, (3, 3, 3, 90));
    drop(sink);
    assert_eq!(self::sink(&folder).await.positions(), at(&log, 95));
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_added_while_it_runs() {
    let (folder, log) = (folder(), LogPartition::new("ringlake.freshsales", 2));
    let mut sink = sink(&folder).await;
    let plain = rows(&tables::DEALS, &log, &[0, 1]);
    sink.write(batch(&log, 0, 1, vec![plain])).await.unwrap();
    let grown = with_column(rows(&tables::DEALS, &log, &[2, 3]), "cf_region", "Region");
    sink.write(batch(&log, 2, 3, vec![grown])).await.unwrap();
    let without = rows(&tables::DEALS, &log, &[4]);
    sink.write(batch(&log, 4, 4, vec![without])).await.unwrap();

    let answer = ask(&folder, "deals", "SELECT cf_region FROM table ORDER BY \"offset\"").await;
    let answer = arrow::compute::concat_batches(&answer[0].schema(), &answer).unwrap();
    let texts = arrow::compute::cast(answer.column(0), &arrow::datatypes::DataType::Utf8).unwrap();
    let texts: Vec<_> = texts.as_string::<i32>().iter().collect();
    assert_eq!(texts, [None, None, Some("cf_region of 2"), Some("cf_region of 3"), None]);
    for schema in [&sink.schemas()["deals"], &self::sink(&folder).await.schemas()["deals"]] {
        let field = schema.field_with_name("cf_region").unwrap();
        assert_eq!(field.metadata()["ringlake.label"], "Region");
        assert_eq!(schema.fields().len(), tables::DEALS.schema().fields().len() + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_comes_back_as_it_was_declared() {
    let (folder, log) = (folder(), LogPartition::new("ringlake.freshsales", 0));
    let mut sink = sink(&folder).await;
    for (offset, spec) in ringlake_transform::TABLES.iter().enumerate() {
        let offset = offset as i64;
        sink.write(batch(&log, offset, offset, vec![rows(spec, &log, &[offset])])).await.unwrap();
        assert_eq!(sink.schemas()[spec.name].as_ref(), spec.schema().as_ref(), "{}", spec.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_of_another_type_is_refused_before_anything_is_written() {
    let (folder, log) = (folder(), calls_log());
    let mut sink = sink(&folder).await;
    sink.write(calls(&log, 0, 1)).await.unwrap();
    let mut wrong = rows(&tables::CALLS, &log, &[2]);
    let schema = wrong.rows.schema();
    let place = schema.index_of("agent_id").unwrap();
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    let kind = arrow::datatypes::DataType::Int64;
    fields[place] =
        std::sync::Arc::new(arrow::datatypes::Field::new("agent_id", kind.clone(), true));
    let mut columns = wrong.rows.columns().to_vec();
    columns[place] = arrow::array::new_null_array(&kind, 1);
    let schema = std::sync::Arc::new(arrow::datatypes::Schema::new(fields));
    wrong.rows = arrow::array::RecordBatch::try_new(schema, columns).unwrap();
    let error = sink.write(batch(&log, 2, 2, vec![wrong])).await.unwrap_err();
    assert!(error.must_reload());
    assert_eq!(
        error.to_string(),
        "column agent_id of table calls is agent_id string, but the rows bring agent_id long"
    );
    assert_eq!(sink.positions(), at(&log, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_names_positions_and_versions() {
    let folder = folder();
    let (a, b) = (calls_log(), LogPartition::new("ringlake.vonage", 3));
    let mut sink = sink(&folder).await;
    sink.write(calls(&a, 0, 9)).await.unwrap();
    let mut both = calls(&a, 10, 14);
    both.ranges.push((b.clone(), OffsetRange::new(0, 2)));
    both.tables.push(rows(&tables::CHANNEL_EVENTS, &b, &[0, 1, 2]));
    sink.write(both).await.unwrap();
    sink.write(calls(&a, 15, 19)).await.unwrap();

    let root = settings(&folder).root;
    let progress = Progress::load(&root, &Default::default()).await.unwrap();
    assert_eq!(progress, sink.progress());
    assert_eq!(progress.positions, Positions::from_iter([(a, 19), (b, 2)]));
    let versions: Vec<_> = progress.versions.iter().map(|(t, v)| (t.as_str(), *v)).collect();
    assert_eq!(
        versions,
        [("call_participants", 3), ("calls", 3), ("channel_events", 1), ("field_changes", 3)]
    );
    let live = ask(&folder, "progress", "SELECT topic FROM table").await;
    assert_eq!(live.iter().map(|b| b.num_rows()).sum::<usize>(), 2, "one live row a partition");
    let empty = tempfile::tempdir().unwrap();
    let nothing =
        Progress::load(empty.path().to_str().unwrap(), &Default::default()).await.unwrap();
    assert_eq!(nothing, Progress::default());
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
async fn seen_keys_are_those_since() {
    let (folder, log) = (folder(), calls_log());
    let mut sink = sink(&folder).await;
    sink.write(calls(&log, 0, 99)).await.unwrap();
    let since = MARCH + 60 * 24 * 3600 * 1_000_000;
    let mut seen = Vec::new();
    let mut collect = |key: crate::SeenKey<'_>| {
        assert!(key.received_at >= since);
        assert_eq!(key.event_key, format!("{}-{}", key.partition, key.offset));
        assert_eq!(key.system, format!("system {}", key.offset % 7));
        seen.push(key.offset);
    };
    sink.seen_keys(since, &mut collect).await.unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (60..100).collect::<Vec<_>>(), "calls only: the other two are not primary");
    let mut all = 0;
    sink.seen_keys(0, &mut |_| all += 1).await.unwrap();
    assert_eq!(all, 100);
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
    let error = Sink::open(crate::SinkSettings::new("s3://bucket/lake")).await.err().unwrap();
    assert_eq!(error.to_string(), "this build cannot reach s3:// locations");
    assert_eq!(error.hint(), "build with `--features s3`");
}

#[tokio::test(flavor = "multi_thread")]
async fn null_columns_stay_null() {
    let (folder, log) = (folder(), calls_log());
    let mut sink = sink(&folder).await;
    sink.write(calls(&log, 0, 3)).await.unwrap();
    let answer = ask(&folder, "calls", "SELECT notes FROM table").await;
    assert_eq!(answer.iter().map(|batch| batch.column(0).null_count()).sum::<usize>(), 4);
}
