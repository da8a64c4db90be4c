//! `ringlake query` without a statement, at a real terminal: what is typed, and what is shown.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::process::{BINARY, Place};
use crate::reports::filled;

const PROMPT: &str = "ringlake> ";

/// Types these steps at a terminal; returns what was shown.
fn at_terminal(place: &Place, arguments: &[&str], steps: &[Value]) -> String {
    let python = std::env::var("RINGLAKE_TEST_PYTHON").expect("start the tests with tests/run");
    let driver = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/terminal.py");
    let mut command = Command::new(python);
    place.prepare(&mut command);
    command.env("XDG_STATE_HOME", place.path().join("state"));
    command.arg(driver).arg(BINARY).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(steps).unwrap()).unwrap();
    let ended = child.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&ended.stdout).into_owned();
    let wrong = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{wrong}\n{shown}");
    shown
}

fn types(text: &str, expect: &str) -> Value {
    json!({"type": text, "expect": expect})
}

/// What brings the prompt back.
fn asks(text: &str, expect: &str) -> [Value; 2] {
    [types(&format!("{text}\r"), expect), types("", PROMPT)]
}

#[test]
fn a_session_answers_explains_and_goes_on() {
    let place = filled();
    let mut steps = vec![types("", PROMPT)];
    for (text, expect) in [
        ("select count(*) as calls\rfrom calls_current;", "(1 row)"),
        ("select 'a;b' as x; select 40 + 2 as y;", "42"),
        ("select agnt_id from calls_current;", "did you mean agent_id"),
        ("selec 1;", "  1 | selec 1"),
        ("\\timing", "timing is on"),
        ("select 1 as one;", " s)"),
        ("\\d", "calls_current"),
        ("\\d deals", "Deal stage"),
        ("\\d weather", "unknown table"),
        ("\\df", "phone_e164(number, country)"),
        (
            "\\export calls.csv select call_id, agent_id from calls_current order by 1;",
            "written to calls.csv",
        ),
        ("\\format csv", "answers come as csv"),
        ("select 7 as seven, null as nothing;", "seven,nothing"),
        ("drop table calls;", "queries only read"),
        ("\\what", "there is no \\what"),
    ] {
        steps.extend(asks(text, expect));
    }
    steps.push(json!({"type": "\\q\r", "ends": 0}));
    let shown = at_terminal(&place, &["query"], &steps);
    // The mark stands below the word that is wrong.
    assert!(shown.contains("  1 | select agnt_id from calls_current\n             ^"), "{shown}");
    let exported = std::fs::read_to_string(place.path().join("calls.csv")).unwrap();
    assert_eq!(exported, "call_id,agent_id\n1,694\n2,694\n3,700\n4,700\n");
}

#[test]
fn what_was_typed_is_kept_and_tab_completes() {
    let place = filled();
    let first = [&[types("", PROMPT)][..], &asks("select 123456 as kept;", "123,456")].concat();
    let end = [json!({"type": "\u{4}", "ends": 0})];
    at_terminal(&place, &["query"], &[&first[..], &end].concat());
    let again = [
        types("", PROMPT),
        types("\u{1b}[A", "select 123456 as kept;"),
        types("\u{3}", PROMPT),
        // Tables after FROM, and columns of the table that is named.
        types("select count(*) as n from calls_cur\t;\r", "(1 row)"),
        types("", PROMPT),
        types("select max(calls.bill_dur\t) as longest from calls;", "longest"),
    ];
    let shown = at_terminal(&place, &["query"], &[&again[..], &asks("", "180"), &end].concat());
    assert!(shown.contains("from calls_current;"), "{shown}");
    let history = place.path().join("state/ringlake/history");
    let mode = std::os::unix::fs::PermissionsExt::mode(&history.metadata().unwrap().permissions());
    assert_eq!(mode & 0o077, 0, "others can read what was typed");
}

