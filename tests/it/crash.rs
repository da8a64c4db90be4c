//! Death at every fail point there is: the process aborts, is started again, and the tables end as if
//! nothing had happened.
//!
//! Deaths are chained: one folder dies at one point after the other, each time a little further on, so
//! that what a death leaves behind is met by the next. [`every_fail_point_is_died_at`] holds the groups
//! below against the list in the code.

use std::process::Output;

use ringlake_transform::faults;
use serde_json::Value;

use crate::harness::events::{self, Event, Sender};
use crate::harness::kafka;
use crate::harness::process::{Place, free_address};
use crate::harness::tables::{self, Contents};
use crate::harness::wait::wait_until;

const IMPORT: &[&str] = &[
    "sinks:create-",
    "sinks:parquet",
    "sinks:write-",
    "sinks:place",
    "sinks:commit-",
    "sinks:progress",
];
const TIDYING: &[&str] = &["sinks:checkpoint", "sinks:tidy", "sinks:sweep"];
/// The first two are passed before it is ready.
const SERVER: &[&str] =
    &["ingest:create", "ingest:tokens", "ingest:append", "ringlake:release", "ingest:trim"];
const KAFKA: &[&str] = &["ingest:produce"];
const TRIM: &[&str] = &["ingest:compact"];
const EXPORT: &[&str] = &["queries:export"];
const FOLD: &[&str] = &["sinks:fold"];
const UPKEEP: &[&str] = &["sinks:compact", "sinks:vacuum"];
const REPAIR: &[&str] = &["sinks:repair"];
/// Died at in `letters.rs`.
pub const LETTERS: &[&str] = &["ringlake:letters"];

/// The points of these steps, in the order of the steps.
pub fn points(steps: &[&str]) -> Vec<String> {
    let of = |step: &&str| {
        let step = (*step).to_owned();
        faults::points().filter(move |point| point.starts_with(&step))
    };
    let found: Vec<String> = steps.iter().flat_map(of).collect();
    assert!(found.len() >= 2 * steps.len());
    found
}

#[test]
fn every_fail_point_is_died_at() {
    let groups =
        [IMPORT, TIDYING, SERVER, KAFKA, TRIM, EXPORT, FOLD, UPKEEP, REPAIR, LETTERS].concat();
    let mut died_at = points(&groups);
    let mut all: Vec<String> = faults::points().collect();
    died_at.sort();
    all.sort();
    assert_eq!(died_at, all);
}

fn sample() -> Vec<Event> {
    let mut sent = events::fixtures();
    sent.extend(events::simulated(&Place::new(), 5, 400));
    sent.push(events::unknown());
    sent
}

fn die_at(place: &Place, point: &str, arguments: &[&str]) {
    let Output { status, stderr, .. } =
        place.command(arguments).env("RINGLAKE_FAILPOINT", point).output().unwrap();
    let said = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), None, "{point} was never reached: {said}");
}

#[test]
fn an_import_that_dies_at_every_step_is_completed() {
    let sent = sample();
    let expected = tables::reference(&sent);
    // One batch, so that each table has rows of it; and many, so that each batch has deaths in it.
    for (batch, turn) in [("8 MiB", ""), ("16 KiB", ":2")] {
        let place = Place::new().with("RINGLAKE_FLUSH_MAX_BYTES", batch);
        place.file("all.ndjson", events::envelopes(&sent));
        let arguments = ["import", "--enveloped", "all.ndjson"];
        let often = ["sinks:parquet", "sinks:place", "sinks:commit-calls", "sinks:progress"];
        let mut points = points(if turn.is_empty() { IMPORT } else { &often });
        // Also `progress` is made only once all others are written.
        points.sort_by_key(|point| point.contains("progress"));
        for point in points {
            die_at(&place, &format!("{point}{turn}"), &arguments);
        }
        place.ok(&arguments);
        tables::positions(&place);
        tables::assert_same(&tables::contents(&place), &expected);
        place.ok(&["verify"]);
    }
}

#[test]
fn a_death_while_the_logs_of_the_tables_are_tidied_costs_nothing() {
    let sent = sample();
    let expected = tables::reference(&sent);
    // A batch for each few events, so that checkpoints are due again and again.
    let place = Place::new().with("RINGLAKE_FLUSH_MAX_BYTES", "1 KiB");
    place.file("sent.ndjson", events::envelopes(&sent));
    for point in points(TIDYING) {
        die_at(&place, &point, &["import", "--enveloped", "sent.ndjson"]);
    }
    place.ok(&["import", "--enveloped", "sent.ndjson"]);
    tables::assert_same(&tables::contents(&place), &expected);
    place.ok(&["verify"]);
}

