//! The files of an export: formats, folders by value, and the same bytes whatever computed them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::exports::{at, spec};
use super::{Tables, request, told};
use crate::exports::{ExportPeriod, ExportSource, ExportSpec, run};
use crate::{Engine, Format};

const TIME: &str = "2026-04-01T04:15:00Z";

fn sql(folder: &Path, sql: &str) -> ExportSpec {
    spec(folder, "@daily", ExportPeriod::All, ExportSource::Sql(sql.to_owned()))
}

fn calls() -> Tables {
    let mut lines = String::new();
    for call in 0..60 {
        let (agent, day) = (call % 4, 1 + call % 3);
        let cost =
            if call % 5 == 0 { String::new() } else { format!(r#","cost":{}.25"#, call / 2) };
        lines.push_str(&format!(
            r#"{{"call_id":"{call}","agent_id":"{agent}","talk_seconds":60,"currency":"EUR"{cost},"event_time":"2026-03-0{day}T10:00:00Z"}}"#
        ));
        lines.push('\n');
    }
    Tables::default().with("calls", &lines)
}

/// All files below a folder by their path in it, manifests left out.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(folder, &mut found);
    let below = |path: &PathBuf| path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
    let data = found.iter().filter(|path| !path.ends_with("manifest.json"));
    data.map(|path| (below(path), fs::read(path).unwrap())).collect()
}

#[tokio::test]
async fn each_format_has_the_same_rows() {
    let place = tempfile::tempdir().unwrap();
    let text = "SELECT call_id, cost, currency FROM calls_current WHERE call_id IN ('5', '7')";
    for format in ExportSpec::FORMATS {
        let spec = ExportSpec { format, ..sql(&place.path().join(format.name()), text) };
        let manifest = run(&calls().engine(), &spec, at(TIME)).await.unwrap();
        assert_eq!((manifest.rows, manifest.format.as_str()), (2, format.name()));
        let folder = PathBuf::from(&manifest.folder);
        let name = format!("part-00000.{}", format.name());
        assert_eq!(manifest.files[0].path, name);
        let bytes = fs::read(folder.join(name)).unwrap();
        match format {
            Format::Csv => assert_eq!(
                String::from_utf8(bytes).unwrap(),
                "call_id,cost,currency\n5,,\n7,3.25,EUR\n"
            ),
            Format::Arrow => {
                let reader =
                    arrow::ipc::reader::FileReader::try_new(std::io::Cursor::new(bytes), None);
                let batch = reader.unwrap().next().unwrap().unwrap();
                assert_eq!((batch.num_rows(), batch.num_columns()), (2, 3));
                assert_eq!(batch.column(1).null_count(), 1);
            }
            _ => assert_eq!(&bytes[..4], b"PAR1"),
        }
    }
}

#[tokio::test]
async fn values_become_folders_and_none_leads_elsewhere() {
    let place = tempfile::tempdir().unwrap();
    let text = "SELECT * FROM (VALUES ('../../x', 1), ('a b/c', 2), (NULL, 3), ('', 4), \
                ('__HIVE_DEFAULT_PARTITION__', 5), ('Zürich', 6), ('a b/c', 7), ('..', 8)) AS t(\"to/wn\", n)";
    let partition_by = vec!["to/wn".to_owned()];
    let spec = ExportSpec { format: Format::Csv, partition_by, ..sql(place.path(), text) };
    let manifest = run(&calls().engine(), &spec, at(TIME)).await.unwrap();
    assert_eq!((manifest.rows, manifest.files.len()), (8, 7));
    let found = files(Path::new(&manifest.folder));
    let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
    let found: Vec<(String, String)> =
        found.iter().map(|(path, b)| (path.clone(), text(b))).collect();
    let part = |folder: &str, rows: &str| {
        (format!("to%2Fwn={folder}/part-00000.csv"), format!("n\n{rows}\n"))
    };
    let mut expected = [
        part("..%2F..%2Fx", "1"),
        part("a%20b%2Fc", "2\n7"),
        part("__HIVE_DEFAULT_PARTITION__", "3"),
        part("", "4"),
        part("%5F_HIVE_DEFAULT_PARTITION__", "5"),
        part("Z%C3%BCrich", "6"),
        part("..", "8"),
    ];
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn folders_hold_a_report_without_their_columns() {
    let place = tempfile::tempdir().unwrap();
    let report = ExportSource::Report(request("call-cost", &[("by", "agent,day")]));
    let mut spec = spec(place.path(), "@daily", ExportPeriod::All, report);
    spec.partition_by = vec!["day".to_owned(), "agent".to_owned()];
    let manifest = run(&calls().engine(), &spec, at(TIME)).await.unwrap();
    assert_eq!(manifest.files.len(), 12);
    let first = &manifest.files[0];
    assert_eq!(first.path, "day=2026-03-01/agent=0/part-00000.parquet");
    let bytes = fs::read(Path::new(&manifest.folder).join(&first.path)).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
    let names: Vec<&str> = reader.schema().fields().iter().map(|f| f.name().as_str()).collect();
    assert!(names.contains(&"cost") && !names.contains(&"day") && !names.contains(&"agent"));

    for (by, says) in [
        (vec!["dya"], "unknown column \"dya\" | did you mean day?"),
        (vec!["day", "day"], "export daily-costs: partition_by names a column twice"),
    ] {
        spec.partition_by = by.into_iter().map(str::to_owned).collect();
        let error = run(&calls().engine(), &spec, at("2026-04-02T04:15:00Z")).await.unwrap_err();
        assert!(told(&error).starts_with(says), "{}", told(&error));
    }
    let all =
        ExportSpec { partition_by: vec!["n".to_owned()], ..sql(place.path(), "SELECT 1 AS n") };
    let error = run(&calls().engine(), &all, at("2026-04-02T04:15:00Z")).await.unwrap_err();
    assert!(error.to_string().contains("at least one has to stay"), "{error}");
    assert_eq!(spec.finished().await.unwrap().len(), 1, "nothing half written");
    assert_eq!(fs::read_dir(place.path().join("daily-costs")).unwrap().count(), 1);
}

/// Computed by so many threads' worth of partitions.
fn with_partitions(engine: Engine, partitions: usize) -> Engine {
    let state = engine.context().state_ref();
    state.write().config_mut().options_mut().execution.target_partitions = partitions;
    engine
}

/// The rows come in another order, in other batches, and are computed by other numbers of threads.
#[tokio::test]
async fn the_same_rows_are_the_same_bytes() {
    let statements = [
        ("SELECT call_id, cost, agent_id, started_at FROM calls_current", "agent_id"),
        ("SELECT agent_id, cost FROM calls_current ORDER BY agent_id DESC", "agent_id"),
        ("SELECT agent_id, call_id FROM calls_current ORDER BY cost", "agent_id"),
        ("SELECT call_id, agent_id FROM calls_current ORDER BY agent_id LIMIT 7", "agent_id"),
        ("SELECT call_id, agent_id FROM calls_current LIMIT 9", "agent_id"),
        ("SELECT agent_id, sum(cost) AS cost FROM calls_current GROUP BY 1", "agent_id"),
        ("SELECT DISTINCT currency, cost FROM calls_current WHERE cost > 5", "currency"),
        ("SELECT call_id FROM calls_current UNION ALL SELECT agent_id FROM calls_current", ""),
        ("SELECT event_time, CASE WHEN cost > 9 THEN cost END AS dear FROM calls", "event_time"),
    ];
    for (number, (text, by)) in statements.into_iter().enumerate() {
        let format = ExportSpec::FORMATS[number % 3];
        let by = Some(by.to_owned()).filter(|by| !by.is_empty());
        for partition_by in [Vec::new(), Vec::from_iter(by)] {
            let mut seen = Vec::new();
            for (tables, partitions) in
                [(calls(), 1), (calls().shuffled(), 2), (calls().shuffled(), 7)]
            {
                let place = tempfile::tempdir().unwrap();
                let partition_by = partition_by.clone();
                let spec = ExportSpec { format, partition_by, ..sql(place.path(), text) };
                let engine = with_partitions(tables.engine(), partitions);
                let manifest = run(&engine, &spec, at(TIME)).await.unwrap();
                assert!(manifest.rows > 0, "{text}");
                seen.push(files(Path::new(&manifest.folder)));
            }
            seen.dedup();
            assert_eq!(seen.len(), 1, "{text} as {} by {partition_by:?}", format.name());
        }
    }
}

/// The order that a statement asks for stays the first.
#[tokio::test]
async fn an_order_that_was_asked_for_stays() {
    let place = tempfile::tempdir().unwrap();
    let text = "SELECT call_id, agent_id FROM calls_current WHERE call_id IN ('1','2','5','6') \
                ORDER BY agent_id DESC";
    let spec = ExportSpec { format: Format::Csv, ..sql(place.path(), text) };
    let manifest = run(&calls().shuffled().engine(), &spec, at(TIME)).await.unwrap();
    let bytes = fs::read(Path::new(&manifest.folder).join("part-00000.csv")).unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), "call_id,agent_id\n2,2\n6,2\n1,1\n5,1\n");
}
