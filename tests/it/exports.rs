//! Exports by hand: whole or absent, with a manifest that can be checked with other tools, the same bytes
//! from the same data, and corrected when events come late.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::events;
use crate::harness::files;
use crate::harness::process::{BINARY, Place};

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
    let files = files::below(&folder);
    let (manifests, data): (Vec<_>, Vec<_>) = files.iter().partition(|f| ends(f, "json"));
    assert_eq!((manifests.len(), data.len()), (1, 1), "{files:?}");

    let manifest: Value = serde_json::from_slice(&std::fs::read(manifests[0]).unwrap()).unwrap();
    let bytes = std::fs::read(data[0]).unwrap();
    assert_eq!(&bytes[..4], b"PAR1");
    let text = manifest.to_string();
    let checksum = files::checksum(&bytes);
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
    let files = files::below(&place.path().join("exports/records"));
    assert!(files.is_empty(), "{files:?}");
}

/// Neither compaction nor folding nor the number of cores is to be seen in a file.
#[test]
fn the_same_data_is_the_same_bytes() {
    let place = Place::new();
    let sent = events::simulated(&place, 11, 600);
    // Several commits, so that there is something to compact.
    for (number, part) in sent.chunks(150).enumerate() {
        let name = format!("{number}.ndjson");
        place.file(&name, events::envelopes(part));
        place.ok(&["import", "--enveloped", &name]);
    }
    let exports = [
        ("costs", "report = \"call-cost\"\nby = [\"agent\", \"hour\"]"),
        ("changes", "report = \"deal-changes\""),
        ("calls", "sql = \"select * from calls_current\"\nformat = \"arrow\""),
        ("deals", "sql = \"select * from deals_current\"\npartition_by = [\"deal_stage_id\"]"),
        ("legs", "sql = \"select * from call_participants\"\nformat = \"csv\""),
    ];
    let entry = |(name, rest): &(&str, &str)| {
        format!("[[exports]]\nname = \"{name}\"\ncron = \"0 6 * * *\"\n{rest}\n")
    };
    place.file("ringlake.toml", exports.iter().map(entry).collect::<String>());
    let export = || {
        let _ = std::fs::remove_dir_all(place.path().join("exports"));
        for (name, _) in &exports {
            place.ok(&["export", "run", name, "--at", "2026-04-01T06:00:00Z"]);
        }
        sums(&place.path().join("exports"))
    };
    let first = export();
    assert!(first.len() > exports.len(), "{first:?}");
    place.ok(&["compact"]);
    assert_eq!(export(), first, "compacted");
    place.ok(&["rebuild"]);
    assert_eq!(export(), first, "folded");
    // One core instead of all.
    let _ = std::fs::remove_dir_all(place.path().join("exports"));
    for (name, _) in &exports {
        let mut command = Command::new("taskset");
        place.prepare(&mut command);
        let run = ["export", "run", name, "--at", "2026-04-01T06:00:00Z"];
        let status = command.args(["-c", "0", BINARY]).args(run).output().unwrap();
        assert!(status.status.success(), "{status:?}");
    }
    assert_eq!(sums(&place.path().join("exports")), first, "on one core");
}

/// A call on a day counted from the first of March.
fn call(id: u32, day: i64, minutes: u32) -> String {
    const FIRST_OF_MARCH: i64 = 1_772_366_400;
    let body = serde_json::json!({
        "account_id": "1", "event": "onCallUpdate", "timestamp": FIRST_OF_MARCH + day * 86_400,
        "data": {"call": {
            "id": id, "direction": "incoming",
            "participants": [{
                "id": id, "participant_type": "Customer", "duration": minutes * 60,
                "cost": minutes, "cost_unit": "USD"
            }]
        }}
    });
    serde_json::json!({"system": "freshcaller", "body": body.to_string()}).to_string()
}

