//! Exports by hand: whole or absent, with a manifest that can be checked with other tools.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::harness::events;
use crate::harness::process::Place;

const SETTINGS: &str = r#"
[[exports]]
name = "costs"
cron = "15 6 * * *"
report = "call-cost"
by = ["agent"]
period = "all"
folder = "exports"

[[exports]]
name = "records"
cron = "0 * * * *"
sql = "select system, event_type, count(*) as events from calls group by 1, 2"
folder = "exports"
"#;

#[test]
fn an_export_is_a_file_and_a_manifest_that_agree() {
    let place = filled();
    place.ok(&["export", "run", "records"]);
    let folder = place.path().join("exports/records");
    let files = files_below(&folder);
    let (manifests, data): (Vec<_>, Vec<_>) = files.iter().partition(|f| ends(f, "json"));
    assert_eq!((manifests.len(), data.len()), (1, 1), "{files:?}");

    let manifest: Value = serde_json::from_slice(&std::fs::read(manifests[0]).unwrap()).unwrap();
    let bytes = std::fs::read(data[0]).unwrap();
    assert_eq!(&bytes[..4], b"PAR1");
    let text = manifest.to_string();
    let checksum: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    assert!(text.contains(&checksum), "no checksum {checksum} in {text}");
    assert!(text.contains(&bytes.len().to_string()), "no size in {text}");
    for what in ["rows", "tables", "sql", "calls"] {
        assert!(text.contains(what), "{what} is missing in {text}");
    }
}

#[test]
fn the_list_says_what_there_is_and_when_it_is_due() {
    let place = filled();
    place.ok(&["export", "run", "costs"]);
    let listing = place.ok(&["export", "list"]);
    for what in ["costs", "records", "15 6 * * *", "call-cost"] {
        assert!(listing.contains(what), "{what} is missing in:\n{listing}");
    }
}

#[test]
fn a_run_that_fails_leaves_nothing() {
    let place = filled();
    let broken =
        SETTINGS.replace("count(*) as events from calls", "1 / (count(*) - count(*)) from calls");
    place.file("ringlake.toml", broken);
    let ended = place.run(&["export", "run", "records"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let files = files_below(&place.path().join("exports/records"));
    assert!(files.is_empty(), "{files:?}");
}

fn filled() -> Place {
    let place = Place::new();
    place.file("ringlake.toml", SETTINGS);
    place.file("all.ndjson", events::envelopes(&events::fixtures()));
    place.ok(&["import", "--enveloped", "all.ndjson"]);
    place
}

fn ends(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|end| end == extension)
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
