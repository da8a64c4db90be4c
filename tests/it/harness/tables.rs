//! What the tables hold, asked as a user asks, in a form that two runs can be compared by.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

use super::events::{self, Event};
use super::process::Place;
use super::wait::try_until;

/// Rows as text, of each table.
pub type Contents = BTreeMap<&'static str, Vec<String>>;

/// Tables in which each event that became rows has exactly one.
const ONE_ROW_AN_EVENT: &[&str] = &[
    "calls",
    "channel_events",
    "agent_events",
    "contacts",
    "leads",
    "deals",
    "sales_accounts",
    "custom_module_records",
    "appointments",
    "tasks",
    "dead_letters",
];
const OTHERS: &[&str] = &["call_participants", "field_changes"];
/// Labels are written by each process that sees one first; this folds them to one row each.
const LABELS: &str = "field_labels_current";
/// Which event was the first to show a label depends on the order of arrival.
const OF_THE_ORDER: &[&str] = &["first_seen_at", "last_seen_at"];

/// Where in the log a row came from and when that was: the only things two runs may differ in.
const OF_THE_RUN: &[&str] = &["topic", "partition", "offset", "received_at"];
/// What follows from the time of receipt, in rows of events that carry no time.
const OF_THE_RECEIPT: &[&str] = &["event_time", "event_month", "event_key", "id"];

/// The one number that a statement answers with.
pub fn number(place: &Place, sql: &str) -> i64 {
    let out = place.ok(&["query", sql, "--format", "csv"]);
    let line = out.lines().nth(1).unwrap_or_else(|| panic!("no row from {sql}: {out}"));
    line.parse().unwrap_or_else(|e| panic!("{e}: {line:?} from {sql}"))
}

/// The rows that a statement answers with.
pub fn rows(place: &Place, sql: &str) -> Vec<Map<String, Value>> {
    let out = place.ok(&["query", sql, "--format", "ndjson"]);
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How many columns of a table begin with this; `describe` opens no other table for it.
pub fn columns(place: &Place, table: &str, prefix: &str) -> usize {
    let out = place.ok(&["query", &format!("describe {table}"), "--format", "csv"]);
    out.lines().skip(1).filter(|line| line.starts_with(prefix)).count()
}

/// How many events have become rows, dead letters among them.
pub fn events_written(place: &Place) -> usize {
    let counts: Vec<String> =
        ONE_ROW_AN_EVENT.iter().map(|table| format!("(select count(*) from {table})")).collect();
    usize::try_from(number(place, &format!("select {}", counts.join(" + ")))).unwrap()
}

/// Batches finished so far, by the versions of `progress` on the disk: quicker to see than a query.
pub fn batches(place: &Place) -> usize {
    let log = place.data().join("tables/progress/_delta_log");
    let entries = std::fs::read_dir(log).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|e| e == "json")).count()
}

/// Waits until exactly so many events have become rows.
pub fn wait_written(place: &Place, expected: usize) {
    let mut seen = Vec::new();
    let what = format!("{expected} events to be written");
    let outcome = try_until(|| {
        let written = events_written(place);
        if seen.last() != Some(&written) {
            seen.push(written);
        }
        written >= expected
    });
    assert!(outcome, "waited in vain for {what}; there were {seen:?}");
    assert_eq!(seen.last(), Some(&expected), "more events than were sent");
}

/// The same, of contents.
pub fn events_in(contents: &Contents) -> usize {
    ONE_ROW_AN_EVENT.iter().map(|table| contents[table].len()).sum()
}

/// The log positions of all events that have become rows; none may stand there twice.
pub fn positions(place: &Place) -> HashSet<(String, i64, i64)> {
    let mut found = HashSet::new();
    for table in ONE_ROW_AN_EVENT {
        for row in rows(place, &format!("select topic, \"partition\", \"offset\" from {table}")) {
            let number = |key: &str| row[key].as_i64().unwrap();
            let position =
                (row["topic"].as_str().unwrap().to_owned(), number("partition"), number("offset"));
            assert!(found.insert(position.clone()), "{position:?} is twice in the tables");
        }
    }
    found
}

/// All rows of all tables, less what depends on the run, in an order of their own.
pub fn contents(place: &Place) -> Contents {
    let rows_of = |table: &&'static str| {
        let rows = rows(place, &format!("select * from {table}")).into_iter();
        let mut lines: Vec<String> =
            rows.map(|row| Value::from(comparable(row)).to_string()).collect();
        lines.sort();
        (*table, lines)
    };
    ONE_ROW_AN_EVENT.iter().chain(OTHERS).chain([&LABELS]).map(rows_of).collect()
}

fn comparable(mut row: Map<String, Value>) -> Map<String, Value> {
    row.retain(|name, value| !value.is_null() && !OF_THE_RUN.contains(&name.as_str()));
    if row.contains_key("last_seen_at") {
        row.retain(|name, _| !OF_THE_ORDER.contains(&name.as_str()));
    }
    if row.get("event_time_basis").is_some_and(|basis| basis == "receipt") {
        row.retain(|name, _| !OF_THE_RECEIPT.contains(&name.as_str()) && !name.ends_with("_at"));
    }
    row
}

/// What the tables hold when these events are imported into a fresh folder and nothing goes wrong.
pub fn reference(events: &[Event]) -> Contents {
    let place = Place::new();
    place.file("all.ndjson", events::envelopes(events));
    place.ok(&["import", "--enveloped", "all.ndjson"]);
    contents(&place)
}

/// Fails with the first rows that differ. The lines of both are sorted.
pub fn assert_same(found: &Contents, expected: &Contents) {
    for (table, expected) in expected {
        let found = &found[table];
        let (here, there): (HashSet<_>, HashSet<_>) =
            (found.iter().collect(), expected.iter().collect());
        let lost: Vec<_> = there.difference(&here).take(3).collect();
        let odd: Vec<_> = here.difference(&there).take(3).collect();
        let counts = (found.len(), expected.len());
        assert!(
            found == expected,
            "{table} has {} rows, not {}; missing {lost:#?}; unexpected {odd:#?}",
            counts.0,
            counts.1
        );
    }
}
