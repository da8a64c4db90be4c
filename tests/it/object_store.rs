//! Exports and tables in an object store: a real server that speaks S3's protocol.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::events;
use crate::harness::files;
use crate::harness::http;
use crate::harness::process::Place;
use crate::harness::s3::Store;
use crate::harness::tables;
use crate::harness::wait::wait_until;

const SETTINGS: &str = r#"
[[exports]]
name = "records"
cron = "0 6 * * *"
sql = "select system, event_type, count(*) as events from calls group by 1, 2"
partition_by = ["system"]
folder = "s3://bucket/some/exports"
"#;

fn filled(place: Place) -> Place {
    let mut sent = events::fixtures();
    sent.extend(events::simulated(&place, 5, 400));
    place.file("all.ndjson", events::envelopes(&sent));
    place.ok(&["import", "--enveloped", "all.ndjson"]);
    place
}

#[test]
fn an_export_goes_to_an_object_store_whole() {
    let store = Store::start();
    let place = filled(store.reached_by(Place::new()));
    place.file("ringlake.toml", SETTINGS);
    let run = |at: &str| place.ok(&["export", "run", "records", "--at", at]).trim().to_owned();
    let shown = run("2026-03-30T06:00:00Z");
    assert_eq!(shown, "s3://bucket/some/exports/records/2026-03-30T060000Z");
    let folder = store.bucket().join("some/exports/records/2026-03-30T060000Z");
    let manifest = std::fs::read(folder.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let files = manifest["files"].as_array().unwrap();
    assert!(files.len() > 1, "{manifest}");
    for file in files {
        let path = file["path"].as_str().unwrap();
        assert!(path.starts_with("system=") && path.contains("/part-00000-"), "{path}");
        let bytes = std::fs::read(folder.join(path)).unwrap();
        assert_eq!(files::checksum(&bytes), file["sha256"].as_str().unwrap());
    }

    // The same time again is the same run, a killed run's leavings go away, and nothing is written twice.
    let before = objects(&store.bucket());
    assert_eq!(run("2026-03-30T06:00:00Z"), shown);
    assert_eq!(objects(&store.bucket()), before);
    let other = store.bucket().join("some/exports/records/2026-03-31T060000Z");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::write(other.join("part-00000-0123456789ab.parquet"), "left behind").unwrap();
    run("2026-03-31T06:00:00Z");
    assert!(!other.join("part-00000-0123456789ab.parquet").exists());
    let listing = place.ok(&["export", "list"]);
    assert!(listing.contains("last 2026-03-31 06:00"), "{listing}");
}

/// The bytes do not depend on the place either.
#[test]
fn the_same_export_is_the_same_bytes_here_and_there() {
    let store = Store::start();
    let place = filled(store.reached_by(Place::new()));
    let settings = |folder: &str| {
        let text =
            "[[exports]]\nname = \"calls\"\ncron = \"0 6 * * *\"\nsql = \"select * from calls\"\n";
        place.file("ringlake.toml", format!("{text}folder = \"{folder}\"\n"));
    };
    let sums = |folder: &Path| -> Vec<String> {
        let data = objects(folder).into_iter().filter(|path| !path.ends_with("manifest.json"));
        data.map(|path| files::checksum(&std::fs::read(path).unwrap())).collect()
    };
    settings("s3://bucket/there");
    place.ok(&["export", "run", "calls"]);
    settings("here");
    place.ok(&["export", "run", "calls"]);
    let there = sums(&store.bucket().join("there"));
    assert_eq!(there.len(), 1);
    assert_eq!(sums(&place.path().join("here")), there);
}

#[test]
fn what_is_wrong_with_a_store_is_said_and_leaves_nothing() {
    let store = Store::start();
    let place = filled(store.reached_by(Place::new()));
    place.file("ringlake.toml", SETTINGS.replace("s3://bucket", "s3://absent"));
    let ended = place.run(&["export", "run", "records"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.err.contains("make the bucket"), "{ended:#?}");

    place.file("ringlake.toml", SETTINGS);
    let place = place.with("AWS_SECRET_ACCESS_KEY", "wrong");
    let ended = place.run(&["export", "run", "records"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.err.contains("AWS_SECRET_ACCESS_KEY"), "{ended:#?}");
    assert!(!ended.err.contains("wrong"), "{ended:#?}");
    assert!(place.ok(&["export", "list"]).contains("runs cannot be listed"));
    assert_eq!(objects(&store.bucket()), Vec::<PathBuf>::new());

    for (from, to, says) in [
        ("s3://bucket", "ftp://bucket", "exports cannot go to ftp://bucket"),
        ("cron =", "format = \"exel\"\ncron =", "there are parquet, csv, arrow"),
        ("[[exports]]", "[object_store]\naws_endpiont = \"x\"\n[[exports]]", "aws_endpiont"),
    ] {
        place.file("ringlake.toml", SETTINGS.replace(from, to));
        let ended = place.run(&["export", "run", "records"]);
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        assert!(ended.err.contains(says), "{ended:#?}");
    }
}

/// An export that fails is shown and counted, and a server goes on with everything else.
#[test]
fn an_export_that_fails_is_shown_and_counted() {
    let store = Store::start();
    let place = store.reached_by(Place::new());
    let settings = SETTINGS.replace("0 6 * * *", "* * * * *").replace("s3://bucket", "s3://absent");
    place.file("ringlake.toml", settings);
    let server = place.serve(&["serve"]);
    let metrics = || http::get(server.address, "/metrics").unwrap().body;
    let counted = |result: &str, count: u32| {
        let line = format!(
            "ringlake_queries_export_runs_total{{export=\"records\",result=\"{result}\"}} {count}"
        );
        metrics().contains(&line)
    };
    wait_until("the export to fail", || counted("failed", 1));
    let listing = place.ok(&["export", "list"]);
    for says in ["failing since", "attempts: 1", "make the bucket", "next at"] {
        assert!(listing.contains(says), "{says} is missing in {listing}");
    }
    assert!(counted("written", 0), "{}", metrics());

    // By hand it is tried at once, and once it succeeds the failure is forgotten.
    std::fs::create_dir(store.bucket().with_file_name("absent")).unwrap();
    place.ok(&["export", "run", "records"]);
    let listing = place.ok(&["export", "list"]);
    assert!(!listing.contains("failing since"), "{listing}");
    assert_eq!(server.running.stop(), Some(0));
}

/// Nothing is different for tables in an object store: import, repeated import, questions, upkeep, proof.
#[test]
fn tables_lie_in_an_object_store() {
    let store = Store::start();
    let here = filled(Place::new());
    let there =
        filled(store.reached_by(Place::new()).with("RINGLAKE_TABLES", "s3://bucket/tables"));
    assert!(store.bucket().join("tables/progress/_delta_log").is_dir());
    assert!(!there.data().join("tables").exists());
    tables::assert_same(&tables::contents(&there), &tables::contents(&here));

    there.ok(&["import", "--enveloped", "all.ndjson"]);
    there.ok(&["rebuild"]);
    there.ok(&["compact"]);
    there.ok(&["vacuum"]);
    there.ok(&["verify"]);
    let report = ["report", "call-cost", "--by", "agent,day", "--format", "csv"];
    assert_eq!(there.ok(&report), here.ok(&report));
    tables::assert_same(&tables::contents(&there), &tables::contents(&here));

    let server = there.serve(&["serve"]);
    let before = tables::number(&there, "select count(*) from dead_letters");
    let sender = events::Sender::new(&there);
    assert_eq!(sender.post(server.address, &[events::unknown()]).unwrap().status, 200);
    wait_until("the event to be written", || {
        tables::number(&there, "select count(*) from dead_letters") == before + 1
    });
    assert_eq!(server.running.stop(), Some(0));
}

/// What the server keeps for itself begins with a dot.
fn objects(folder: &Path) -> Vec<PathBuf> {
    let hidden = |path: &Path| {
        let below = path.strip_prefix(folder).unwrap();
        below.iter().any(|name| name.to_str().unwrap().starts_with('.'))
    };
    files::below(folder).into_iter().filter(|path| !hidden(path)).collect()
}
