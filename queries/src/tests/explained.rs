//! What is behind each line of each report adds up to the line: for every dimension of every report.

use std::collections::{BTreeMap, BTreeSet};

use super::agents::{channels, states};
use super::calls::calls;
use super::pipeline::people;
use super::{csv, request, sql_csv, told};
use crate::Engine;
use crate::report::{self, REPORTS, Which, explain};

type Row = BTreeMap<String, String>;

fn rows(csv: &str) -> Vec<Row> {
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    lines
        .map(|line| {
            names.iter().map(|n| (*n).to_owned()).zip(line.split(',').map(str::to_owned)).collect()
        })
        .collect()
}

/// Sum of a column in billionths, where a condition holds.
fn sum(rows: &[Row], column: &str, holds: impl Fn(&Row) -> bool) -> i128 {
    let numbers = rows.iter().filter(|row| holds(row)).map(|row| exact(&row[column]));
    numbers.sum()
}

fn exact(digits: &str) -> i128 {
    if digits.is_empty() { 0 } else { crate::functions::exact_amount(digits).expect(digits) }
}

fn count(rows: &[Row], holds: impl Fn(&Row) -> bool) -> i128 {
    rows.iter().filter(|row| holds(row)).count() as i128 * 1_000_000_000
}

fn distinct(rows: &[Row], columns: &[&str]) -> Vec<Row> {
    let mut seen = BTreeSet::new();
    let key = |row: &Row| columns.iter().map(|c| row[*c].clone()).collect::<Vec<_>>();
    rows.iter().filter(|row| seen.insert(key(row))).cloned().collect()
}

const CALL: &[&str] = &["system", "account_id", "call_id", "extension"];

/// What a measure is by the rows behind its line; none for ratios and percentiles.
fn measured(report: &str, measure: &str, behind: &[Row]) -> Option<i128> {
    let has = |column: &'static str| move |row: &Row| !row[column].is_empty();
    let is = |column: &'static str, value: &'static str| move |row: &Row| row[column] == value;
    let once = |columns: &[&str]| distinct(behind, columns);
    let every = |_: &Row| true;
    Some(match (report, measure) {
        ("call-cost" | "deal-calls", "calls") => count(&once(CALL), every),
        ("call-cost", "costed_calls") => count(&once(CALL), has("cost")),
        ("call-cost", "billed_seconds") => sum(&once(CALL), "billed_seconds", has("cost")),
        ("call-cost" | "deal-calls", "cost") => sum(behind, "cost", every),
        ("deal-calls", "talked_seconds") => sum(&once(CALL), "talked_seconds", every),
        ("bill-duration", "calls") => count(behind, every),
        ("bill-duration", "billed_calls") => count(behind, has("billed_seconds")),
        ("bill-duration", "unbilled_calls") => count(behind, is("billed_seconds", "")),
        ("bill-duration", "billed_seconds") => sum(behind, "billed_seconds", every),
        ("bill-duration", "talked_seconds") => sum(behind, "talked_seconds", has("billed_seconds")),
        ("bill-duration", "rounding_seconds") => {
            sum(behind, "billed_seconds", every)
                - sum(behind, "talked_seconds", has("billed_seconds"))
        }
        ("deal-changes", "changes") => count(behind, every),
        ("deal-changes", "deals") => count(&once(&["system", "account_id", "deal_id"]), every),
        ("deal-changes", "amount_delta") => sum(behind, "amount_delta", every),
        ("deal-changes", "won") => count(behind, is("outcome", "won")),
        ("deal-changes", "won_amount") => sum(behind, "amount", is("outcome", "won")),
        ("deal-changes", "lost") => count(behind, is("outcome", "lost")),
        ("deal-changes", "lost_amount") => sum(behind, "amount", is("outcome", "lost")),
        ("deal-changes", "reopened") => count(behind, |row| {
            row["outcome"] == "open" && ["won", "lost"].contains(&row["old_outcome"].as_str())
        }),
        ("deal-stages", "entered") => count(behind, is("has_entered", "true")),
        ("deal-stages", "left") => count(behind, is("has_left", "true")),
        ("deal-stages", "open") => count(behind, is("is_open", "true")),
        ("deal-stages", "amount_open") => sum(behind, "amount_open", every),
        ("deal-slips", "times") => count(behind, every),
        ("deal-slips", "days") => sum(behind, "days", every),
        ("deal-slips", "amount") => sum(behind, "amount", every),
        ("agent-time", "seconds") => sum(behind, "seconds", every),
        ("agent-time", "calls") => count(behind, has("call_id")),
        ("agent-time", "talked_seconds") => sum(behind, "talked_seconds", every),
        ("call-phases", "calls") => count(&once(&["system", "account_id", "call_id"]), every),
        ("call-phases", "ringing_seconds") => sum(behind, "seconds", is("state", "ringing")),
        ("call-phases", "talking_seconds") => sum(behind, "seconds", is("state", "talking")),
        ("call-phases", "held_seconds") => sum(behind, "seconds", is("state", "held")),
        ("call-phases", "parked_seconds") => sum(behind, "seconds", is("state", "parked")),
        ("call-phases", "wrap_seconds") => sum(behind, "seconds", is("state", "wrap")),
        (_, "billed_p50" | "billed_p90" | "billed_max" | "cost_per_call" | "cost_per_minute") => {
            return None;
        }
        (_, "mean_days" | "median_days" | "occupancy") => return None,
        other => panic!("no rule for {other:?}"),
    })
}

