//! Dead letters: listed, shown, tried again once however often that is asked, and dropped; with a server
//! and without, over both logs, and through death at every step.

use serde_json::Value;

use crate::crash;
use crate::harness::events;
use crate::harness::letters::{OldLetter, leave};
use crate::harness::process::{Ended, Place};
use crate::harness::wait::wait_until;
use crate::harness::{kafka, tables};

/// Long before every window that the memory of repeats reaches back.
const LONG_AGO: i64 = 1_583_839_690_000_000;

fn old_call<'a>(id: &'a str, stage: &'a str, call: u32) -> OldLetter<'a> {
    OldLetter {
        id,
        system: "freshcaller",
        route: None,
        stage,
        received_at: LONG_AGO + i64::from(call),
        body: call_body(call),
    }
}

fn call_body(call: u32) -> Vec<u8> {
    let event = events::fixture("freshcaller/onCallCreate.json");
    let mut event: Value = serde_json::from_slice(&event).unwrap();
    event["data"]["call"]["id"] = call.into();
    event.to_string().into_bytes()
}

/// How many calls, legs and rows of letters there are.
fn counts(place: &Place) -> (i64, i64, i64) {
    let count = |table: &str| tables::number(place, &format!("select count(*) from {table}"));
    (count("calls"), count("call_participants"), count("dead_letters"))
}

fn open(place: &Place) -> i64 {
    tables::number(place, "select count(*) from dead_letters_current where is_open")
}

/// The outcome of each letter, by id.
fn outcomes(place: &Place) -> Vec<(String, String)> {
    let sql = "select id, coalesce(outcome, '-') as outcome from dead_letters_current order by id";
    let text =
        |row: &serde_json::Map<String, Value>, key: &str| row[key].as_str().unwrap().to_owned();
    tables::rows(place, sql).iter().map(|row| (text(row, "id"), text(row, "outcome"))).collect()
}

fn pairs(outcomes: &[(String, String)]) -> Vec<(&str, &str)> {
    outcomes.iter().map(|(id, outcome)| (id.as_str(), outcome.as_str())).collect()
}

fn retry(place: &Place, arguments: &[&str]) -> Ended {
    let ended = place.run(&[&["dead-letters", "retry"], arguments].concat());
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.out, "", "nothing but data goes to stdout");
    ended
}

#[test]
fn they_are_listed_by_cause_shown_with_what_would_mend_them_and_dropped() {
    let place = Place::new();
    let bad = "{\"event\": \"onDealUpdate\", \"data\": {\"deal\u{0}";
    let lines = [events::unknown().body, events::unknown().body.replace('1', "2"), bad.to_owned()];
    place.file("lines.ndjson", lines.join("\n"));
    place.ok(&["import", "--system", "freshsales", "lines.ndjson"]);

    let list = place.ok(&["dead-letters", "list", "--format", "ndjson"]);
    let groups: Vec<Value> = list.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(groups.len(), 2, "{list}");
    assert_eq!((&groups[0]["cause"], &groups[0]["letters"]), (&"unknown-event".into(), &2.into()));
    assert_eq!((&groups[1]["cause"], &groups[1]["stage"]), (&"not-json".into(), &"decode".into()));

    let each = ["dead-letters", "list", "--each", "--cause", "not-json", "--format", "ndjson"];
    let letter: Value = serde_json::from_str(&place.ok(&each)).unwrap();
    let id = letter["id"].as_str().unwrap();
    let shown = place.run(&["dead-letters", "show", id]);
    assert_eq!((shown.code, shown.out.as_str()), (Some(0), bad));
    for says in ["freshsales", "not-json (decode)", "the body is no JSON", "to mend it", id] {
        assert!(shown.err.contains(says), "{says}: {}", shown.err);
    }
    let record = place.ok(&["dead-letters", "show", id, "--format", "ndjson"]);
    let record: Value = serde_json::from_str(&record).unwrap();
    assert_eq!((&record["body"], &record["is_open"]), (&bad.into(), &true.into()));

    let all = ["dead-letters", "drop", "--cause", "unknown-event"];
    assert!(place.run(&all).err.contains("2 dropped"), "{:#?}", place.run(&all));
    assert!(place.run(&all).err.contains("nothing to do"));
    assert_eq!(open(&place), 1);
    let refused = retry(&place, &["--all"]);
    assert!(refused.err.contains("1 still cannot be used"), "{refused:#?}");
    let listed = |more: &[&str]| {
        let list = ["dead-letters", "list", "--each", "--format", "ndjson"];
        place.ok(&[&list[..], more].concat()).lines().count()
    };
    assert_eq!((listed(&[]), listed(&["--all"]), listed(&["--all", "--limit", "2"])), (1, 3, 2));
    place.ok(&["verify"]);
}

