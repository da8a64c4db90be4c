//! `ringlake verify` names what is wrong: files that were changed, cut short or taken away, and rows that are
//! gone. What it says of a sound folder, and of deliberate faults in the program, other tests see.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::events::{self, Sender};
use crate::harness::process::Place;
use crate::harness::tables;

/// A folder whose log and tables hold some days of calls.
fn filled() -> Place {
    let place = Place::new();
    let sent = events::simulated(&place, 11, 300);
    let server = place.serve(&["serve"]);
    let sender = Sender::new(&place);
    for request in events::requests(&sent) {
        assert_eq!(sender.post(server.address, &request).unwrap().status, 200);
    }
    tables::wait_written(&place, sent.len());
    assert_eq!(server.running.stop(), Some(0));
    place.ok(&["verify"]);
    place
}

/// What it says, which must not be that all is well.
fn complaint(place: &Place) -> String {
    let ended = place.run(&["verify"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    ended.out + &ended.err
}

/// The commits of a table, oldest first.
fn commits(table: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(table.join("_delta_log")).unwrap();
    let mut commits: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    commits.retain(|path| path.extension().is_some_and(|end| end == "json"));
    commits.sort();
    commits
}

/// The file that the newest commit with one has added, as it is called there.
fn newest_file(table: &Path) -> String {
    let lines = |commit: PathBuf| std::fs::read_to_string(commit).unwrap();
    let texts: Vec<String> = commits(table).into_iter().rev().map(lines).collect();
    let mut actions = texts.iter().flat_map(|text| text.lines());
    let added = actions.find_map(|line| {
        let action: Value = serde_json::from_str(line).unwrap();
        Some(action.get("add")?["path"].as_str().unwrap().to_owned())
    });
    added.unwrap()
}

#[test]
fn a_file_that_is_not_what_was_written_is_named() {
    let place = filled();
    let table = place.data().join("tables/calls");
    let name = newest_file(&table);
    let path = table.join(&name);
    let whole = std::fs::read(&path).unwrap();

    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    std::fs::write(&path, flipped).unwrap();
    let said = complaint(&place);
    assert!(said.contains(&name) && said.contains("its checksum differs"), "{said}");

    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let said = complaint(&place);
    let sizes = format!("has {} bytes, not the {}", whole.len() - 1, whole.len());
    assert!(said.contains(&name) && said.contains(&sizes), "{said}");

    std::fs::remove_file(&path).unwrap();
    let said = complaint(&place);
    assert!(said.contains(&name) && said.contains("is missing"), "{said}");

    std::fs::write(&path, whole).unwrap();
    place.ok(&["verify"]);
}

#[test]
fn rows_that_somebody_has_deleted_are_events_that_are_lost() {
    let place = filled();
    let table = place.data().join("tables/calls");
    let path = newest_file(&table);
    let newest = commits(&table).pop().unwrap();
    let version: u64 = newest.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let gone = json!({"remove": {"path": path, "deletionTimestamp": 1, "dataChange": true}});
    let commit = newest.with_file_name(format!("{:020}.json", version + 1));
    std::fs::write(&commit, format!("{gone}\n")).unwrap();
    let said = complaint(&place);
    assert!(said.contains("is in no table and repeats no other event"), "{said}");
    std::fs::remove_file(commit).unwrap();
    place.ok(&["verify"]);
}