#[test]
fn a_server_that_dies_at_every_step_has_everything_after_a_restart() {
    let sent = sample();
    let expected = tables::reference(&sent);
    let mut unanswered = events::requests(&sent);
    let mut place = Place::new().with("RINGLAKE_LOG_KEEP", "0s");
    let with_rows = ["sinks:commit-calls", "sinks:commit-deals", "sinks:progress"];
    let (start, running) = SERVER.split_at(2);
    let repeat = unanswered[0].clone();
    for point in points(&[start, &with_rows, running].concat()) {
        place = place.with("RINGLAKE_FAILPOINT", &point);
        let mut server = place.serve_unready(free_address(), &["serve"]);
        wait_until("a start or a death", || !server.running.is_alive() || server.is_ready());
        // A part is answered before it dies; the rest is sent again.
        if server.running.is_alive() {
            let sender = Sender::new(&place);
            let taken = |request: &Vec<Event>| {
                sender.post(server.address, request).is_ok_and(|answer| answer.status == 200)
            };
            let rest = unanswered.split_off(unanswered.len() / 4);
            unanswered.retain(|request| !taken(request));
            unanswered.extend(rest);
            taken(&repeat);
        }
        assert_eq!(server.running.wait_end(), None, "{point} was never reached");
    }
    place = place.with("RINGLAKE_FAILPOINT", "");
    let server = place.serve(&["serve"]);
    let sender = Sender::new(&place);
    for request in unanswered {
        assert_eq!(sender.post(server.address, &request).unwrap().status, 200);
    }
    tables::wait_written(&place, tables::events_in(&expected));
    assert_eq!(server.running.stop(), Some(0));
    tables::positions(&place);
    tables::assert_same(&tables::contents(&place), &expected);
    place.ok(&["verify"]);

    for point in points(TRIM) {
        die_at(&place, &point, &["log", "trim", "--keep", "0s"]);
    }
    place.ok(&["log", "trim", "--keep", "0s"]);
    place.ok(&["verify"]);
}

#[test]
fn a_door_that_dies_around_its_kafka_has_everything_after_a_restart() {
    let sent = sample();
    let expected = tables::reference(&sent);
    let mut place = Place::new()
        .with("RINGLAKE_LOG_KAFKA_TOPIC_PREFIX", &kafka::topic_prefix())
        .with("RINGLAKE_LOG_KAFKA_GROUP", &kafka::topic_prefix());
    let mut unanswered = events::requests(&sent);
    for point in points(KAFKA) {
        place = place.with("RINGLAKE_FAILPOINT", &format!("{point}:5"));
        let mut door = place.serve(&["ingest", "--kafka", &kafka::shared()]);
        let sender = Sender::new(&place);
        let taken = |request: &Vec<Event>| {
            sender.post(door.address, request).is_ok_and(|answer| answer.status == 200)
        };
        unanswered.retain(|request| !taken(request));
        assert_eq!(door.running.wait_end(), None, "{point} was never reached");
    }
    place = place.with("RINGLAKE_FAILPOINT", "");
    let server = place.serve(&["serve", "--kafka", &kafka::shared()]);
    let sender = Sender::new(&place);
    for request in unanswered {
        assert_eq!(sender.post(server.address, &request).unwrap().status, 200);
    }
    tables::wait_written(&place, tables::events_in(&expected));
    assert_eq!(server.running.stop(), Some(0));
    tables::positions(&place);
    tables::assert_same(&tables::contents(&place), &expected);
    place.ok(&["verify", "--kafka", &kafka::shared()]);
}

#[test]
fn a_death_while_states_are_folded_changes_no_answer() {
    let sent = sample();
    let (first, rest) = sent.split_at(sent.len() / 2);
    let place = Place::new();
    place.file("first.ndjson", events::envelopes(first));
    place.file("rest.ndjson", events::envelopes(rest));
    let asked = |place: &Place| {
        let views = ["calls_current", "call_costs", "deals_current", "agents", "deal_stages"];
        let lines = |view| {
            let rows = tables::rows(place, &format!("SELECT * FROM {view}")).into_iter();
            let mut lines: Vec<String> = rows.map(|row| Value::from(row).to_string()).collect();
            lines.sort();
            lines
        };
        views.map(|view| (view, lines(view))).into_iter().collect::<Contents>()
    };
    for part in ["first.ndjson", "rest.ndjson"] {
        place.ok(&["import", "--enveloped", part]);
        let expected = asked(&place);
        for point in points(FOLD) {
            die_at(&place, &point, &["rebuild", "--missing"]);
            println!("after {point}");
            tables::assert_same(&asked(&place), &expected);
        }
        place.ok(&["rebuild", "--missing"]);
        tables::assert_same(&asked(&place), &expected);
    }
    place.ok(&["verify"]);
}

