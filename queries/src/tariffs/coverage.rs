//! What can be proven wrong of tariffs together: two for one call, and times between two for which
//! there is none.
//!
//! Tariffs of one kind of call follow each other in time. Where they overlap, a call would have two
//! prices; where one ends before the next begins and no more general one steps in, calls of that time
//! would have none.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat};

use super::read::TariffMistake;
use super::{Match, Micros, Tariff};

/// A tariff and the line of its entry.
pub type Entry = (usize, Tariff);

pub fn check(entries: &[Entry]) -> Vec<TariffMistake> {
    let mut mistakes = names_twice(entries);
    let mut kinds: HashMap<&Match, Vec<&Entry>> = HashMap::new();
    for entry in entries {
        kinds.entry(&entry.1.matches).or_default().push(entry);
    }
    for (kind, mut series) in kinds {
        series.sort_by_key(|(_, tariff)| tariff.valid.0.unwrap_or(Micros::MIN));
        for pair in series.windows(2) {
            if let [earlier, later] = pair {
                mistakes.extend(overlap(earlier, later));
                mistakes.extend(hole(kind, earlier, later, entries));
            }
        }
    }
    mistakes.sort_by_key(|mistake| mistake.line);
    mistakes
}

fn names_twice(entries: &[Entry]) -> Vec<TariffMistake> {
    let mut seen = std::collections::HashSet::new();
    let again = entries.iter().filter(|(_, tariff)| !seen.insert(tariff.name.as_str()));
    again
        .map(|(line, tariff)| TariffMistake {
            line: *line,
            message: format!("two tariffs are named {:?}", tariff.name),
        })
        .collect()
}

fn overlap(earlier: &Entry, later: &Entry) -> Option<TariffMistake> {
    let (earlier, (line, later)) = (&earlier.1, later);
    let from = later.valid.0.unwrap_or(Micros::MIN);
    if earlier.valid.1.is_some_and(|until| until <= from) {
        return None;
    }
    let when = later.valid.0.map_or("the beginning".to_owned(), |from| shown(from, later));
    Some(TariffMistake {
        line: *line,
        message: format!(
            "tariffs {:?} and {:?} are for the same calls from {when} on; end the one with \
             valid_to where the other begins, or tell them apart by prefix, direction, account or \
             system",
            earlier.name, later.name
        ),
    })
}

/// The time between two tariffs of one kind, less what more general ones cover.
fn hole(kind: &Match, earlier: &Entry, later: &Entry, all: &[Entry]) -> Option<TariffMistake> {
    let (earlier, (line, later)) = (&earlier.1, later);
    let (mut from, until) = (earlier.valid.1?, later.valid.0?);
    let mut general: Vec<&Tariff> = all
        .iter()
        .map(|(_, tariff)| tariff)
        .filter(|tariff| tariff.matches != *kind && tariff.matches.covers(kind))
        .collect();
    general.sort_by_key(|tariff| tariff.valid.0.unwrap_or(Micros::MIN));
    for tariff in general {
        if tariff.valid.0.is_none_or(|begins| begins <= from) {
            from = from.max(tariff.valid.1.unwrap_or(Micros::MAX));
        }
    }
    (from < until).then(|| TariffMistake {
        line: *line,
        message: format!(
            "between tariffs {:?} and {:?} there is none from {} to {}; let valid_to of the one be \
             valid_from of the other, or add a tariff for that time",
            earlier.name,
            later.name,
            shown(from, later),
            shown(until, later)
        ),
    })
}

impl Match {
    /// Whether every call of `other` is one of these as well.
    fn covers(&self, other: &Match) -> bool {
        let covers =
            |mine: &Option<String>, theirs: &Option<String>| mine.is_none() || mine == theirs;
        other.prefix.starts_with(&self.prefix)
            && covers(&self.system, &other.system)
            && covers(&self.account, &other.account)
            && covers(&self.direction, &other.direction)
    }
}

/// An instant in the tariff's zone.
fn shown(at: Micros, tariff: &Tariff) -> String {
    DateTime::from_timestamp_micros(at).map_or("the end".to_owned(), |at| {
        at.with_timezone(&tariff.zone).to_rfc3339_opts(SecondsFormat::AutoSi, true)
    })
}
