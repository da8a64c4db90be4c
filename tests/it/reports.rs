//! The three reports on a day that was computed by hand, from the vendors' payloads to the digits: in
//! UTC, and in a zone in which summer time begins that night.
//!
//! 2026-03-29, 02:00 to 03:00, does not exist in Berlin; midnight there is 23:00 UTC on the 28th.
//! What is told late or out of order, twice, or in part stands in the list of events as it came.

use serde_json::{Value, json};

use crate::harness::process::Place;

/// Calls of account 82918. Each event names its time; the lines are in order of receipt.
///
/// | call | agent | started (UTC) | billed s | customer leg s | cost |
/// | --- | --- | --- | --- | --- | --- |
/// | 1 | 694 | 03-28 22:30:00 | 120 | 95 | 0.06 + 0.012 USD |
/// | 2 | 694 | 03-28 23:30:00 | 60 | 59.5 | 0.1 USD, 0.25 EUR |
/// | 3 | 700 | 03-29 00:59:59 | 180 | 150 | 0.3333 USD, told a day late |
/// | 4 | 700 | 03-29 01:00:00 | none | 45 | none |
fn calls() -> Vec<Value> {
    let call = |time: &str, event: &str, call: Value| {
        json!({"account_id": "82918", "domain": "a.freshcaller.com", "region": "US", "event": event,
            "timestamp": seconds(time), "data": {"call": call, "associations": {},
            "actor": {"type": "system"}, "changes": {}}})
    };
    let begun = |id: i64, agent: i64, time: &str| {
        json!({"id": id, "assigned_agent_id": agent, "direction": "outgoing", "created_time": time,
            "phone_number": "+4930111", "bill_duration": null, "participants": []})
    };
    let leg = |id: i64, party: &str, duration: Value, cost: Value, unit: &str| json!({"id": id, "participant_type": party, "duration": duration, "cost": cost, "cost_unit": unit});
    let ended_1 = call(
        "2026-03-28T22:35:00Z",
        "onCallUpdate",
        json!({"id": 1, "bill_duration": 120, "participants": [
            leg(11, "Customer", json!(95), json!(0.06), "usd"),
            leg(12, "Agent", json!(95), json!(0.012), "usd")]}),
    );
    vec![
        call("2026-03-28T22:30:01Z", "onCallCreate", begun(1, 694, "2026-03-28T22:30:00.000Z")),
        ended_1.clone(),
        // Older than the end, received after it: what it says is no longer so.
        call(
            "2026-03-28T22:31:00Z",
            "onCallUpdate",
            json!({"id": 1, "bill_duration": 30, "assigned_agent_id": 999, "participants": [
                leg(11, "Customer", json!(10), json!(0.01), "usd")]}),
        ),
        // A repeat, and a partial update without legs.
        ended_1,
        call(
            "2026-03-28T22:36:00Z",
            "onCallUpdate",
            json!({"id": 1, "phone_number": "+4930111", "assigned_agent_id": 694, "participants": []}),
        ),
        call("2026-03-28T23:30:01Z", "onCallCreate", begun(2, 694, "2026-03-28T23:30:00.000Z")),
        call(
            "2026-03-28T23:33:00Z",
            "onCallUpdate",
            json!({"id": 2, "bill_duration": 60.0, "participants": [
                leg(21, "Customer", json!(59.5), json!(0.1), "usd"),
                leg(22, "Agent", json!(59), json!(0.25), "eur")]}),
        ),
        call("2026-03-29T01:00:00Z", "onCallCreate", begun(3, 700, "2026-03-29T00:59:59.000Z")),
        call(
            "2026-03-29T01:05:00Z",
            "onCallUpdate",
            json!({"id": 3, "bill_duration": 180, "participants": [
                leg(31, "Customer", json!(150), Value::Null, "usd")]}),
        ),
        call("2026-03-29T01:00:01Z", "onCallCreate", begun(4, 700, "2026-03-29T01:00:00.000Z")),
        call(
            "2026-03-29T01:02:00Z",
            "onCallUpdate",
            json!({"id": 4, "participants": [leg(41, "Customer", json!(45), Value::Null, "usd")]}),
        ),
        call(
            "2026-03-30T01:05:00Z",
            "onCallUpdate",
            json!({"id": 3, "participants": [leg(31, "Customer", Value::Null, json!(0.3333), "usd")]}),
        ),
    ]
}