#[test]
fn ctrl_c_stops_the_statement_and_not_the_session() {
    let place = filled();
    let endless = "select sum(a.value * b.value) from generate_series(1, 100000000) a, generate_series(1, 100000000) b;\r";
    at_terminal(
        &place,
        &["query"],
        &[
            types("", PROMPT),
            // Long enough for the sign that it takes long.
            types(endless, "Ctrl-C stops"),
            json!({"type": "\u{3}", "expect": "stopped", "within": 5}),
            types("", PROMPT),
            // A line that is not wanted goes, and nothing else.
            types("select 1 \u{3}", PROMPT),
            types("select 40 + 2 as y;\r", "42"),
            types("", PROMPT),
            json!({"type": "\u{4}", "ends": 0}),
        ],
    );
}

#[test]
fn a_limit_of_time_ends_a_statement_too() {
    let place = filled();
    let sql = "select sum(a.value * b.value) from generate_series(1, 100000000) a, generate_series(1, 100000000) b";
    let ended = place.run(&["query", "--timeout", "500ms", sql]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.err.contains("took longer than"), "{}", ended.err);
    let ended = place.run(&["query", "--max-memory", "lots", "select 1"]);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(ended.err.contains("write it like"), "{}", ended.err);
}

#[test]
fn the_schema_tells_types_meanings_and_labels() {
    let place = filled();
    let all = place.ok(&["schema", "--format", "csv"]);
    assert!(all.contains("calls_current,view,\"the newest state of one call"), "{all}");
    assert!(!all.contains("\n_"), "steps on the way are nobody's business: {all}");
    let deals = place.ok(&["schema", "deals", "--format", "csv"]);
    assert!(deals.starts_with("column,type,meaning,label\nsystem,text,"), "{deals}");
    assert!(
        deals.contains("\ndeal_stage_id,bigint,the stage; deal_stages has its name,Deal stage\n"),
        "{deals}"
    );
    let calls = place.ok(&["schema", "calls_current", "--format", "csv"]);
    assert!(
        calls.contains("\ncost,\"decimal(38, 9)\",\"money, exact, in currency\",\n"),
        "{calls}"
    );
    let columns = place.ok(&["schema", "--columns", "--format", "csv"]);
    assert!(
        columns.contains("\ndeals,amount,") && columns.contains("\nprogress,position,"),
        "{columns}"
    );
    let unknown = place.run(&["schema", "deal"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.err.contains("did you mean deals"), "{}", unknown.err);
}

#[test]
fn functions_know_zones_and_business_hours() {
    let place = filled();
    let office =
        "[calendars.office]\ntime_zone = 'Europe/Berlin'\nhours = { mon-sun = '09:00-17:30' }\n";
    place.file("ringlake.toml", office);
    // Call 3 began at 00:59:59 UTC, a second before the clocks of Berlin were put forward.
    let sql = "select call_id, local_time(started_at, 'Europe/Berlin') as shown, \
               business_seconds(started_at, started_at + interval '12 hours', 'office') as seconds, \
               country_of('+4930111') as country \
               from calls_current where call_id in ('3', '4') order by call_id";
    assert_eq!(
        place.ok(&["query", "--format", "csv", sql]),
        "call_id,shown,seconds,country\n\
         3,2026-03-29T01:59:59,21599,DE\n\
         4,2026-03-29T03:00:00,21600,DE\n"
    );
    for (sql, says) in [
        ("select local_time(now(), 'Europe/Berln')", "did you mean Europe/Berlin"),
        ("select business_seconds(now(), now(), 'ofice')", "unknown calendar \"ofice\""),
        (
            "select business_seconds(started_at, ended_at, 'ofice') from calls_current",
            "did you mean office?",
        ),
    ] {
        let refused = place.run(&["query", sql]);
        assert_eq!(refused.code, Some(1), "{sql}: {refused:#?}");
        assert!(refused.err.contains(says), "{sql}: {}", refused.err);
    }
    place.file("ringlake.toml", office.replace("17:30", "8"));
    let refused = place.run(&["check"]);
    assert_eq!(refused.code, Some(2), "{refused:#?}");
    assert!(refused.err.contains("ringlake.toml:1: \"09:00-8\" are no hours"), "{}", refused.err);
}
