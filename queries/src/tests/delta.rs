//! Real Delta tables: the versions that `progress` names, columns that came and went, a vacuumed past.

use std::path::Path;

use arrow::array::RecordBatch;
use deltalake_core::DeltaTable;
use deltalake_core::protocol::SaveMode;
use ringlake_transform::tables;
use url::Url;

use super::{Tables, sql_csv, told};
use crate::{Engine, EngineSettings};

async fn write(root: &Path, table: &str, batches: Vec<RecordBatch>) {
    let folder = root.join(table);
    std::fs::create_dir_all(&folder).unwrap();
    let url = Url::from_directory_path(&folder).unwrap();
    let partitions = tables::by_name(table).unwrap().partition_columns();
    DeltaTable::try_from_url(url)
        .await
        .unwrap()
        .write(batches)
        .with_save_mode(SaveMode::Append)
        .with_partition_columns(partitions.iter().copied())
        .await
        .unwrap();
}

async fn write_lines(root: &Path, table: &str, lines: &str) {
    let batches = Tables::default().with(table, lines).batches.remove(table).unwrap();
    write(root, table, batches).await;
}

fn progress(partition: i32, versions: &str) -> String {
    let versions = versions.replace('"', "\\\"");
    format!(
        r#"{{"topic":"ringlake.test","partition":{partition},"position":1,"committed_at":"2026-03-01T10:00:00Z","tables":"{versions}"}}"#
    )
}

async fn open(root: &Path) -> Engine {
    let root = Url::from_directory_path(root).unwrap();
    Engine::open(EngineSettings::new(root)).await.unwrap()
}

