//! One suite over all systems and all fixtures: each payload becomes exactly the rows written beside
//! it, as `<name>.rows.ndjson`.
//!
//! `RINGLAKE_UPDATE_GOLDEN=1 cargo test conformance` writes those files anew; read the difference
//! before committing it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::batch::FlatBatch;
use crate::event::{LogPartition, RawBatch, RawEvent};
use crate::flatten::Flattener;
use crate::offsets::OffsetRange;
use crate::systems::{self, Request, SYSTEMS, System};

/// 2026-03-01T00:00:00Z.
const RECEIVED_AT: i64 = 1_772_323_200_000_000;

fn fixtures(system: &dyn System) -> Vec<PathBuf> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(system.name());
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{} needs fixtures: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.to_string_lossy().ends_with(".rows.ndjson"))
        .collect();
    paths.sort();
    paths
}

/// The way an event takes: split at the door, then flattened from the log.
pub(crate) fn rows_of(system: &'static dyn System, route: Option<&str>, body: &[u8]) -> FlatBatch {
    let request = Request { body: Bytes::copy_from_slice(body), ..Request::default() };
    let events: Vec<RawEvent> = system
        .split(&request)
        .into_iter()
        .enumerate()
        .map(|(offset, event)| RawEvent {
            offset: offset as i64,
            received_at: RECEIVED_AT,
            route: route.map(Arc::from),
            body: event.body,
            resolution: None,
            damaged: false,
        })
        .collect();
    let range = OffsetRange::new(0, events.len() as i64 - 1);
    let partition = LogPartition::new(format!("ringlake.{}", system.name()), 0);
    Flattener::default().flatten(vec![RawBatch { partition, system, range, events }])
}

pub(crate) fn ndjson(flat: &FlatBatch) -> String {
    let mut out = String::new();
    for table in &flat.tables {
        let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
        writer.write(&table.rows).unwrap();
        writer.finish().unwrap();
        for line in String::from_utf8(writer.into_inner()).unwrap().lines() {
            out.push_str(&format!("{{\"table\":\"{}\",\"row\":{line}}}\n", table.table.name));
        }
    }
    out
}

#[test]
fn every_fixture_becomes_its_rows() {
    let update = std::env::var_os("RINGLAKE_UPDATE_GOLDEN").is_some();
    for system in SYSTEMS.iter().copied() {
        for path in fixtures(system) {
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            let route = system.routes().iter().copied().find(|route| *route == stem);
            let flat = rows_of(system, route, &fs::read(&path).unwrap());
            assert_eq!(flat.counts.written, 1, "{}: {flat:?}", path.display());
            let golden = path.with_file_name(format!("{stem}.rows.ndjson"));
            let got = ndjson(&flat);
            if update {
                fs::write(&golden, &got).unwrap();
            }
            let expected = fs::read_to_string(&golden).unwrap_or_default();
            assert_eq!(got, expected, "{}", golden.display());
        }
    }
}

#[test]
fn either_freshworks_route_takes_any_freshworks_event() {
    let call = fs::read(&fixtures(systems::by_name("freshcaller").unwrap())[1]).unwrap();
    let by_name = |name| ndjson(&rows_of(systems::by_name(name).unwrap(), None, &call));
    assert_eq!(
        by_name("freshsales").replace("ringlake.freshsales", "ringlake.freshcaller"),
        by_name("freshcaller")
    );
}

#[test]
fn bytes_of_any_kind_are_dead_letters_and_never_a_crash() {
    let deep = "[".repeat(10_000);
    let digits = format!(
        "{{\"event\":\"onCallUpdate\",\"timestamp\":1{},\"data\":{{\"call\":{{\"id\":1}}}}}}",
        "0".repeat(1_000)
    );
    for system in SYSTEMS.iter().copied() {
        for body in [
            b"\xff\xfe".as_slice(),
            b"{",
            b"null",
            b"{\"event\":\"onNothing\",\"data\":{}}",
            deep.as_bytes(),
            b"\0",
        ] {
            let counts = rows_of(system, None, body).counts;
            assert_eq!(
                (counts.received, counts.dead_lettered),
                (1, 1),
                "{} {body:?}",
                system.name()
            );
        }
        assert_eq!(rows_of(system, None, digits.as_bytes()).counts.received, 1);
    }
}

