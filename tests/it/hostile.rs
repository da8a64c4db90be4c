//! Bodies that nobody should send, through the real door of every system: each gets an answer, is found
//! whole in a row or a dead letter, and harms no event beside it.

use serde_json::{Value, json};

use crate::harness::http::{self, Response};
use crate::harness::process::{Place, Server};
use crate::harness::tables;
use crate::harness::wait::wait_until;

const SYSTEMS: &[&str] = &["freshcaller", "freshsales", "vonage", "voipnow"];
const SECRET: &str = "iparams5ecret";

/// A body that its system knows, and which no other body repeats.
fn good(system: &str, n: usize) -> String {
    match system {
        "freshcaller" => json!({"event": "onCallCreate", "timestamp": 1_772_323_200 + n, "account_id": "a",
            "data": {"call": {"id": n}}}),
        "freshsales" => json!({"event": "onDealCreate", "timestamp": 1_772_323_200 + n, "account_id": "a",
            "data": {"deal": {"id": n, "name": format!("deal {n}")}}}),
        "vonage" => json!({"specversion": "1.0", "type": "channel.held.v1", "id": format!("id-{n}"),
            "source": "/channel", "time": "2026-03-01T00:00:01Z",
            "data": {"timestamp": "2026-03-01T00:00:00Z", "channel": {"channelId": "c", "interactionId": "i"}}}),
        _ => json!({"CallID": format!("call-{n}"), "CallStatus": "CALLING", "CallFlow": "IN"}),
    }
    .to_string()
}

/// The good body with one more member at its end.
fn with_member(good: &str, member: &str) -> Vec<u8> {
    format!("{},{member}}}", good.strip_suffix('}').unwrap()).into_bytes()
}

fn post(server: &Server, route: &str, body: &[u8]) -> Response {
    let begun = std::time::Instant::now();
    let answer = server.try_post(route, body).unwrap();
    let took = begun.elapsed();
    assert!(took.as_secs() < 30, "{route} took {took:?} for {} bytes", body.len());
    answer
}

/// Everything that could be in a table, as text.
fn everything(place: &Place) -> String {
    let tables =
        ["calls", "deals", "channel_events", "dead_letters", "field_labels", "field_changes"];
    let columns = |table: &str| match table {
        "dead_letters" => "*, encode(body, 'hex') as hex, try_cast(body as varchar) as text",
        _ => "*",
    };
    let select = |table: &&str| {
        place.ok(&[
            "query",
            &format!("select {} from {table}", columns(table)),
            "--format",
            "ndjson",
        ])
    };
    tables.iter().map(select).collect()
}

#[test]
fn bodies_that_are_no_events_become_letters_and_harm_none_beside_them() {
    let place = Place::new();
    let server = place.serve(&["serve"]);
    let deep = "[".repeat(10_000);
    let nested = format!("{{\"a\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let bodies: [&[u8]; 8] = [
        b"\xff\xfe\x80",
        b"{\"event\":\"on\xc3\x28\"}",
        b"{\"event\":\"onDealUpdate\",\"data\":{\"deal",
        b"\0\0\0",
        b"{\"event\":\"a\0b\"}",
        deep.as_bytes(),
        nested.as_bytes(),
        b"{\"iparams\":{\"key\":\"iparams5ecret\"},\"event\":",
    ];
    let (mut letters, mut written) = (0, 0);
    for (s, system) in SYSTEMS.iter().enumerate() {
        let route = place.route(system);
        for (b, body) in bodies.iter().enumerate() {
            let answer = post(&server, &route, body);
            assert_eq!(answer.status, 200, "{system} {b}: {answer:?}");
            assert_eq!(answer.json()["dead_lettered"], 1, "{system} {b}: {answer:?}");
            letters += 1;
            // As one line among lines, where it is one.
            let n = 100 * s + 10 * b;
            if body.contains(&b'\n') {
                continue;
            }
            let lines =
                [good(system, n).as_bytes(), body, good(system, n + 1).as_bytes()].join(&b'\n');
            let answer = post(&server, &route, &lines);
            assert_eq!(answer.status, 200, "{system} {b}: {answer:?}");
            assert_eq!(answer.json()["accepted"], 2, "{system} {b}: {answer:?}");
            written += 2;
        }
    }
    // The same bytes on the same route are one letter.
    let stands = "select (select count(*) from dead_letters) + 1000 * ((select count(*) from calls) \
         + (select count(*) from deals) + (select count(*) from channel_events))";
    wait_until("all to be written", || tables::number(&place, stands) == letters + 1000 * written);
    assert!(!everything(&place).contains(SECRET), "iparams are in a table");
    assert_eq!(server.running.stop(), Some(0));
    assert!(!place.ok(&["log", "dump"]).contains(SECRET), "iparams are in the log");
    place.ok(&["verify"]);
}