#[tokio::test]
async fn all_tables_are_read_at_the_versions_that_progress_names() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path();
    for call in ["1", "2", "3"] {
        let line = format!(r#"{{"call_id":"{call}","event_time":"2026-03-01T10:00:00Z"}}"#);
        write_lines(root, "calls", &line).await;
    }
    write_lines(root, "deals", r#"{"id":1,"event_time":"2026-03-01T10:00:00Z"}"#).await;
    // Partition 1 stood still: what it names is older. Call 3 is of a batch that is not finished.
    let rows = [progress(0, r#"{"calls":1}"#), progress(1, r#"{"calls":0}"#)].join("\n");
    write_lines_of_progress(root, &rows).await;

    let engine = open(root).await;
    let count = "SELECT count(*) AS n, min(event_month) AS month FROM calls";
    assert_eq!(sql_csv(&engine, count).await, "n,month\n2,2026-03\n");
    assert_eq!(sql_csv(&engine, "SELECT count(*) AS n FROM calls_current").await, "n\n2\n");
    let empty = "SELECT count(*) AS n FROM deals";
    assert_eq!(sql_csv(&engine, empty).await, "n\n0\n", "deals is in no progress row yet");
    assert_eq!(engine.versions().into_iter().collect::<Vec<_>>(), [("calls".to_owned(), 1)]);
    assert_eq!(sql_csv(&engine, "SELECT count(*) AS n FROM progress").await, "n\n2\n");
    assert_eq!(engine.hint(), None);

    let by_month = "SELECT call_id FROM calls WHERE event_month = '2026-03' ORDER BY 1";
    assert_eq!(sql_csv(&engine, by_month).await, "call_id\n1\n2\n");

    assert!(engine.source().is_newest().await);
    write_lines_of_progress(root, &rows).await;
    assert!(!engine.source().is_newest().await);
    assert!(open(root).await.source().is_newest().await);
}

/// A filter without a column: Delta's scan would say that it applies it, and give every row.
#[tokio::test]
async fn a_comparison_that_is_null_for_every_row_has_none() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path();
    let told = r#"{"call_id":"1","cost":"0.1","event_time":"2026-03-01T10:00:00Z"}
        {"call_id":"2","event_time":"2026-03-01T10:00:00Z"}"#;
    write_lines(root, "calls", told).await;
    write_lines_of_progress(root, &progress(0, r#"{"calls":0}"#)).await;
    let engine = open(root).await;
    let none =
        "SELECT call_id FROM calls WHERE CASE WHEN cost IS NOT NULL THEN 'vendor' END = 'tariff'";
    assert_eq!(sql_csv(&engine, none).await, "call_id\n");
    let by_view = "SELECT call_id FROM calls_current WHERE cost_source = 'tariff'";
    assert_eq!(sql_csv(&engine, by_view).await, "call_id\n");
    assert_eq!(sql_csv(&engine, "SELECT call_id FROM call_costs").await, "call_id\n1\n");
}

async fn write_lines_of_progress(root: &Path, lines: &str) {
    let spec = tables::by_name("progress").unwrap();
    let reader = arrow::json::ReaderBuilder::new(spec.schema())
        .build(std::io::Cursor::new(lines.to_owned()))
        .unwrap();
    write(root, "progress", reader.map(Result::unwrap).collect()).await;
}

/// Each state that `progress` had can be asked again, by its version or by a time, until it is vacuumed.
#[tokio::test]
async fn the_past_is_asked_by_version_and_by_time() {
    use crate::AsOf;

    let place = tempfile::tempdir().unwrap();
    let root = place.path();
    for call in 0..4 {
        let line = format!(r#"{{"call_id":"{call}","event_time":"2026-03-01T10:00:00Z"}}"#);
        write_lines(root, "calls", &line).await;
        let row = progress(call, &format!(r#"{{"calls":{call}}}"#));
        write_lines_of_progress(root, &row.replace("10:00:00", &format!("1{call}:00:00"))).await;
    }
    let asked = async |text: &str| {
        let as_of = Some(AsOf::read(text, chrono_tz::Europe::Berlin)?);
        let url = Url::from_directory_path(root).unwrap();
        let engine = Engine::open(EngineSettings { as_of, ..EngineSettings::new(url) }).await?;
        Ok::<_, crate::QueryError>(sql_csv(&engine, "SELECT count(*) AS n FROM calls").await)
    };
    for (text, calls) in [
        ("0", 1),
        ("3", 4),
        ("2026-03-01T10:00:00Z", 1),
        ("2026-03-01 11:59", 1),
        ("2026-03-01T11:59:59.9Z", 2),
        ("2026-03-01T12:30:00Z", 3),
        ("2026-03-02", 4),
    ] {
        assert_eq!(asked(text).await.unwrap(), format!("n\n{calls}\n"), "{text}");
    }
    let error = asked("2026-03-01T09:59:59Z").await.unwrap_err();
    assert_eq!(
        told(&error),
        "there is no state of the tables as of 2026-03-01T09:59:59Z | the last seven days can be asked, by a \
         time or by a version of the table progress"
    );
    assert!(asked("4").await.unwrap_err().to_string().ends_with("as of version 4"));
    assert!(asked("soon").await.is_err());
}

#[tokio::test]
async fn columns_may_be_missing_or_more_than_declared() {
    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field};

    let place = tempfile::tempdir().unwrap();
    let root = place.path();
    let lines = r#"{"id":1,"name":"A","event_time":"2026-03-01T10:00:00Z"}"#;
    let batch = Tables::default().with("deals", lines).batches.remove("deals").unwrap().remove(0);
    // An older version of the table lacked `amount`; this account has a field of its own.
    let schema = batch.schema();
    let (mut fields, mut columns): (Vec<_>, Vec<_>) = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .filter(|(field, _)| field.name() != "amount")
        .map(|(field, column)| (field.as_ref().clone(), column.clone()))
        .unzip();
    fields.push(Field::new("cf_height", DataType::Int64, true));
    columns.push(std::sync::Arc::new(Int64Array::from(vec![5])));
    fields.push(Field::new("cf_friend", DataType::Utf8, true));
    columns.push(std::sync::Arc::new(StringArray::from(vec!["Bo"])));
    let schema = std::sync::Arc::new(arrow::datatypes::Schema::new(fields));
    write(root, "deals", vec![RecordBatch::try_new(schema, columns).unwrap()]).await;
    write_lines_of_progress(root, &progress(0, r#"{"deals":0}"#)).await;

    let engine = open(root).await;
    let sql = "SELECT id, name, amount, cf_height, cf_friend FROM deals_current";
    assert_eq!(sql_csv(&engine, sql).await, "id,name,amount,cf_height,cf_friend\n1,A,,5,Bo\n");
}

#[tokio::test]
async fn an_empty_folder_answers_with_nothing_and_a_hint() {
    let place = tempfile::tempdir().unwrap();
    for root in [place.path().to_owned(), place.path().join("not/there")] {
        let engine = open(&root).await;
        let answer = engine.sql("SELECT call_id FROM calls_current").await.unwrap();
        assert_eq!(
            answer.hint.as_deref(),
            Some("no events yet: start `ringlake serve` and send it some, or see `ringlake demo`")
        );
        for report in crate::report::REPORTS {
            let csv = super::report_csv(&engine, report.name, &[]).await;
            assert_eq!(csv.lines().count(), 1, "{csv}");
        }
        assert!(!root.join("progress").exists(), "asking made a table");
    }
}

#[tokio::test]
async fn a_version_that_is_gone_says_so() {
    let place = tempfile::tempdir().unwrap();
    write_lines_of_progress(place.path(), &progress(0, r#"{"calls":7}"#)).await;
    let error = open(place.path()).await.sql("SELECT * FROM calls").await.unwrap_err();
    assert_eq!(
        told(&error),
        "table calls has no version 7, which `progress` names | old versions were vacuumed while a reader still held them; ask again"
    );
    let place = tempfile::tempdir().unwrap();
    write_lines_of_progress(place.path(), &progress(0, "nonsense")).await;
    let root = Url::from_directory_path(place.path()).unwrap();
    let error = Engine::open(EngineSettings::new(root)).await.unwrap_err();
    assert_eq!(
        told(&error),
        "`progress` cannot be read: tables \"nonsense\": expected ident at line 1 column 2"
    );
}