#[test]
fn mistakes_are_told() {
    let place = Place::new();
    leave(&place, &[old_call("import:old/0/1", "flatten", 1)]);
    let cases: &[(&[&str], i32, &str)] = &[
        (&["retry"], 2, "--all"),
        (&["retry", "nowhere/0/1"], 1, "nowhere/0/1"),
        (&["retry", "import:old/0/1", "nowhere/0/1"], 1, "nowhere/0/1"),
        (&["drop", "--system", "freshcall"], 2, "freshcaller"),
        (&["retry", "--all", "--cause", "x"], 2, "--all"),
        (&["show", "it's"], 1, "it's"),
    ];
    for (arguments, code, says) in cases {
        let ended = place.run(&[&["dead-letters"], *arguments].concat());
        assert_eq!(ended.code, Some(*code), "{arguments:?}: {ended:#?}");
        assert!(ended.err.contains(says), "{arguments:?}: {} does not say {says}", ended.err);
    }
    assert_eq!(open(&place), 1, "none of this did anything");
}

#[test]
fn a_retry_writes_what_can_be_used_by_now_once_and_for_all() {
    let place = Place::new();
    // The last is an event that the vendor sent again, long ago, and that is in the tables.
    let hangup = OldLetter {
        id: "import:old/0/3",
        system: "voipnow",
        route: Some("hangup"),
        stage: "flatten",
        received_at: LONG_AGO,
        body: events::fixture("voipnow/hangup.json"),
    };
    let again = old_call("import:old/0/4", "flatten", 4);
    let line = serde_json::json!({
        "system": "freshcaller",
        "received_at": again.received_at + 60_000_000,
        "body": String::from_utf8(again.body.clone()).unwrap(),
    });
    place.file("again.ndjson", line.to_string());
    place.ok(&["import", "--enveloped", "again.ndjson"]);
    let one = old_call("import:old/0/1", "flatten", 1);
    let two = old_call("import:old/0/2", "decode", 2);
    leave(&place, &[one, two, hangup, again]);
    let (calls, legs, letters) = counts(&place);
    assert_eq!((calls, letters), (1, 4));

    let first = retry(&place, &["import:old/0/2", "import:old/0/3"]);
    assert!(first.err.contains("2 written"), "{first:#?}");
    let rest = retry(&place, &["--cause", "older"]);
    assert!(rest.err.contains("1 written, 1 in the tables already"), "{rest:#?}");
    let done = [
        ("import:old/0/1", "written"),
        ("import:old/0/2", "written"),
        ("import:old/0/3", "written"),
        ("import:old/0/4", "repeated"),
    ];
    assert_eq!(pairs(&outcomes(&place)), done);
    assert_eq!(counts(&place), (calls + 3, legs * 3, letters + 4));

    for arguments in [&["--all"][..], &["import:old/0/2"], &["--system", "freshcaller"]] {
        assert!(retry(&place, arguments).err.contains("nothing to do"));
    }
    assert_eq!(counts(&place), (calls + 3, legs * 3, letters + 4), "a second retry adds nothing");
    place.ok(&["verify"]);
    let rows = tables::rows(
        &place,
        "select call_id, phase, system, topic, event_time_basis, \
         arrow_cast(received_at, 'Int64') as received from calls where topic not like 'import%'",
    );
    assert_eq!(rows.len(), 3, "{rows:#?}");
    for row in rows {
        let voipnow = row["system"] == "voipnow";
        assert_eq!(row["topic"], format!("ringlake.{}", row["system"].as_str().unwrap()));
        let received = row["received"].as_i64().unwrap();
        assert!((LONG_AGO..LONG_AGO + 10).contains(&received), "the time of receipt is kept");
        assert_eq!(row["phase"], if voipnow { "hangup" } else { "create" });
        assert_eq!(row["event_time_basis"], if voipnow { "receipt" } else { "vendor" });
    }
}

