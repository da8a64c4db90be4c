//! History brought in by file: twice is once, killed is resumed, and what the log holds can be taken
//! to another folder.

use std::process::Stdio;

use crate::harness::events::{self, Sender};
use crate::harness::process::Place;
use crate::harness::tables;
use crate::harness::wait::wait_until;

#[test]
fn the_same_file_twice_adds_nothing() {
    let place = Place::new();
    let sent = events::simulated(&place, 11, 2_000);
    place.file("all.ndjson", events::envelopes(&sent));
    place.ok(&["import", "--enveloped", "all.ndjson"]);
    let once = tables::contents(&place);
    assert_eq!(tables::events_written(&place), 2_000);
    place.ok(&["import", "--enveloped", "all.ndjson"]);
    tables::assert_same(&tables::contents(&place), &once);
}

#[test]
fn an_import_that_was_killed_goes_on_where_it_was() {
    // Some dozens of batches, so that there is a middle to be killed in.
    let place = Place::new().with("RINGLAKE_FLUSH_MAX_BYTES", "64 KiB");
    let sent = events::simulated(&place, 12, 2_500);
    place.file("all.ndjson", events::envelopes(&sent));
    let arguments = ["import", "--enveloped", "all.ndjson"];
    for batches in [2, 10] {
        let mut import = place.start("import", place.command(&arguments));
        wait_until("some batches", || tables::batches(&place) >= batches);
        import.kill();
    }
    let before = tables::events_written(&place);
    assert!(before < 2_500, "it was done before it was killed");
    place.ok(&arguments);
    tables::positions(&place);
    tables::assert_same(&tables::contents(&place), &tables::reference(&sent));
}

#[test]
fn lines_of_one_system_need_no_envelope_and_bad_ones_are_kept_with_their_number() {
    let place = Place::new();
    let good: Vec<String> = events::fixtures()
        .into_iter()
        .filter(|e| e.system == "freshsales")
        .map(|e| e.body)
        .collect();
    let text = format!("{}\n{{\"event\": \"onDeal\n{}\n", good[0], good[1..].join("\n"));
    let mut import = place.command(&["import", "--system", "freshsales", "-"]);
    let mut child = import.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));

    let letters = tables::rows(&place, "select topic, \"offset\" from dead_letters");
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0]["offset"], 1, "the line, counted from 0");
    assert!(letters[0]["topic"].as_str().unwrap().starts_with("import:"));
    let written = tables::events_written(&place);
    assert_eq!(written, good.len() + 1);
}

#[test]
fn what_the_log_holds_makes_the_same_tables_elsewhere() {
    let place = Place::new();
    let server = place.serve(&["serve"]);
    let sender = Sender::new(&place);
    let sent = events::simulated(&place, 13, 1_000);
    for request in events::requests(&sent) {
        assert_eq!(sender.post(server.address, &request).unwrap().status, 200);
    }
    tables::wait_written(&place, 1_000);
    assert_eq!(server.running.stop(), Some(0));
    let dump = place.ok(&["log", "dump"]);
    assert_eq!(dump.lines().count(), 1_000, "the log keeps what the tables have for a while");

    let elsewhere = Place::new();
    elsewhere.file("dump.ndjson", &dump);
    elsewhere.ok(&["import", "--enveloped", "dump.ndjson"]);
    tables::assert_same(&tables::contents(&elsewhere), &tables::contents(&place));
}
