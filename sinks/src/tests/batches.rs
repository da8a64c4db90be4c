//! Batches in, rows out: replays, gaps, new columns, and what `progress` says.

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use ringlake_transform::letters::LetterRow;
use ringlake_transform::{LogPartition, OffsetRange, Positions, tables};

use super::ALL;
use crate::Progress;
use crate::testing::*;

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
async fn seen_keys_are_those_of_a_time() {
    let (folder, log) = (folder(), calls_log());
    let mut sink = sink(&folder).await;
    sink.write(calls(&log, 0, 99)).await.unwrap();
    let day = |n: i64| MARCH + n * 24 * 3600 * 1_000_000;
    let time = day(60)..=day(90) - 1;
    let mut seen = Vec::new();
    let mut collect = |key: crate::SeenKey<'_>| {
        assert!(time.contains(&key.received_at));
        assert_eq!(key.event_key, format!("{}-{}", key.partition, key.offset));
        assert_eq!(key.system, format!("system {}", key.offset % 7));
        seen.push(key.offset);
    };
    sink.seen_keys(time.clone(), &mut collect).await.unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (60..90).collect::<Vec<_>>(), "calls only: the other two are not primary");
    let mut all = 0;
    sink.seen_keys(0..=i64::MAX, &mut |_| all += 1).await.unwrap();
    assert_eq!(all, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_come_back_with_their_states() {
    let (folder, log) = (folder(), calls_log());
    let mut sink = sink(&folder).await;
    sink.letters(0..=i64::MAX, &mut |_| panic!("there is no table yet")).await.unwrap();
    let letters = rows(&tables::DEAD_LETTERS, &log, &[3, 40]);
    sink.write(batch(&log, 0, 40, vec![letters])).await.unwrap();
    let mut found = Vec::new();
    let mut collect = |row: LetterRow<'_>| {
        assert_eq!(*row.partition, log);
        found.push((row.id.to_owned(), row.retried_at, row.outcome.map(str::to_owned), row.offset));
    };
    let day = |n: i64| MARCH + n * 24 * 3600 * 1_000_000;
    sink.letters(day(30)..=day(50), &mut collect).await.unwrap();
    let expected = ("id 5".to_owned(), Some(day(40) + 40), Some("outcome 5".to_owned()), 40);
    assert_eq!(found, [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn null_columns_stay_null() {
    let (folder, log) = (folder(), calls_log());
    let mut sink = sink(&folder).await;
    sink.write(calls(&log, 0, 3)).await.unwrap();
    let answer = ask(&folder, "calls", "SELECT notes FROM table").await;
    assert_eq!(answer.iter().map(|batch| batch.column(0).null_count()).sum::<usize>(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_imports_leave_few_files_of_progress() {
    let folder = folder();
    let mut sink = sink(&folder).await;
    for n in 0..40 {
        let import = LogPartition::new(format!("import:{n:032x}"), 0);
        sink.write(batch(&import, 0, n, vec![])).await.unwrap();
    }
    assert_eq!(sink.positions().iter().count(), 40);
    drop(sink);
    let sink = self::sink(&folder).await;
    assert_eq!(sink.positions().iter().map(|(_, last)| last).sum::<i64>(), 39 * 40 / 2);
    let path = folder.path().join("tables/progress").canonicalize().unwrap();
    let url = url::Url::from_directory_path(path).unwrap();
    let delta = deltalake_core::open_table(url).await.unwrap();
    assert!(delta.get_file_uris().unwrap().count() <= 17);
}
