//! What people and networks do wrong: each gets an answer that says what to mend, and costs nothing
//! that was received before.

use std::process::Command;

use crate::harness::events;
use crate::harness::http;
use crate::harness::kafka::{self, Broker};
use crate::harness::process::{Place, Server};
use crate::harness::tables;
use crate::harness::wait::{wait_for, wait_until};

/// A served place and the route of one system.
fn served() -> (Place, Server, String) {
    let place = Place::new();
    let server = place.serve(&["serve"]);
    let route = place.route("freshcaller");
    (place, server, route)
}

fn dead_letters(place: &Place) -> i64 {
    tables::number(place, "select count(*) from dead_letters")
}

#[test]
fn what_cannot_be_read_is_kept_and_answered_200() {
    let (place, server, route) = served();
    let answer = server.post(&route, r#"{"event": "onCallCreate", "data": {"call"#);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["dead_lettered"], 1);
    let answer = server.post(&route, events::unknown().body);
    assert_eq!(answer.status, 200, "{answer:?}");

    wait_until("both dead letters", || dead_letters(&place) == 2);
    let letters =
        tables::rows(&place, "select cause, arrow_cast(body, 'Utf8') as body from dead_letters");
    let bodies: Vec<&str> = letters.iter().map(|row| row["body"].as_str().unwrap()).collect();
    assert!(bodies.contains(&r#"{"event": "onCallCreate", "data": {"call"#), "{letters:?}");
    assert!(letters.iter().all(|row| !row["cause"].as_str().unwrap().is_empty()));
}

#[test]
fn requests_that_are_wrong_are_told_why() {
    let (place, server, route) = served();
    let good = events::fixture("freshcaller/onCallCreate.json");
    let wrong_token = route.replace(route.rsplit('/').next().unwrap(), "not-the-token");
    let json = "application/json";
    for (path, media_type, status, says) in [
        (wrong_token.as_str(), json, 401, "token"),
        ("/webhooks/freshcaller", json, 401, "token"),
        ("/webhooks/freshcall", json, 404, "freshcaller"),
        ("/webhooks/freshcall", json, 404, "voipnow"),
        (&route, "image/png", 415, "application/json"),
    ] {
        let headers = [("content-type", media_type)];
        let answer = http::post(server.address, path, &headers, &good).unwrap();
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        let body = answer.json().to_string();
        assert!(body.contains(says), "{path}: {body} does not say {says}");
    }
    assert_eq!(server.post(&route, good).status, 200, "the right request still is");
    wait_until("it alone to be written", || tables::events_written(&place) == 1);
}

#[test]
fn a_body_of_300_mb_is_refused_and_never_held() {
    let (_place, server, route) = served();
    let json = [("content-type", "application/json")];
    let before = server.running.peak_memory_mib();
    for announced in [true, false] {
        let answer =
            http::post_endless(server.address, &route, &json, 300_000_000, announced).unwrap();
        assert_eq!(answer.status, 413, "{answer:?}");
        assert!(!answer.json().to_string().is_empty());
    }
    let grown = server.running.peak_memory_mib() - before;
    assert!(grown < 100, "the server grew by {grown} MiB");
    assert_eq!(server.post(&route, events::fixture("freshcaller/onCallCreate.json")).status, 200);
}

#[test]
fn a_folder_that_is_served_already_names_the_process() {
    let (place, server, _route) = served();
    let second = place.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, Some(1), "{second:#?}");
    let pid = server.running.pid().to_string();
    assert!(second.err.contains(&pid), "{} does not name {pid}", second.err);
}

#[test]
fn a_broker_that_is_down_means_503_until_it_is_back() {
    let mut broker = Broker::start();
    let place = Place::new().with("RINGLAKE_LOG_KAFKA_TOPIC_PREFIX", &kafka::topic_prefix());
    let server = place.serve(&["serve", "--kafka", &broker.address()]);
    let route = place.route("freshcaller");
    let first = events::fixture("freshcaller/onCallCreate.json");
    assert_eq!(server.post(&route, first).status, 200);

    broker.kill();
    let second = events::fixture("freshcaller/onCallUpdate.json");
    let refused = server.post(&route, &second);
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    wait_until("the server to say that it is not ready", || !server.is_ready());
    assert_eq!(http::get(server.address, "/healthz").unwrap().status, 200, "it lives all the same");

    broker.restart();
    server.wait_ready();
    wait_for("the server to take it again", || {
        server.try_post(&route, &second).ok().filter(|answer| answer.status == 200)
    });
    wait_until("both events to be written", || tables::events_written(&place) == 2);
    tables::positions(&place);
}

#[test]
fn a_full_disk_means_503_until_there_is_space() {
    let place = Place::new();
    // No file of this process may grow past the limit; what does is told "file too large", like "no
    // space left" on a full disk.
    let mut limited = Command::new("bash");
    place.prepare(&mut limited);
    let address = crate::harness::process::free_address();
    let serve = format!(
        "trap '' XFSZ; exec prlimit --fsize={}:unlimited {} serve --listen {address}",
        12 << 20,
        env!("CARGO_BIN_EXE_ringlake")
    );
    limited.args(["-c", &serve]);
    let server = Server { running: place.start("serve", limited), address };
    server.wait_ready();
    let route = place.route("freshcaller");

    let mut accepted = 0;
    let refused = wait_for("the disk to be full", || {
        let answer = server.post(&route, large_event(accepted));
        if answer.status == 200 {
            accepted += 1;
            return None;
        }
        Some(answer)
    });
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");

    let pid = server.running.pid().to_string();
    let freed = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status();
    assert!(freed.unwrap().success());
    wait_for("the server to take events again", || {
        let answer = server.try_post(&route, large_event(accepted).as_bytes());
        answer.ok().filter(|answer| answer.status == 200)
    });
    wait_until("what was acknowledged to be written", || {
        tables::events_written(&place) as u64 == accepted + 1
    });
    server.wait_ready();
}

/// An event of nearly a megabyte, which is the most that the log takes.
fn large_event(number: u64) -> String {
    let mut state = number + 1;
    let noise: String = std::iter::repeat_with(|| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + u8::try_from((state >> 33) % 26).unwrap())
    })
    .take(900_000)
    .collect();
    let event = events::fixture("freshcaller/onCallCreate.json");
    let mut event: serde_json::Value = serde_json::from_slice(&event).unwrap();
    event["timestamp"] = serde_json::json!(1_583_839_686 + number);
    event["data"]["call"]["notes"] = serde_json::json!(noise);
    event.to_string()
}