#[test]
fn what_a_newer_version_knows_is_tried_again_by_itself() {
    let place = Place::new();
    let unknown = OldLetter {
        body: events::unknown().body.into_bytes(),
        ..old_call("import:old/0/3", "recognise", 3)
    };
    let known = old_call("import:old/0/1", "recognise", 1);
    let mended = old_call("import:old/0/2", "flatten", 2);
    leave(&place, &[known, mended, unknown]);
    let expected =
        [("import:old/0/1", "written"), ("import:old/0/2", "-"), ("import:old/0/3", "-")];
    for round in ["an upgrade", "a restart"] {
        let server = place.serve(&["serve"]);
        wait_until("the letter to be written", || pairs(&outcomes(&place)) == expected);
        assert_eq!(server.running.stop(), Some(0), "after {round}");
        assert_eq!(counts(&place).0, 1, "after {round}");
        assert_eq!(counts(&place).2, 4, "after {round}");
    }
}

#[test]
fn a_server_takes_up_what_is_asked_beside_it() {
    let place = Place::new();
    leave(&place, &[old_call("import:old/0/1", "flatten", 1)]);
    let server = place.serve(&["serve"]);
    let route = place.route("freshcaller");
    assert_eq!(server.post(&route, events::unknown().body).status, 200);
    wait_until("both letters", || open(&place) == 2);

    let asked = retry(&place, &["--all"]);
    assert!(asked.err.contains("1 written, 1 still cannot be used"), "{asked:#?}");
    let dropped = place.run(&["dead-letters", "drop", "ringlake.freshcaller/0/0"]);
    assert!(dropped.err.contains("1 dropped"), "{dropped:#?}");
    assert_eq!(open(&place), 0);
    let before = counts(&place);
    assert_eq!(before.0, 1);

    // What is no request is set aside.
    let requests = place.data().join("retries");
    std::fs::write(requests.join("1772323200000001-1.letters"), "no request").unwrap();
    wait_until("it to be set aside", || requests.join("1772323200000001-1.unreadable").exists());
    assert_eq!(server.post(&route, call_body(9)).status, 200, "it lives and receives");
    wait_until("the next event", || counts(&place).0 == 2);
    assert_eq!(counts(&place).2, before.2);
    assert_eq!(server.running.stop(), Some(0));
    place.ok(&["verify"]);
}

#[test]
fn a_server_that_dies_over_a_request_does_once_what_it_asks() {
    for point in crash::points(crash::LETTERS) {
        let place = Place::new();
        leave(&place, &[old_call("import:old/0/1", "flatten", 1)]);
        let armed = place.with("RINGLAKE_FAILPOINT", &point);
        let mut server = armed.serve(&["serve"]);
        let asked = armed.run(&["dead-letters", "retry", "--all", "--wait", "0s"]);
        assert!(asked.err.contains("1 handed to the writer"), "{asked:#?}");
        assert_eq!(server.running.wait_end(), None, "{point} was never reached");
        let place = armed.with("RINGLAKE_FAILPOINT", "");
        let server = place.serve(&["serve"]);
        wait_until("the letter to be written", || open(&place) == 0);
        let asked = retry(&place, &["import:old/0/1"]);
        assert!(asked.err.contains("nothing to do"), "{asked:#?}");
        assert_eq!(server.running.stop(), Some(0));
        assert_eq!((counts(&place).0, counts(&place).2), (1, 2), "{point}");
        place.ok(&["verify"]);
    }
}