#[test]
fn strange_values_are_kept_to_the_digit() {
    let place = Place::new();
    let server = place.serve(&["serve"]);
    let digits = "1234567890".repeat(100);
    let members = [
        format!("\"many_digits\":{digits}"),
        format!("\"fraction\":0.{digits},\"power\":1e999999999"),
        "\"nul\":\"a\\u0000b\",\"lone\":\"\\ud83d\\ude00\"".to_owned(),
        "\"twice\":\"first\",\"twice\":\"second\"".to_owned(),
        format!(
            "\"iparams\":{{\"key\":\"{SECRET}\"}},\"inner\":\"{{\\\"iparams\\\":\\\"{SECRET}\\\"}}\""
        ),
        format!("\"deep\":{}1{}", "[".repeat(50), "]".repeat(50)),
    ];
    for system in SYSTEMS {
        let route = place.route(system);
        for (n, member) in members.iter().enumerate() {
            let answer = post(&server, &route, &with_member(&good(system, n), member));
            assert_eq!(
                (answer.status, &answer.json()),
                (200, &json!({"accepted": 1})),
                "{system} {member}"
            );
        }
    }
    // In the record itself, where fields become columns.
    let record = format!(
        "{{\"event\":\"onDealCreate\",\"timestamp\":1772323300,\"data\":{{\"deal\":{{\"id\":9,{}}}}}}}",
        members.join(",")
    );
    assert_eq!(post(&server, &place.route("freshsales"), record.as_bytes()).status, 200);
    wait_until("all to be written", || tables::events_written(&place) == 4 * members.len() + 1);
    // What is JSON inside a text is escaped once more.
    let all = everything(&place).replace("\\\\", "\\");
    for (what, times) in
        [(&*digits, 2 * 4 + 2), ("a\\u0000b", 4), ("1e999999999", 5), ("second", 5)]
    {
        let found = all.matches(what).count();
        assert!(found >= times, "{what} is there {found} times, not {times}");
    }
    assert!(!all.contains(SECRET), "iparams are in a table");
    assert_eq!(tables::number(&place, "select count(*) from dead_letters"), 0);
    let twice = tables::rows(&place, "select twice, extra from deals where id = 9");
    assert_eq!(twice[0]["twice"], "second", "the last wins");
    assert!(twice[0]["extra"].as_str().unwrap().contains("first"), "{twice:?}");
    let metrics = http::get(server.address, "/metrics").unwrap().body;
    let counted = metrics.lines().find_map(|line| {
        line.strip_prefix("ringlake_transform_duplicate_keys_total ")?.parse::<f64>().ok()
    });
    assert!(counted.is_some_and(|count| count >= 1.0), "{counted:?}");
}