/// Compares every line with what is behind it, and returns how many there are.
async fn check(engine: &Engine, name: &str, options: &[(&str, &str)]) -> usize {
    let request = request(name, options);
    let report = report::by_name(name).unwrap();
    let lines = rows(&csv(report::run(engine, &request).await.unwrap()).await);
    let all = explain(engine, &request, &Which::Group(Vec::new()), false).await;
    let all = rows(&csv(all.unwrap_or_else(|e| panic!("{name} {options:?}: {e:?}"))).await);
    let mut explained = 0;
    for line in &lines {
        // A group's column is `by_agent` behind the line, but the currency's, which the rows have anyway.
        let of_line = |row: &&Row| {
            let mut groups =
                row.iter().filter_map(|(column, value)| Some((column.strip_prefix("by_")?, value)));
            groups.all(|(name, value)| line[name] == *value)
                && report.always_by.iter().all(|column| line[column.name] == row[column.name])
        };
        let behind: Vec<Row> = all.iter().filter(of_line).cloned().collect();
        assert!(!behind.is_empty(), "{name} {options:?}: nothing is behind {line:?}");
        explained += behind.len();
        for measure in report.measures {
            if let Some(expected) = measured(name, measure.name, &behind) {
                assert_eq!(
                    exact(&line[measure.name]),
                    expected,
                    "{name} {options:?} {line:?}: {}",
                    measure.name
                );
            }
        }
    }
    assert_eq!(explained, all.len(), "{name} {options:?}: rows that are behind no line");
    lines.len()
}

/// Every dimension, three at a time, since a question is planned for seconds where it is not optimized.
async fn check_all(engine: &Engine, reports: &[&str]) {
    for name in reports {
        let report = report::by_name(name).unwrap();
        let dimensions: Vec<&str> = report.dimensions.iter().map(|by| by.name).collect();
        let groups = dimensions.chunks(3).map(|names| names.join(","));
        for by in groups.chain([String::new()]) {
            let lines = check(engine, name, &[("by", &by), ("tz", "Europe/Berlin")]).await;
            assert!(lines > 0, "{name} by {by:?} has no lines to check");
        }
    }
}

#[tokio::test]
async fn what_is_behind_a_line_about_calls_adds_up_to_it() {
    check_all(&calls(), &["call-cost", "bill-duration"]).await;
}

#[tokio::test]
async fn what_is_behind_a_line_about_deals_adds_up_to_it() {
    check_all(&people().engine(), &["deal-changes", "deal-stages", "deal-slips", "deal-calls"])
        .await;
}

#[tokio::test]
async fn what_is_behind_a_line_about_agents_adds_up_to_it() {
    check_all(&states().engine(), &["agent-time"]).await;
    check_all(&channels(), &["call-phases"]).await;
}

/// The first row by its number: there are events, each has its place in the log, and none stands twice.
async fn check_events(engine: &Engine, name: &str) {
    let events = explain(engine, &request(name, &[]), &Which::Row(1), true).await;
    let events = rows(&csv(events.unwrap_or_else(|e| panic!("{name}: {e:?}"))).await);
    assert!(!events.is_empty(), "{name}: no events");
    for event in &events {
        for column in ["event_time", "received_at", "topic", "partition", "offset", "id"] {
            assert!(!event[column].is_empty(), "{name}: {event:?}");
        }
    }
    let places = distinct(&events, &["table", "topic", "partition", "offset", "id"]);
    assert_eq!(places.len(), events.len(), "{name}: an event stands twice");
}

#[tokio::test]
async fn every_report_leads_to_events_with_their_place_in_the_log() {
    for report in REPORTS {
        let engine = match report.name {
            "call-phases" => channels(),
            "agent-time" => states().engine(),
            name if name.starts_with("deal") => people().engine(),
            _ => calls(),
        };
        check_events(&engine, report.name).await;
    }
}

#[tokio::test]
async fn a_period_and_a_conversion_are_explained_as_they_were_asked() {
    let rates = "date,from,to,rate\n2026-03-28,USD,EUR,0.9\n2026-03-29,USD,EUR,0.8\n";
    let options = [("by", "day"), ("system", "freshcaller"), ("currency", "EUR"), ("rates", rates)];
    assert_eq!(check(&calls(), "call-cost", &options).await, 3);
    let options = [("since", "2026-03-03"), ("until", "2026-03-05T13:00"), ("tz", "Europe/Berlin")];
    for report in ["deal-stages", "deal-slips", "deal-calls"] {
        assert!(check(&people().engine(), report, &options).await > 0, "{report}");
    }
}