#[test]
fn late_events_make_a_correction_with_its_reason() {
    let place = Place::new();
    place.file(
        "ringlake.toml",
        "[[exports]]\nname = \"costs\"\ncron = \"0 6 1 * *\"\nperiod = \"last_month\"\nformat = \"csv\"\n\
         report = \"call-cost\"\nby = [\"day\"]\n",
    );
    let import = |name: &str, calls: &[String]| {
        place.file(name, calls.join("\n") + "\n");
        place.ok(&["import", "--enveloped", name]);
    };
    import("first.ndjson", &[call(1, 0, 2), call(2, 1, 3)]);
    let at = ["--at", "2026-04-01T06:00:00Z"];
    let run = |more: &[&str]| place.run(&[&["export"], more].concat());
    assert_eq!(run(&["check", "costs", at[0], at[1]]).code, Some(1), "it never ran");
    let folder = place.ok(&[&["export", "run", "costs"], &at[..]].concat()).trim().to_owned();
    let told = |folder: &str| {
        std::fs::read_to_string(place.path().join(folder).join("part-00000.csv")).unwrap()
    };
    assert_eq!(told(&folder).lines().count(), 3, "{}", told(&folder));
    let checked = run(&["check", "costs"]);
    assert_eq!((checked.code, checked.out.as_str()), (Some(0), ""), "{checked:?}");
    assert!(checked.err.contains("still holds"), "{checked:?}");

    // A call of April changes nothing; one of March does, and so does another cost.
    import("april.ndjson", &[call(20, 32, 4)]);
    import("late.ndjson", &[call(3, 2, 7), call(1, 0, 5)]);
    let differs = place.ok(&["export", "check", "costs"]);
    assert!(differs.contains("1 line changed, 1 line added"), "{differs}");
    let corrected = place.ok(&["export", "run", "costs", "--correct"]).trim().to_owned();
    assert_eq!(corrected, format!("{folder}.1"));
    assert_eq!(told(&folder).lines().count(), 3, "the run stays as it was");
    assert_eq!(told(&corrected).lines().count(), 4, "{}", told(&corrected));
    let manifest = std::fs::read(place.path().join(&corrected).join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(
        (manifest["number"].as_i64(), &manifest["corrects"]),
        (Some(1), &Value::from("2026-04-01T060000Z"))
    );
    let calls = &manifest["reason"]["tables"]["calls"];
    assert!(calls["to"].as_i64() > calls["from"].as_i64(), "{manifest}");
    assert_eq!(manifest["reason"]["lines"]["added"], 1);
    let listing = place.ok(&["export", "list"]);
    assert!(listing.contains("corrected 2026-04-01T060000Z.1: "), "{listing}");
    assert_eq!(place.ok(&["export", "run", "costs", "--correct"]), "");
    assert_eq!(std::fs::read_dir(place.path().join("exports/costs")).unwrap().count(), 2);
}

/// A reader that knows nothing of us takes the folders for a column, odd values and none among them.
#[test]
fn duckdb_reads_the_folders() {
    let python = std::env::var("RINGLAKE_TEST_PYTHON").expect("run this test with tests/run");
    let place = Place::new();
    let sql = "select * from (values ('a b/c', 1), (null, 2), ('Z\u{fc}rich', 3), ('..', 4)) as t(town, n)";
    place.file(
        "ringlake.toml",
        format!("[[exports]]\nname = \"towns\"\ncron = \"0 6 1 * *\"\nsql = \"{sql}\"\npartition_by = [\"town\"]\n"),
    );
    let folder = place.ok(&["export", "run", "towns"]).trim().to_owned();
    let script = "import duckdb, sys\n\
        q = 'select town, n from read_parquet(?, hive_partitioning = true) order by n'\n\
        print(duckdb.execute(q, [sys.argv[1] + '/**/*.parquet']).fetchall())";
    let folder = place.path().join(folder);
    let output = Command::new(python).args(["-c", script]).arg(folder).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let read = String::from_utf8(output.stdout).unwrap();
    assert_eq!(read.trim(), "[('a b/c', 1), (None, 2), ('Z\u{fc}rich', 3), ('..', 4)]");
}

#[test]
fn an_export_that_cannot_be_written_says_why() {
    let place = filled();
    place.file("occupied", "a file where the folder should be");
    for (from, to, code, says) in [
        (
            "folder = \"exports\"",
            "folder = \"occupied\"",
            1,
            "check that the folder can be written to",
        ),
        ("cron = \"0 *", "partition_by = [\"sytem\"]\ncron = \"0 *", 1, "did you mean system?"),
        ("cron = \"0 *", "corrections = -1\ncron = \"0 *", 2, "-1"),
    ] {
        place.file("ringlake.toml", SETTINGS.replace(from, to));
        let ended = place.run(&["export", "run", "records"]);
        assert_eq!(ended.code, Some(code), "{ended:#?}");
        assert!(ended.err.contains(says), "{ended:#?}");
    }
    assert_eq!(files::below(&place.path().join("exports")), Vec::<PathBuf>::new());
}

/// The checksums of all data files by their path.
fn sums(folder: &Path) -> Vec<(PathBuf, String)> {
    let files = files::below(folder).into_iter().filter(|path| !ends(path, "json"));
    files.map(|path| (path.clone(), files::checksum(&std::fs::read(path).unwrap()))).collect()
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