/// One deal. Stage 2 is called `Lost`, and its forecast type says that it is won.
///
/// | time (UTC) | what changes |
/// | --- | --- |
/// | 03-28 22:00 | stage 1 → 2; amount 1000 → 1234.5, in base currency as well; closed date; bookkeeping |
/// | 03-28 23:30 | stage 2 → 1; amount "1234.50" → 1234.5, which is no change |
/// | 03-29 10:00 | stage 1 → 3, lost; an update that does not tell the base amount: amount −34.5 |
fn deals() -> Vec<Value> {
    let deal = |time: &str, stage: (i64, &str, &str), amount: &str, changes: Value| {
        json!({"account_id": "1958", "event": "onDealUpdate", "timestamp": seconds(time), "data": {
            "actor": {"id": 7, "name": "Jim", "type": "user"},
            "deal": {"id": 100, "name": {"label": "Name", "type": "text", "value": "Big"},
                "deal_stage_id": {"label": "Deal stage", "type": "dropdown", "value": stage.0},
                "amount": {"label": "Deal value", "type": "decimal", "value": amount},
                "base_currency_amount": {"label": "Base", "type": "decimal", "value": amount}},
            "associations": {
                "deal_stage": {"id": stage.0, "name": stage.1, "position": 1, "forecast_type": stage.2},
                "currency": {"id": 1, "currency_code": "USD", "exchange_rate": "1.0"}},
            "changes": {"model_changes": changes, "system_changes": {}, "misc_changes": {}}}})
    };
    let (new, won, lost) =
        ((1, "New", "Open"), (2, "Lost", "Closed Won"), (3, "Dead", "Closed Lost"));
    vec![
        deal(
            "2026-03-28T22:00:00Z",
            won,
            "1234.5",
            json!({"deal_stage_id": [1, 2], "amount": ["1000.0", 1234.5],
                "base_currency_amount": [1000, "1234.50"], "closed_date": ["2026-03-28"],
                "created_at": ["2026-03-01", "2026-03-01"], "updated_at": ["a", "b"]}),
        ),
        deal(
            "2026-03-28T23:30:00Z",
            new,
            "1234.5",
            json!({"deal_stage_id": [2, 1], "amount": ["1234.50", 1234.5]}),
        ),
        deal(
            "2026-03-29T10:00:00Z",
            lost,
            "1200",
            json!({"deal_stage_id": [1, 3], "amount": [1234.5, 1200]}),
        ),
    ]
}

fn seconds(time: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(time).unwrap().timestamp()
}

pub fn filled() -> Place {
    let place = Place::new();
    for (system, events) in [("freshcaller", calls()), ("freshsales", deals())] {
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        let file = format!("{system}.ndjson");
        place.file(&file, lines);
        place.ok(&["import", "--system", system, &file]);
    }
    place
}

fn check(place: &Place, arguments: &[&str], expected: &[&str]) {
    let arguments = [&["report"], arguments, &["--format", "csv"]].concat();
    let got = place.ok(&arguments);
    assert_eq!(got.lines().collect::<Vec<_>>(), expected, "{arguments:?}");
}