#[test]
fn iparams_reach_no_row() {
    for system in SYSTEMS.iter().copied() {
        for path in fixtures(system).iter().filter(|path| path.extension().unwrap() == "json") {
            let text = fs::read_to_string(path).unwrap();
            let at = text.find('{').unwrap() + 1;
            for body in [
                format!("{}\"iparams\":{{\"key\":\"s3cret\"}},{}", &text[..at], &text[at..]),
                format!(
                    "{}\"iparams\":{{\"key\":\"s3cret\"}},{}",
                    &text[..at],
                    &text[at..text.len() - 9]
                ),
            ] {
                // Straight into the log, as another producer would write it.
                let event = RawEvent {
                    offset: 0,
                    received_at: RECEIVED_AT,
                    route: None,
                    body: body.into(),
                    resolution: None,
                    damaged: false,
                };
                let partition = LogPartition::new("t", 0);
                let range = OffsetRange::new(0, 0);
                let flat = Flattener::default().flatten(vec![RawBatch {
                    partition,
                    system,
                    range,
                    events: vec![event],
                }]);
                assert_eq!(flat.counts.received, 1);
                let debug = format!("{:?}", flat.tables);
                assert!(!debug.contains("s3cret"), "{}", path.display());
                let bodies = ndjson(&flat);
                assert!(!bodies.contains(&hex("s3cret")), "{}", path.display());
            }
        }
    }
}

/// As the JSON writer prints binary columns.
fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_repeat_makes_one_row_and_a_replay_makes_its_row_again() {
    let system = systems::by_name("vonage").unwrap();
    let body = Bytes::from(fs::read(&fixtures(system)[0]).unwrap());
    let event = |offset| RawEvent {
        offset,
        received_at: RECEIVED_AT + offset,
        route: None,
        body: body.clone(),
        resolution: None,
        damaged: false,
    };
    let batch = |first: i64, last: i64| RawBatch {
        partition: LogPartition::new("t", 0),
        system,
        range: OffsetRange::new(first, last),
        events: (first..=last).map(event).collect(),
    };
    let mut flattener = Flattener::default();
    let counts = flattener.flatten(vec![batch(0, 2)]).counts;
    assert_eq!((counts.written, counts.repeated), (1, 2));
    let replay = flattener.flatten(vec![batch(0, 2)]).counts;
    assert_eq!((replay.written, replay.repeated), (1, 2));
}

/// A body of the size that the door lets in must not take minutes, however it is made.
#[test]
fn a_hostile_event_takes_bounded_time() {
    let members = |n: usize| (0..n).map(|i| format!("\"k{i}\":{i}")).collect::<Vec<_>>().join(",");
    let many = members(100_000);
    let custom: Vec<String> = (0..20_000).map(|i| format!("{{\"name\":\"cf_{i}\",\"label\":\"l\",\"column\":\"c{i}\",\"type\":\"text\",\"value\":\"v\"}}")).collect();
    let body = format!(
        "{{\"event\":\"onDealUpdate\",\"timestamp\":1593023469,{many},\"data\":{{\"deal\":{{\"id\":1,\"custom_fields\":[{}],{many}}},\"changes\":{{\"model_changes\":{{{many}}}}}}}}}",
        custom.join(",")
    );
    let begun = std::time::Instant::now();
    let flat = rows_of(systems::by_name("freshsales").unwrap(), None, body.as_bytes());
    assert_eq!(flat.counts.written, 1);
    assert!(begun.elapsed().as_secs() < 20, "took {:?}", begun.elapsed());
}

