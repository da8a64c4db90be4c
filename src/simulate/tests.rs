//! The simulation repeats itself exactly and looks like what the vendors send.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::Value;

use super::*;

fn settings() -> Settings {
    Settings {
        seed: 7,
        first_day: NaiveDate::from_ymd_opt(2026, 3, 6).unwrap(),
        days: 2,
        calls: 200,
        system: None,
        repeats: 1.0,
        disorder: 1.0,
    }
}

fn events(settings: Settings) -> Vec<Event> {
    Simulation::new(settings).flatten().collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let (one, two) = (events(settings()), events(settings()));
    assert_eq!(one, two);
    assert_ne!(one, events(Settings { seed: 8, ..settings() }));
}

#[test]
fn leaving_a_vendor_out_changes_nothing_in_the_others() {
    let quiet = Settings { repeats: 0.0, disorder: 0.0, ..settings() };
    let all = events(quiet.clone());
    for system in ringlake_transform::SYSTEMS {
        let alone = events(Settings { system: Some(system.name().to_owned()), ..quiet.clone() });
        let mut of_all = all.iter().filter(|event| event.system == system.name());
        assert!(!alone.is_empty(), "{} has events", system.name());
        assert!(alone.iter().all(|event| of_all.next() == Some(event)));
    }
}

#[test]
fn a_weekend_is_no_working_day() {
    let days: Vec<i64> = Simulation::new(settings())
        .filter_map(|day| day.first().map(|event| event.sent_at / 86_400_000_000))
        .collect();
    assert_eq!(days[1] - days[0], 3, "a Friday and a Monday");
}

#[test]
fn freshworks_events_have_the_vendors_envelope() {
    for event in events(settings()) {
        let Body::Json(text) = &event.body else { continue };
        let body: Value = serde_json::from_str(text).unwrap();
        if !event.system.starts_with("fresh") {
            assert_eq!(body["specversion"], "1.0");
            continue;
        }
        let name = body["event"].as_str().unwrap();
        assert!(name.starts_with("on"), "{name}");
        assert!(body["timestamp"].is_number() && body["data"].is_object(), "{text}");
        if name.ends_with("Update") {
            assert!(body["data"]["changes"].is_object(), "{text}");
        }
    }
}

#[test]
fn deals_move_to_their_end_and_costs_come_last() {
    let mut won = 0;
    let mut costs = 0;
    for event in events(settings()) {
        let text = event.body.line();
        won += usize::from(text.contains("\"forecast_type\":\"Closed Won\""));
        let body: Value = serde_json::from_str(&text).unwrap();
        if let Some(leg) = body["data"]["call"]["participants"].get(0) {
            costs += usize::from(leg["cost"].as_f64().is_some_and(|cost| cost > 0.0));
        }
    }
    assert!(won > 0, "some deal is won");
    assert!(costs > 100, "most calls get a cost: {costs}");
}

#[test]
fn a_default_day_has_a_few_thousand_events() {
    let events = events(Settings { days: 1, calls: 600, ..settings() });
    assert!((3_000..5_500).contains(&events.len()), "{}", events.len());
}