/// Else each report of calls would ask the tables what their columns are.
#[test]
fn a_fold_has_files_of_each_part_also_where_no_state_tells_of_it() {
    let place = Place::new();
    let calls = events::simulated_with(&place, 5, 200, &["--system", "freshcaller"]);
    let parts = |part: &[Event], number: usize| {
        place.file("calls.ndjson", events::envelopes(part));
        place.ok(&["import", "--enveloped", "calls.ndjson"]);
        place.ok(&["rebuild", "--missing"]);
        let folds = std::fs::read_dir(place.data().join("tables/_folded")).unwrap();
        let mut folds = folds.map(|fold| fold.unwrap().path());
        let of_calls = folds.find(|fold| fold.to_string_lossy().contains("/calls-")).unwrap();
        let manifest = std::fs::read(of_calls.join(format!("{number:020}.json"))).unwrap();
        let mut manifest: Value = serde_json::from_slice(&manifest).unwrap();
        manifest["parts"].take()
    };
    let (first, rest) = calls.split_at(100);
    let before = parts(first, 1);
    for (part, files) in before.as_object().unwrap() {
        assert_eq!(files.as_array().map(Vec::len), Some(1), "{part}");
    }
    assert_eq!(before["phases"][0]["rows"], 0);
    assert_eq!(place.ok(&["report", "call-phases", "--by", "call"]).lines().count(), 1);
    // What is known to have no rows is joined with nothing.
    assert_eq!(before["split_costs"][0]["rows"], 0);
    let costs = place.ok(&["report", "call-cost", "--sql"]);
    assert!(costs.contains("JOIN call_costs_split"), "{costs}");
    let plan = place.ok(&["query", &format!("EXPLAIN {costs}")]);
    assert!(!plan.contains("call_id"), "{plan}");
    let after = parts(rest, 2);
    assert_ne!(after["whole"], before["whole"]);
    assert_eq!(after["phases"], before["phases"]);
    place.ok(&["verify"]);
}

#[test]
fn a_death_while_files_are_put_together_or_deleted_changes_no_row() {
    let sent = sample();
    let expected = tables::reference(&sent);
    let place = Place::new().with("RINGLAKE_FLUSH_MAX_BYTES", "16 KiB");
    place.file("all.ndjson", events::envelopes(&sent));
    place.ok(&["import", "--enveloped", "all.ndjson"]);
    let upkeep = points(UPKEEP);
    let (compact, vacuum) = upkeep.split_at(2);
    for point in compact.iter().chain(&points(&["sinks:commit-calls"])) {
        die_at(&place, point, &["compact"]);
        tables::assert_same(&tables::contents(&place), &expected);
    }
    // What a kill left behind long ago.
    for point in vacuum {
        let lost = place.data().join("tables/calls/part-00000-lost.zstd.parquet");
        std::fs::write(&lost, "cut").unwrap();
        let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(8 * 24 * 3600);
        std::fs::File::options().write(true).open(&lost).unwrap().set_modified(long_ago).unwrap();
        die_at(&place, point, &["vacuum"]);
        place.ok(&["vacuum"]);
        assert!(!lost.exists());
        tables::assert_same(&tables::contents(&place), &expected);
    }
    place.ok(&["compact"]);
    assert_eq!(place.run(&["vacuum", "--keep", "1m"]).code, Some(2));
    tables::positions(&place);
    tables::assert_same(&tables::contents(&place), &expected);
    place.ok(&["verify"]);
}

#[test]
fn an_export_that_dies_is_whole_or_absent() {
    let sent = sample();
    let place = Place::new();
    place.file("all.ndjson", events::envelopes(&sent));
    place.ok(&["import", "--enveloped", "all.ndjson"]);
    let exports = "[[exports]]\nname = \"calls\"\ncron = \"0 6 * * *\"\nsql = \"SELECT * FROM calls\"\n\
                   folder = \"./exports\"\n";
    place.file("ringlake.toml", exports);
    for point in points(EXPORT) {
        die_at(&place, &point, &["export", "run", "calls"]);
        for run in std::fs::read_dir(place.path().join("exports/calls")).unwrap() {
            let run = run.unwrap();
            let is_whole = run.path().join("manifest.json").exists();
            assert!(is_whole || run.file_name().to_string_lossy().starts_with('.'), "{run:?}");
        }
    }
    place.ok(&["export", "run", "calls"]);
}

