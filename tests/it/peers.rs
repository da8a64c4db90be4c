//! Readers that know nothing of us count the same rows: delta-rs and DuckDB, from Python.

use std::process::Command;

use crate::harness::events;
use crate::harness::process::Place;
use crate::harness::tables;

#[test]
fn other_readers_count_the_same_rows() {
    let python = std::env::var("RINGLAKE_TEST_PYTHON").expect("run this test with tests/run");
    let place = Place::new();
    let mut sent = events::fixtures();
    sent.extend(events::simulated(&place, 9, 2_000));
    sent.push(events::unknown());
    place.file("all.ndjson", events::envelopes(&sent));
    place.ok(&["import", "--enveloped", "all.ndjson"]);

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers.py");
    let output =
        Command::new(python).arg(script).arg(place.data().join("tables")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().count() >= 10, "few tables: {text}");
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [table, delta, duckdb] = words[..] else { panic!("{line:?}") };
        let ours = tables::number(&place, &format!("select count(*) from {table}")).to_string();
        assert_eq!((delta, duckdb), (ours.as_str(), ours.as_str()), "{table}");
        assert_ne!(ours, "0", "{table}");
    }
}