#[test]
fn the_digits_of_the_calls_are_those_of_the_hand() {
    let place = filled();
    let check = |arguments: &[&str], expected: &[&str]| check(&place, arguments, expected);
    let cost = "currency,calls,costed_calls,billed_seconds,cost,cost_per_call,cost_per_minute";
    // USD on 03-28: calls 1 and 2, 0.072 + 0.1 for 180 s.
    check(
        &["call-cost", "--by", "day"],
        &[
            &format!("day,{cost}"),
            "2026-03-28,EUR,1,1,60,0.2500,0.250000,0.250000",
            "2026-03-28,USD,2,2,180,0.1720,0.086000,0.057333",
            "2026-03-29,USD,1,1,180,0.3333,0.333300,0.111100",
            "2026-03-29,,1,0,0,,,",
        ],
    );
    // In Berlin call 2 is of the 29th: USD 0.1 + 0.3333 for 240 s, 0.4333 / 4 = 0.108325.
    check(
        &["call-cost", "--by", "day", "--tz", "Europe/Berlin"],
        &[
            &format!("day,{cost}"),
            "2026-03-28,USD,1,1,120,0.0720,0.072000,0.036000",
            "2026-03-29,EUR,1,1,60,0.2500,0.250000,0.250000",
            "2026-03-29,USD,2,2,240,0.4333,0.216650,0.108325",
            "2026-03-29,,1,0,0,,,",
        ],
    );
    // 00:00 to 03:00 in Berlin: calls 2 and 3; call 4 began at 03:00, one second after call 3.
    let night = ["--since", "2026-03-29", "--until", "2026-03-29T03:00", "--tz", "Europe/Berlin"];
    let bill = "calls,billed_calls,billed_seconds,talked_seconds,rounding_seconds,billed_p50,billed_p90,billed_max,unbilled_calls";
    check(
        &[&["bill-duration", "--by", "agent,hour"], night.as_slice()].concat(),
        &[
            &format!("agent,agent_name,hour,{bill}"),
            "694,,0,1,1,60,59.5,0.5,60,60,60,0",
            "700,,1,1,1,180,150,30,180,180,180,0",
        ],
    );
    // All: 120 + 60 + 180 billed, 95 + 59.5 + 150 talked; of 60, 120, 180 the second is the median.
    check(
        &["bill-duration", "--by", "account"],
        &[&format!("account,{bill}"), "82918,4,3,360,304.5,55.5,120,180,180,1"],
    );
}

#[test]
fn the_digits_of_the_deals_are_those_of_the_hand() {
    let place = filled();
    let check = |arguments: &[&str], expected: &[&str]| check(&place, arguments, expected);
    let sums = "changes,deals,amount_delta,won,won_amount,lost,lost_amount,reopened";
    check(
        &["deal-changes", "--by", "day"],
        &[
            &format!("day,{sums}"),
            "2026-03-28,5,1,234.5000,1,1234.5000,0,0.0000,1",
            "2026-03-29,2,1,-34.5000,0,0.0000,1,1200.0000,0",
        ],
    );
    check(
        &["deal-changes", "--by", "day", "--tz", "Europe/Berlin"],
        &[
            &format!("day,{sums}"),
            "2026-03-28,4,1,234.5000,1,1234.5000,0,0.0000,0",
            "2026-03-29,3,1,-34.5000,0,0.0000,1,1200.0000,1",
        ],
    );
    let night = ["--since", "2026-03-29", "--until", "2026-03-30", "--tz", "Europe/Berlin"];
    check(
        &[&["deal-changes"], night.as_slice()].concat(),
        &[
            "changed_at,deal_id,deal_name,field,label,old,old_name,new,new_name,delta,currency,changed_by,changed_by_name",
            "2026-03-29T00:30:00+01:00,100,Big,deal_stage_id,Deal stage,2,Lost,1,New,,USD,7,Jim",
            "2026-03-29T12:00:00+02:00,100,Big,amount,Deal value,1234.5,,1200,,-34.5,USD,7,Jim",
            "2026-03-29T12:00:00+02:00,100,Big,deal_stage_id,Deal stage,1,New,3,Dead,,USD,7,Jim",
        ],
    );
}