#[test]
fn a_million_keys_are_refused_or_kept_and_take_bounded_time_and_memory() {
    let keys: Vec<String> = (0..1_000_000).map(|n| format!("\"key{n}\":{n}")).collect();
    let body = format!(
        "{{\"event\":\"onDealUpdate\",\"timestamp\":1772323300,\"data\":{{\"deal\":{{\"id\":1,{}}}}}}}",
        keys.join(",")
    );
    let place = Place::new();
    let server = place.serve(&["serve"]);
    let route = place.route("freshsales");
    let refused = post(&server, &route, body.as_bytes());
    assert_eq!(refused.status, 413, "{refused:?}");
    assert_eq!(server.running.stop(), Some(0));

    let place = place
        .with("RINGLAKE_LIMITS_MAX_BODY", "32 MiB")
        .with("RINGLAKE_LIMITS_MAX_EVENT", "32 MiB");
    let server = place.serve(&["serve"]);
    assert_eq!(post(&server, &route, body.as_bytes()).status, 200);
    assert_eq!(post(&server, &route, good("freshsales", 2).as_bytes()).status, 200);
    wait_until("both to be written", || tables::events_written(&place) == 2);
    let peak = server.running.peak_memory_mib();
    assert!(peak < 1024, "it took {peak} MiB");
    let row = tables::rows(&place, "select key999999, extra from deals where id = 1");
    // Of repeated keys the last counts, so an object is read from its end.
    assert_eq!(row[0]["key999999"], 999_999);
    let extra: Value = serde_json::from_str(row[0]["extra"].as_str().unwrap()).unwrap();
    assert_eq!(extra["key0"], 0);
    let columns = tables::columns(&place, "deals", "key");
    assert_eq!(columns + extra.as_object().unwrap().len(), 1_000_000);
}

#[test]
fn cloud_events_come_alone_in_batches_and_in_binary_mode() {
    let place = Place::new();
    let server = place.serve(&["serve"]);
    let route = place.route("vonage");
    let send = |media_type: &str, more: &[(&str, &str)], body: &str| {
        let headers = [&[("content-type", media_type)], more].concat();
        http::post(server.address, &route, &headers, body.as_bytes()).unwrap()
    };
    let batch = format!("[{},{}]", good("vonage", 1), good("vonage", 2));
    for (media_type, body, accepted) in [
        ("application/cloudevents-batch+json", &batch, 2),
        (
            "application/cloudevents-batch+json; charset=UTF-8",
            &format!("[{}]", good("vonage", 3)),
            1,
        ),
        ("application/cloudevents+json", &good("vonage", 4), 1),
    ] {
        let answer = send(media_type, &[], body);
        assert_eq!(
            (answer.status, &answer.json()),
            (200, &json!({"accepted": accepted})),
            "{media_type}"
        );
    }
    let empty = send("application/cloudevents-batch+json", &[], "[]");
    assert_eq!(empty.status, 400, "{empty:?}");
    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-type", "channel.held.v1"),
        ("ce-id", "id-5"),
        ("ce-source", "/channel"),
        ("ce-time", "2026-03-01T00:00:01Z"),
    ];
    let data: Value = serde_json::from_str(&good("vonage", 5)).unwrap();
    let answer = send("application/json", &binary, &data["data"].to_string());
    assert_eq!((answer.status, &answer.json()), (200, &json!({"accepted": 1})));
    let odd =
        send("application/cloudevents-batch+json", &[], &format!("[{},7]", good("vonage", 6)));
    assert_eq!((odd.status, &odd.json()["dead_lettered"]), (200, &json!(1)), "{odd:?}");

    wait_until("all to be written", || tables::events_written(&place) == 7);
    let rows = tables::rows(
        &place,
        "select event_key, phase, interaction_id, extra from channel_events order by event_key",
    );
    let keys: Vec<&str> = rows.iter().map(|row| row["event_key"].as_str().unwrap()).collect();
    let expected: Vec<String> =
        (1..=6).map(|n| format!("/channel:id-{n}:channel.held.v1")).collect();
    assert_eq!(keys, expected);
    for row in &rows {
        let same = row.iter().filter(|(name, _)| *name != "event_key");
        assert!(same.eq(rows[0].iter().filter(|(name, _)| *name != "event_key")), "{row:?}");
    }
}