#[test]
fn a_cloud_event_in_binary_mode_is_the_structured_one() {
    let system = systems::by_name("vonage").unwrap();
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-type", "channel.ended.v1"),
        ("ce-id", "1"),
        ("ce-source", "/channel"),
        ("ce-time", "2022-08-30T14:34:36.6134321Z"),
        ("content-type", "application/json"),
    ];
    let body = br#"{"timestamp":"2022-08-30T14:34:36.088Z","channel":{"channelId":"c","interactionId":"i"}}"#;
    let request =
        Request { headers: &headers, body: Bytes::from_static(body), ..Request::default() };
    let events = system.split(&request);
    assert_eq!(events[0].key.as_deref(), Some("call:i"));
    let flat = rows_of(system, None, &events[0].body);
    assert_eq!(flat.counts.written, 1);
    assert!(ndjson(&flat).contains(r#""event_key":"/channel:1:channel.ended.v1""#));
}

/// The column keeps its type; values that fit go in, others to `extra`, and both types are told.
#[test]
fn a_declared_type_that_changes_changes_no_column() {
    let system = systems::by_name("freshsales").unwrap();
    let flatten = |flattener: &mut Flattener, offset: i64, declared: &str, value: &str| {
        let body = format!(
            "{{\"event\":\"onDealUpdate\",\"timestamp\":{},\"data\":{{\"deal\":{{\"id\":1,\
             \"cf_size\":{{\"label\":\"Size\",\"type\":\"{declared}\",\"value\":{value}}}}}}}}}",
            1_593_023_469 + offset
        );
        let (received_at, body) = (RECEIVED_AT + offset, body.into());
        let event =
            RawEvent { offset, received_at, route: None, body, resolution: None, damaged: false };
        let partition = LogPartition::new("t", 0);
        let range = OffsetRange::new(offset, offset);
        flattener.flatten(vec![RawBatch { partition, system, range, events: vec![event] }])
    };
    let rows = |flat: &FlatBatch, table: &str| {
        ndjson(flat).lines().filter(|line| line.contains(table)).collect::<Vec<_>>().join("\n")
    };
    let mut before = Flattener::default();
    let first = flatten(&mut before, 0, "number", "5");
    assert!(rows(&first, "\"deals\"").contains("\"cf_size\":5"));
    // Both while it runs and after a restart, which reads the columns back from the table.
    let schemas = first.tables.iter().map(|t| (t.table.name, t.rows.schema())).collect();
    for flattener in [&mut before, &mut Flattener::new(schemas)] {
        let fits = flatten(flattener, 1, "text", "\"6\"");
        assert!(rows(&fits, "\"deals\"").contains("\"cf_size\":6"), "{fits:?}");
        assert!(rows(&fits, "field_labels").contains("\"type\":\"text\""), "{fits:?}");
        let other = flatten(flattener, 2, "text", "\"large\"");
        let row = rows(&other, "\"deals\"");
        assert!(
            row.contains("{\\\"cf_size\\\":\\\"large\\\"}") && !row.contains("\"cf_size\":"),
            "{row}"
        );
        assert_eq!(other.counts.misfits, 1);
    }
}

#[test]
fn fields_beyond_the_budget_stay_in_extra_and_are_named_once() {
    let system = systems::by_name("freshsales").unwrap();
    let mut flattener = Flattener::default().with_column_budget(100);
    let mut batch = |offset: i64| {
        let fields: Vec<String> = (0..300).map(|n| format!("\"f{n}\":{n}")).collect();
        let body = format!(
            "{{\"event\":\"onDealUpdate\",\"timestamp\":{},\"data\":{{\"deal\":{{\"id\":1,{}}}}}}}",
            1_593_023_469 + offset,
            fields.join(",")
        );
        let (received_at, body) = (RECEIVED_AT + offset, body.into());
        let event =
            RawEvent { offset, received_at, route: None, body, resolution: None, damaged: false };
        let (partition, range) = (LogPartition::new("t", 0), OffsetRange::new(offset, offset));
        flattener.flatten(vec![RawBatch { partition, system, range, events: vec![event] }])
    };
    let (first, second) = (batch(0), batch(1));
    assert!(first.counts.left_out > 200 && first.counts.left_out < 300, "{:?}", first.counts);
    assert_eq!(first.counts.left_out, second.counts.left_out);
    assert_eq!(first.left_out.len(), 50, "only so many are named");
    assert!(first.left_out.iter().all(|one| one.table == "deals" && one.field.starts_with('f')));
    assert!(second.left_out.is_empty(), "{:?}", second.left_out);
    let rows = ndjson(&second);
    for n in 0..300 {
        assert!(
            rows.contains(&format!("\"f{n}\":{n}")) || rows.contains(&format!("\\\"f{n}\\\":{n}"))
        );
    }
}
