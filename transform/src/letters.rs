//! Dead letters a second time: what is asked of one, and what is known of its states.
//!
//! A letter is resolved by a record of the log, as an event is: so the one way of the writer, with its
//! positions and its commits, makes a retry exactly once. The record carries the letter's own body,
//! route and time of receipt, and a [`Resolution`] that names the letter. What came of it is a further
//! row of `dead_letters` with the letter's id, and it is these rows that say whether a letter is still
//! open: a resolution of one that is not is a repeat, however often it lies in the log.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use hashbrown::{HashMap, HashSet};
use thiserror::Error;

use crate::event::{LogPartition, Micros};
use crate::repeats;
use crate::systems::REPEAT_WINDOW;

/// What is to be done with a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Flatten it again.
    Retry,
    /// It is of no use: close it.
    Drop,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Drop => "drop",
        }
    }
}

/// Why a record of the log is there besides its event: to resolve a dead letter.
///
/// As text `retry 1772323200000000 ringlake.freshcaller/0/17`, which is how it lies in every log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    pub action: Action,
    /// When it was asked for: tells one asking from the same one that came to the log twice.
    pub asked_at: Micros,
    /// The letter's id: the log position of the event that could not be used.
    pub letter: Box<str>,
}

/// A text that is no [`Resolution`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no resolution of a dead letter: {0:?}")]
pub struct NoResolution(String);

impl Resolution {
    /// The partition of `topic` in which the letter's event lies, where it lies there. A resolution
    /// goes to the same one, so that all that concerns a letter passes one writer.
    pub fn partition_in(&self, topic: &str) -> Option<i32> {
        let (partition, _) = self.letter.rsplit_once('/')?;
        let (of, partition) = partition.rsplit_once('/')?;
        (of == topic).then(|| partition.parse().ok()).flatten()
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.action.as_str(), self.asked_at, self.letter)
    }
}

impl FromStr for Resolution {
    type Err = NoResolution;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (action, rest) = text.split_once(' ')?;
            let (asked_at, letter) = rest.split_once(' ')?;
            let action =
                [Action::Retry, Action::Drop].into_iter().find(|a| a.as_str() == action)?;
            Some(Self { action, asked_at: asked_at.parse().ok()?, letter: letter.into() })
        };
        read().ok_or_else(|| NoResolution(text.to_owned()))
    }
}

/// What came of a resolution, as in the column `outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The event is in its tables now.
    Written,
    /// The event was in the tables already.
    Repeated,
    /// It cannot be used by this version either; the letter stays open.
    Refused,
    Dropped,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Repeated => "repeated",
            Self::Refused => "refused",
            Self::Dropped => "dropped",
        }
    }

    /// Whether an outcome of this name leaves nothing to do.
    pub fn closes(outcome: &str) -> bool {
        outcome != Self::Refused.as_str()
    }
}

/// One row of `dead_letters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterRow<'a> {
    pub id: &'a str,
    /// None in the letter's first row, in which it was found to be one.
    pub retried_at: Option<Micros>,
    pub outcome: Option<&'a str>,
    pub partition: &'a LogPartition,
    pub offset: i64,
}

impl<'a> LetterRow<'a> {
    /// The row in which an event was found to be a letter.
    pub(crate) fn first(id: &'a str, partition: &'a LogPartition, offset: i64) -> Self {
        Self { id, retried_at: None, outcome: None, partition, offset }
    }
}

/// One state of a letter.
#[derive(Clone, Copy, Debug)]
struct State {
    /// Hash of the log position of its row.
    place: u64,
    resolved_at: Option<Micros>,
    closed: bool,
}

/// What is known of the letters that a batch resolves.
#[derive(Debug, Default)]
pub(crate) struct Letters(HashMap<u128, Vec<State>>);

/// How a resolution meets its letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// No such letter: the event is like any other.
    Unknown,
    Open,
    /// It is closed, or this asking was answered, by another record of the log.
    Done,
}

