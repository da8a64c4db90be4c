//! Every report against a computation of its own: Python and DuckDB, from the raw events, by docs/reports.md.

use std::process::Command;

use crate::harness::process::Place;

#[test]
fn every_cell_of_every_report_is_what_the_raw_events_come_to() {
    let place = Place::new();
    // Four weeks with repeats, late and partial updates, two currencies; summer time begins in one of the
    // zones that are asked in.
    let month = ["simulate", "--date", "2026-03-16", "--days", "12", "--calls", "40"];
    let month = place.ok(&[&month[..], &["--repeats", "5", "--disorder", "20"]].concat());
    place.file("month.ndjson", shuffled(&month));
    place.ok(&["import", "--enveloped", "month.ndjson"]);
    let python = std::env::var("RINGLAKE_TEST_PYTHON").expect("start the tests with tests/run");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/oracle.py");
    let mut command = Command::new(python);
    place.prepare(&mut command);
    command
        .args([script, crate::harness::process::BINARY])
        .arg(place.data())
        .args(["month.ndjson", "--third"]);
    let ended = command.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}{}", String::from_utf8_lossy(&ended.stderr));
    assert!(said.contains(" cells of "), "{said}");
}

/// Neighbours out of order, by a step that hits each line once.
fn shuffled(lines: &str) -> String {
    let lines: Vec<&str> = lines.lines().collect();
    let mut out = String::new();
    for part in lines.chunks(101) {
        for at in 0..part.len() {
            let step = if part.len() == 101 { 37 } else { 1 };
            out.push_str(part[at * step % part.len()]);
            out.push('\n');
        }
    }
    out
}
