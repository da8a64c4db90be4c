//! A rating that is plainly right: tariffs one by one, seconds one by one, fractions as fractions.

use super::*;
use chrono::{DateTime, Datelike, Duration, Timelike};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Simple {
    prefix: &'static str,
    direction: Option<&'static str>,
    setup: i64,
    per_minute: i64,
    first: u32,
    next: u32,
    minimum: i64,
    free: u32,
    night: Option<i64>,
}

/// Amounts are in millionths; nights are from 18:00 to 08:00 in Berlin.
fn written(simple: &[Simple]) -> String {
    let mut text = "zone = 'Europe/Berlin'\n".to_owned();
    for (number, s) in simple.iter().enumerate() {
        let amount = |micros: i64| format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        text.push_str(&format!(
            "[[tariffs]]\nname='{number}'\nprefix='{}'\ncurrency='EUR'\nsetup={}\nper_minute={}\n\
             first_increment={}\nnext_increment={}\nminimum={}\nfree_seconds={}\n",
            s.prefix,
            amount(s.setup),
            amount(s.per_minute),
            s.first,
            s.next,
            amount(s.minimum),
            s.free
        ));
        if let Some(direction) = s.direction {
            text.push_str(&format!("direction='{direction}'\n"));
        }
        if let Some(night) = s.night {
            text.push_str(&format!(
                "bands=[{{from='18:00',to='08:00',per_minute={}}}]\n",
                amount(night)
            ));
        }
    }
    text
}

/// Index, billed seconds, cost in millionths.
fn rate(
    simple: &[Simple],
    number: &str,
    direction: &str,
    time: i64,
    micros: i64,
) -> Option<(usize, i64, i64)> {
    let mut best: Option<usize> = None;
    for (at, s) in simple.iter().enumerate() {
        if !number.starts_with(s.prefix) || s.direction.is_some_and(|d| d != direction) {
            continue;
        }
        let better = |than: &Simple| {
            (s.prefix.len(), s.direction.is_some()) > (than.prefix.len(), than.direction.is_some())
        };
        if best.is_none_or(|held| better(&simple[held])) {
            best = Some(at);
        }
    }
    let best = best?;
    let s = &simple[best];
    if micros == 0 {
        return Some((best, 0, 0));
    }
    let local =
        DateTime::from_timestamp_micros(time).unwrap().with_timezone(&chrono_tz::Europe::Berlin);
    let is_night = local.hour() >= 18 || local.hour() < 8;
    let per_minute = if is_night { s.night.unwrap_or(s.per_minute) } else { s.per_minute };
    let mut billed = 0_i64;
    let charged = micros - i64::from(s.free) * 1_000_000;
    if charged > 0 {
        billed = i64::from(s.first);
        while billed * 1_000_000 < charged {
            billed += i64::from(s.next);
        }
    }
    // Sixtieths of millionths, added a second at a time.
    let mut sixtieths = s.setup * 60;
    for _ in 0..billed {
        sixtieths += per_minute;
    }
    let mut cost = sixtieths / 60;
    if sixtieths % 60 >= 30 {
        cost += 1;
    }
    if billed > 0 && cost < s.minimum {
        cost = s.minimum;
    }
    Some((best, billed, cost))
}

fn simple() -> impl Strategy<Value = Simple> {
    let amount = || prop_oneof![Just(0_i64), 0..3_000_000_i64];
    (
        prop::sample::select(vec!["", "+", "+4", "+49", "+4930", "+1"]),
        prop::option::of(prop::sample::select(vec!["incoming", "outgoing"])),
        (amount(), amount(), amount()),
        (1..90_u32, 1..90_u32, prop_oneof![Just(0_u32), 0..200_u32]),
        prop::option::of(amount()),
    )
        .prop_map(
            |(prefix, direction, (setup, per_minute, minimum), (first, next, free), night)| {
                Simple { prefix, direction, setup, per_minute, first, next, minimum, free, night }
            },
        )
}

proptest! {
    #[test]
    fn the_fast_rating_is_the_slow_one(
        mut tariffs in prop::collection::vec(simple(), 1..8),
        number in prop::sample::select(vec!["+493012345", "+4989123", "+1212555", "110", "+33612"]),
        direction in prop::sample::select(vec!["incoming", "outgoing"]),
        hours in 0..17_544_i64,
        micros in prop_oneof![Just(0_i64), 1..1_000_000_000_i64, (0..900_i64).prop_map(|s| s * 1_000_000)],
    ) {
        let mut seen = std::collections::HashSet::new();
        tariffs.retain(|tariff| seen.insert((tariff.prefix, tariff.direction)));
        let start = DateTime::parse_from_rfc3339("2025-01-01T00:30:00Z").unwrap();
        let time = (start + Duration::hours(hours)).timestamp_micros();
        let expected = rate(&tariffs, number, direction, time, micros)
            .map(|(at, billed, cost)| (at.to_string(), billed, i128::from(cost) * 1_000));
        let talk = Talk {
            system: "vonage", account: None, direction: Some(direction), number: Some(number),
            started_at: time, talked: micros,
        };
        prop_assert_eq!(rated(&read(&written(&tariffs)), &talk), expected);
        prop_assert!(start.year() == 2025);
    }
}