#[tokio::test]
async fn every_filter_of_every_report_can_be_asked_and_narrows() {
    for report in REPORTS {
        let engine = match report.name {
            "agent-time" => states().engine(),
            "call-phases" => channels(),
            name if name.starts_with("deal") => people().engine(),
            _ => calls(),
        };
        let all = csv(report::run(&engine, &request(report.name, &[])).await.unwrap()).await;
        let mut options = vec![("system", "voipnow"), ("account", "nobody")];
        for option in report.own_options() {
            match option {
                "--agent" => options.push(("agent", "nobody")),
                "--deal" => options.push(("deal", "999")),
                _ => {}
            }
        }
        for option in options {
            let narrowed =
                csv(report::run(&engine, &request(report.name, &[option])).await.unwrap()).await;
            assert_eq!(narrowed.lines().count(), 1, "{} {option:?}", report.name);
        }
        assert!(all.lines().count() > 1, "{}", report.name);
    }
    let one = csv(report::run(&states().engine(), &request("agent-time", &[("agent", "1600")]))
        .await
        .unwrap())
    .await;
    assert_eq!(one.lines().count(), 2, "{one}");
    let one = csv(report::run(&people().engine(), &request("deal-stages", &[("deal", "100")]))
        .await
        .unwrap())
    .await;
    assert_eq!(one.lines().count(), 3, "{one}");
}

#[tokio::test]
async fn a_line_of_a_list_is_one_change() {
    let engine = people().engine();
    let list = report::run(&engine, &request("deal-changes", &[])).await.unwrap();
    let list = rows(&csv(list).await);
    for (number, line) in list.iter().enumerate().take(3) {
        let which = Which::Row(number + 1);
        let behind = explain(&engine, &request("deal-changes", &[]), &which, false).await.unwrap();
        let behind = rows(&csv(behind).await);
        assert_eq!(behind.len(), 1);
        for column in ["changed_at", "deal_id", "field", "old", "new"] {
            assert_eq!(behind[0][column], line[column], "row {}", number + 1);
        }
    }
}

#[tokio::test]
async fn a_group_is_named_by_some_of_its_columns() {
    let engine = calls();
    let ask = async |pairs: &[&str], events| {
        let pairs: Vec<String> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
        let which = Which::group(&pairs).unwrap();
        let answer = explain(&engine, &request("call-cost", &[]), &which, events).await;
        answer.map_err(|error| told(&error))
    };
    let behind = csv(ask(&["agent=694", "currency=USD"], false).await.unwrap()).await;
    assert_eq!(
        behind,
        super::lines(
            "system,account_id,call_id,extension,started_at,agent_id,direction,number,customer_number,billed_seconds,talked_seconds,cost,currency,cost_source,tariff
            freshcaller,acme,1,,2026-03-28T22:30:00Z,694,outgoing,+4930111,+4930222,120,95,0.0720,USD,vendor,
            freshcaller,acme,2,,2026-03-28T23:30:00Z,694,incoming,,,120,61,0.1000,USD,vendor,"
        )
    );
    // Call 1 was told by three states of it and five of its legs, the last of them received late.
    let events = csv(ask(&["agent=694", "currency=USD"], true).await.unwrap()).await;
    let of_1 = rows(&events).into_iter().filter(|event| event["id"] == "1").count();
    assert_eq!(of_1, 8, "{events}");
    assert!(events.contains("2026-03-28T22:31:00Z,2026-03-28T22:40:00Z,onCallUpdate,calls,1,freshcaller,acme,ringlake.test,0,"), "{events}");
    let none = ask(&["agent=", "currency="], false).await.unwrap();
    assert_eq!(none.hint.as_deref(), Some("no calls are behind such a line"));
    assert_eq!(csv(none).await.lines().count(), 1);
    assert_eq!(
        ask(&["agnt=694"], false).await.unwrap_err(),
        "unknown group \"agnt\" | did you mean agent? there are agent, currency"
    );
    assert_eq!(
        told(&Which::group(&["694".to_owned()]).unwrap_err()),
        "\"694\" names no group: write NAME=VALUE"
    );
    let row =
        explain(&engine, &request("call-cost", &[]), &Which::Row(99), false).await.unwrap_err();
    assert_eq!(
        told(&row),
        "the report has no row 99: it has 8 | rows are counted from 1, as they are printed"
    );
    let list =
        explain(&engine, &request("deal-changes", &[]), &Which::Group(Vec::new()), false).await;
    assert_eq!(
        told(&list.unwrap_err()),
        "without --by the report is a list, which has no groups | use --row, or give --by to the report"
    );
    assert!(!sql_csv(&engine, "SELECT 1").await.is_empty());
}