#[test]
fn wrong_commands_name_what_would_be_right() {
    let place = Place::new();
    place.file("one.ndjson", events::envelopes(&events::fixtures()));
    place.ok(&["import", "--enveloped", "one.ndjson"]);
    let cases: &[(&[&str], i32, &str)] = &[
        (&["report", "call-costs"], 2, "call-cost"),
        (&["report", "call-cost", "--by", "agnet"], 2, "agent"),
        (&["report", "call-cost", "--tz", "Europe/Berlim"], 2, "Europe/Berlin"),
        (&["report", "call-cost", "--since", "2026-03-02", "--until", "2026-03-01"], 2, "--until"),
        (&["query", "select cal_id from calls"], 1, "call_id"),
        (&["query", "select * from cals"], 1, "calls"),
        (&["query", "delete from calls"], 1, "read"),
        (&["import", "--system", "freshcall", "one.ndjson"], 2, "freshcaller"),
        (&["import", "--system", "freshcaller", "absent.ndjson"], 1, "absent.ndjson"),
        (&["export", "run", "absent"], 1, "absent"),
        (&["serv"], 2, "serve"),
    ];
    for (arguments, code, says) in cases {
        let ended = place.run(arguments);
        assert_eq!(ended.code, Some(*code), "{arguments:?}: {ended:#?}");
        assert!(ended.err.contains(says), "{arguments:?}: {} does not say {says}", ended.err);
        assert_eq!(ended.out, "", "{arguments:?}: nothing but data goes to stdout");
    }
}

#[test]
fn an_empty_folder_answers_with_nothing_and_a_hint() {
    let place = Place::new();
    for arguments in [
        &["query", "select * from calls", "--format", "csv"][..],
        &["query", "select call_id, cost from calls_current", "--format", "csv"],
        &["report", "call-cost", "--format", "csv"],
        &["report", "bill-duration", "--format", "csv"],
        &["report", "deal-changes", "--format", "csv"],
    ] {
        let ended = place.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:#?}");
        assert_eq!(ended.out.lines().count(), 1, "{arguments:?}: only the header: {ended:#?}");
        assert!(!ended.err.trim().is_empty(), "{arguments:?}: no hint");
    }
}