impl Letters {
    pub(crate) fn know(&mut self, row: &LetterRow<'_>) {
        let state = State {
            place: repeats::place_of(row.partition, row.offset),
            resolved_at: row.retried_at,
            closed: row.outcome.is_some_and(Outcome::closes),
        };
        self.0.entry(key(row.id)).or_default().push(state);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// What a resolution at this place of the log meets. Its own row, of a run before, does not count.
    pub(crate) fn standing(&self, resolution: &Resolution, place: u64) -> Standing {
        let Some(states) = self.0.get(&key(&resolution.letter)) else { return Standing::Unknown };
        let answered = |state: &State| state.resolved_at >= Some(resolution.asked_at);
        let done =
            states.iter().any(|state| state.place != place && (state.closed || answered(state)));
        if done { Standing::Done } else { Standing::Open }
    }
}

fn key(id: &str) -> u128 {
    repeats::key_of("", id)
}

/// What has to be looked up in the tables before batches that resolve letters are flattened: the
/// memory of repeats reaches back some days, a letter may be older.
#[derive(Debug, Default)]
pub struct Wanted {
    letters: HashSet<u128>,
    /// By what is kept of their keys, the times of receipt within which another one would be the same event.
    events: HashMap<u128, RangeInclusive<Micros>>,
    received: Option<RangeInclusive<Micros>>,
}

impl Wanted {
    /// The times of receipt of all rows that can matter.
    pub fn received(&self) -> RangeInclusive<Micros> {
        self.received.clone().unwrap_or(0..=0)
    }

    /// Whether the rows of this letter matter.
    pub fn letter(&self, id: &str) -> bool {
        self.letters.contains(&key(id))
    }

    /// Whether this event matters.
    pub fn event(&self, system: &str, event_key: &str, received_at: Micros) -> bool {
        let near = self.events.get(&repeats::kept(repeats::key_of(system, event_key)));
        near.is_some_and(|near| near.contains(&received_at))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    pub(crate) fn add_letter(&mut self, id: &str, received_at: Micros) {
        self.letters.insert(key(id));
        widen(&mut self.received, received_at, REPEAT_WINDOW);
    }

    pub(crate) fn add_event(&mut self, key: u128, received_at: Micros, window: Micros) {
        let mut near = self.events.remove(&key);
        widen(&mut near, received_at, window);
        self.events.extend(near.map(|near| (key, near)));
    }
}

fn widen(range: &mut Option<RangeInclusive<Micros>>, at: Micros, window: Micros) {
    let (first, last) = (at.saturating_sub(window), at.saturating_add(window));
    *range = Some(match range.take() {
        Some(held) => *held.start().min(&first)..=*held.end().max(&last),
        None => first..=last,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolution(asked_at: Micros) -> Resolution {
        Resolution { action: Action::Retry, asked_at, letter: "ringlake.vonage/3/17".into() }
    }

    fn known(rows: &[(i64, Option<Micros>, Option<&str>)]) -> Letters {
        let mut letters = Letters::default();
        let partition = LogPartition::new("ringlake.vonage", 3);
        for (offset, retried_at, outcome) in rows {
            letters.know(&LetterRow {
                id: "ringlake.vonage/3/17",
                retried_at: *retried_at,
                outcome: *outcome,
                partition: &partition,
                offset: *offset,
            });
        }
        letters
    }

    fn standing(rows: &[(i64, Option<Micros>, Option<&str>)], asked: Micros, at: i64) -> Standing {
        let place = repeats::place_of(&LogPartition::new("ringlake.vonage", 3), at);
        known(rows).standing(&resolution(asked), place)
    }

    #[test]
    fn a_resolution_is_read_back_as_it_was_written() {
        for action in [Action::Retry, Action::Drop] {
            let resolution = Resolution { action, ..resolution(1_772_323_200_000_000) };
            assert_eq!(resolution.to_string().parse(), Ok(resolution));
        }
        for wrong in ["", "retry", "retry 1", "retry x a/0/1", "mend 1 a/0/1"] {
            assert!(wrong.parse::<Resolution>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn it_goes_where_its_letter_lies_if_that_is_in_the_topic() {
        assert_eq!(resolution(1).partition_in("ringlake.vonage"), Some(3));
        assert_eq!(resolution(1).partition_in("ringlake.freshcaller"), None);
        let imported = Resolution { letter: "import:00ff/0/4".into(), ..resolution(1) };
        assert_eq!(imported.partition_in("ringlake.vonage"), None);
    }

    #[test]
    fn a_letter_is_open_until_another_record_has_closed_it() {
        let first = (17, None, None);
        assert_eq!(standing(&[], 5, 20), Standing::Unknown);
        assert_eq!(standing(&[first], 5, 20), Standing::Open);
        for outcome in ["written", "repeated", "dropped"] {
            let closed = (20, Some(5), Some(outcome));
            assert_eq!(standing(&[first, closed], 9, 21), Standing::Done, "{outcome}");
            assert_eq!(standing(&[first, closed], 5, 20), Standing::Open, "a replay of {outcome}");
        }
        let refused = (20, Some(5), Some("refused"));
        assert_eq!(standing(&[first, refused], 9, 21), Standing::Open, "asked again");
        assert_eq!(standing(&[refused, first], 5, 21), Standing::Done, "the same asking twice");
    }
}