/// Each is passed by the batch that writes the letters again.
const POINTS: &[&str] = &[
    "sinks:parquet:after",
    "sinks:commit-call_participants:after",
    "sinks:commit-calls:before",
    "sinks:commit-calls:after",
    "sinks:commit-dead_letters:before",
    "sinks:commit-dead_letters:after",
    "sinks:progress:before",
    "sinks:progress:after",
];

#[test]
fn a_retry_that_dies_at_any_step_is_completed_by_the_next() {
    for point in POINTS {
        let place = Place::new();
        let letters = [
            old_call("import:old/0/1", "flatten", 1),
            old_call("import:old/0/2", "flatten", 2),
            OldLetter { body: b"{".to_vec(), ..old_call("import:old/0/3", "decode", 3) },
        ];
        leave(&place, &letters);
        let arguments = ["dead-letters", "retry", "--all"];
        let died = place.command(&arguments).env("RINGLAKE_FAILPOINT", point).output().unwrap();
        assert_eq!(died.status.code(), None, "{point} was never reached: {died:#?}");
        retry(&place, &["--all"]);
        let done = [
            ("import:old/0/1", "written"),
            ("import:old/0/2", "written"),
            ("import:old/0/3", "refused"),
        ];
        assert_eq!(pairs(&outcomes(&place)), done, "{point}");
        let distinct = tables::number(&place, "select count(distinct call_id) from calls");
        assert_eq!((counts(&place).0, distinct), (2, 2), "{point}");
        place.ok(&["verify"]);
    }
}

#[test]
fn over_kafka_a_letter_goes_back_to_its_partition_and_is_written_once() {
    let (broker, prefix) = (kafka::shared(), kafka::topic_prefix());
    let place = Place::new()
        .with("RINGLAKE_LOG_KAFKA_TOPIC_PREFIX", &prefix)
        .with("RINGLAKE_LOG_KAFKA_GROUP", &prefix)
        // How long the group waits for a member that is dead.
        .with("RINGLAKE_LOG_KAFKA_OPTIONS_SESSION_TIMEOUT_MS", "10000");
    let own = format!("{prefix}freshcaller/4/17");
    leave(&place, &[old_call(&own, "flatten", 1), old_call("import:old/0/2", "flatten", 2)]);
    let kafka = ["--kafka", &broker];
    let door = Place::new().with("RINGLAKE_LOG_KAFKA_TOPIC_PREFIX", &prefix);
    let ingest = door.serve(&[&["ingest"], &kafka[..]].concat());
    let unknown = ingest.post(&door.route("freshcaller"), events::unknown().body);
    assert_eq!(unknown.status, 200, "{unknown:?}");
    let write = || place.start("write", place.command(&[&["write"], &kafka[..]].concat()));
    let writer = write();
    wait_until("the unknown event", || open(&place) == 3);
    assert_eq!(writer.stop(), Some(0));

    // Asked three times while nobody writes.
    for _ in 0..3 {
        let asked = retry(&place, &[&["--all", "--wait", "0s"], &kafka[..]].concat());
        assert!(asked.err.contains("3 handed to the writer"), "{asked:#?}");
    }
    let mut writer = write();
    wait_until("the letters to be written", || open(&place) == 1);
    writer.kill();
    let writer = write();
    let last = retry(&place, &[&["--all"], &kafka[..]].concat());
    assert!(last.err.contains("1 still cannot be used"), "{last:#?}");
    let dropped = place.ok(&[&["dead-letters", "drop", "--all"], &kafka[..]].concat());
    assert_eq!((dropped.as_str(), open(&place)), ("", 0));
    assert_eq!(writer.stop(), Some(0));

    let rows = tables::rows(&place, "select call_id, \"partition\" from calls order by call_id");
    let found: Vec<&str> = rows.iter().map(|row| row["call_id"].as_str().unwrap()).collect();
    assert_eq!(found, ["1", "2"]);
    assert_eq!(rows[0]["partition"], 4, "{rows:?}");
    place.ok(&["verify", "--kafka", &broker]);
}