/// The events are in the log alone when a page of it goes bad.
#[test]
fn what_a_bad_page_of_the_log_held_is_named_and_the_rest_is_in_the_tables() {
    let place = Place::new();
    let sent = events::simulated(&place, 5, 600);
    let lazy = place.with("RINGLAKE_FLUSH_INTERVAL", "1h");
    let mut server = lazy.serve(&["serve"]);
    let sender = Sender::new(&lazy);
    for request in events::requests(&sent) {
        assert_eq!(sender.post(server.address, &request).unwrap().status, 200);
    }
    server.running.kill();
    let place = lazy.with("RINGLAKE_FLUSH_INTERVAL", "200ms");

    let path = place.data().join("log/events.redb");
    let mut file = std::fs::read(&path).unwrap();
    let of_calls = sent.iter().filter(|event| event.system == "freshcaller");
    let bodies: Vec<&str> = of_calls.map(|event| event.body.as_str()).collect();
    // None of the last: there it could take no more.
    let marked = bodies[bodies.len() / 2].as_bytes();
    let places = file.windows(marked.len()).enumerate().filter(|(_, bytes)| *bytes == marked);
    let pages: Vec<usize> = places.map(|(at, _)| at / 4096 * 4096).collect();
    assert!(!pages.is_empty());
    for page in pages {
        file[page..page + 4096].fill(0xa5);
    }
    std::fs::write(&path, file).unwrap();

    let server = place.serve(&["serve"]);
    tables::wait_written(&place, sent.len());
    let damaged = "select message from dead_letters where cause = 'damaged' order by message";
    let named = tables::rows(&place, damaged);
    assert!((1..60).contains(&named.len()), "{named:?}");
    let text = named[0]["message"].as_str().unwrap();
    assert!(text.starts_with("the log's record at ringlake.freshcaller/0 offset "), "{text}");
    // It takes more, and keeps it.
    let unknown = events::unknown();
    assert_eq!(sender.post(server.address, &[unknown]).unwrap().status, 200);
    tables::wait_written(&place, sent.len() + 1);
    assert_eq!(server.running.stop(), Some(0));

    let verified = place.run(&["verify"]);
    assert_eq!(verified.code, Some(1), "{verified:?}");
    let said = verified.out + &verified.err;
    let count = said.matches("is not what was written there").count();
    assert!(
        count > 0 && said.contains("the log's record at ringlake.freshcaller/0 offset"),
        "{said}"
    );
    let dumped = place.run(&["log", "dump"]);
    assert_eq!(dumped.code, Some(1));
    assert_eq!(dumped.out.lines().count(), sent.len() + 1 - named.len());
    assert!(dumped.err.contains("records of the log are damaged, and left out"), "{dumped:?}");
}

#[test]
fn a_torn_commit_is_refused_and_repaired_from_the_log() {
    let sent = sample();
    let expected = tables::reference(&sent);
    for (length, what) in [(0, "is empty"), (200, "is cut short")] {
        let place = Place::new();
        let server = place.serve(&["serve"]);
        let sender = Sender::new(&place);
        for request in events::requests(&sent) {
            assert_eq!(sender.post(server.address, &request).unwrap().status, 200);
        }
        tables::wait_written(&place, tables::events_in(&expected));
        assert_eq!(server.running.stop(), Some(0));

        let log = place.data().join("tables/calls/_delta_log");
        let mut commits: Vec<_> =
            std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path()).collect();
        commits.sort();
        let newest = std::fs::File::options().write(true).open(commits.last().unwrap()).unwrap();
        newest.set_len(length).unwrap();
        let refused = place.run(&["serve"]);
        assert_eq!(refused.code, Some(1));
        assert!(
            refused.err.contains(what) && refused.err.contains("verify --repair"),
            "{refused:?}"
        );
        assert_eq!(place.run(&["verify"]).code, Some(1));

        for point in points(REPAIR) {
            die_at(&place, &point, &["verify", "--repair"]);
        }
        place.ok(&["verify", "--repair"]);
        let server = place.serve(&["serve"]);
        tables::wait_written(&place, tables::events_in(&expected));
        assert_eq!(server.running.stop(), Some(0));
        tables::positions(&place);
        tables::assert_same(&tables::contents(&place), &expected);
        place.ok(&["verify"]);
    }
}
