//! Flattening the records that resolve dead letters. What that means is said in [`crate::letters`].
//!
//! A retried event goes the way of any other, so repeats are found as ever; then the letter gets a row
//! that says what came of it. It must never reject: what cannot be used now either stays a letter.

use super::{Flattener, Head, Output, Place};
use crate::batch::EventCounts;
use crate::error::Rejection;
use crate::event::{LogPartition, RawBatch, RawEvent};
use crate::letters::{Action, LetterRow, Outcome, Resolution, Standing, Wanted};
use crate::offsets::OffsetRange;
use crate::repeats::{self, Seen};
use crate::systems::System;
use crate::tables::DEAD_LETTERS;

impl Wanted {
    /// What these batches need to know; none if they resolve no letter, as nearly all.
    pub fn of(batches: &[RawBatch]) -> Option<Self> {
        let mut wanted = Self::default();
        let mut scratch = Flattener::default();
        for (batch, event) in batches.iter().flat_map(|b| b.events.iter().map(move |e| (b, e))) {
            let Some(resolution) = &event.resolution else { continue };
            wanted.add_letter(&resolution.letter, event.received_at);
            // Its key is found out by flattening it once for nothing else.
            scratch.seen = Seen::default();
            scratch.alone(batch.system, RawEvent { resolution: None, ..event.clone() });
            for key in scratch.seen.keys() {
                wanted.add_event(key, event.received_at, batch.system.repeat_window());
            }
        }
        (!wanted.is_empty()).then_some(wanted)
    }
}

/// Finds out what this version can use, by flattening it for nothing else.
#[derive(Default)]
pub struct Trial(Flattener);

impl Trial {
    /// Whether this version can use the event.
    pub fn takes(&mut self, system: &'static dyn System, event: &RawEvent) -> bool {
        self.0.seen = Seen::default();
        let event = RawEvent { resolution: None, ..event.clone() };
        self.0.alone(system, event).dead_lettered == 0
    }
}

impl Flattener {
    /// Flattens one event for what can be learned from that.
    fn alone(&mut self, system: &'static dyn System, event: RawEvent) -> EventCounts {
        let range = OffsetRange::new(event.offset, event.offset);
        let partition = LogPartition::new("", 0);
        self.flatten(vec![RawBatch { partition, system, range, events: vec![event] }]).counts
    }

    /// Tells of a row of `dead_letters` that [`Wanted::letter`] asked for. It is known for the next
    /// batch only.
    pub fn know_letter(&mut self, row: &LetterRow<'_>) {
        self.letters.know(row);
    }

    /// Flattens a record that resolves a letter; false if it is an event like any other.
    pub(super) fn resolve(
        &mut self,
        system: &'static dyn System,
        at: &LogPartition,
        event: &RawEvent,
        resolution: &Resolution,
        counts: &mut EventCounts,
    ) -> bool {
        counts.resolved += 1;
        let standing = self.letters.standing(resolution, repeats::place_of(at, event.offset));
        match (standing, resolution.action) {
            (Standing::Unknown, Action::Retry) => return false,
            (Standing::Unknown, Action::Drop) | (Standing::Done, _) => {
                counts.repeated += 1;
                return true;
            }
            (Standing::Open, _) => {}
        }
        let window = system.repeat_window();
        let place = Place { at, offset: event.offset, received_at: event.received_at, window };
        let (tables, seen) = (&mut self.tables, &mut self.seen);
        let mut out = Output { tables, seen, counts, place, event_time: None };
        let outcome = out.outcome(system, event, resolution.action);
        out.letter_state(system, event, resolution, &outcome);
        self.letters.know(&LetterRow {
            id: &resolution.letter,
            retried_at: Some(resolution.asked_at),
            outcome: Some(name(&outcome)),
            partition: at,
            offset: event.offset,
        });
        true
    }
}

fn name(outcome: &Result<Outcome, Rejection>) -> &'static str {
    outcome.as_ref().map_or(Outcome::Refused.as_str(), |outcome| outcome.as_str())
}

impl Output<'_> {
    /// Does what was asked. What makes no row of its own counts as a repeat: the letter is there already.
    fn outcome(
        &mut self,
        system: &dyn System,
        event: &RawEvent,
        action: Action,
    ) -> Result<Outcome, Rejection> {
        if action == Action::Drop {
            self.counts.repeated += 1;
            return Ok(Outcome::Dropped);
        }
        match system.flatten(event, self) {
            Ok(()) if self.event_time.is_some() => Ok(Outcome::Written),
            Ok(()) => Ok(Outcome::Repeated),
            Err(rejection) => {
                self.counts.repeated += 1;
                Err(rejection)
            }
        }
    }

    /// A row of the letter's new state. One that stays open says again all that its first row said.
    fn letter_state(
        &mut self,
        system: &dyn System,
        event: &RawEvent,
        resolution: &Resolution,
        outcome: &Result<Outcome, Rejection>,
    ) {
        self.start(&Head::of_letter(system, &repeats::body_key(&event.body)));
        let mut row = self.row(&DEAD_LETTERS);
        row.text("id", &resolution.letter)
            .time("retried_at", resolution.asked_at)
            .text("outcome", name(outcome))
            .some_text("route", event.route.as_deref());
        if let Err(rejection) = outcome {
            row.text("stage", rejection.stage.as_str())
                .text("cause", rejection.cause)
                .text("message", &rejection.message)
                .binary("body", &event.body);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::AsArray;
    use bytes::Bytes;

    use super::*;
    use crate::batch::FlatBatch;
    use crate::conformance::ndjson;
    use crate::event::Micros;
    use crate::systems;

    const RECEIVED_AT: Micros = 1_772_323_200_000_000;
    const LETTER: &str = "log/0/1";

    fn call(id: u32) -> Bytes {
        format!(
            "{{\"event\":\"onCallCreate\",\"timestamp\":1583839686,\"account_id\":\"a\",\
             \"data\":{{\"call\":{{\"id\":{id},\"participants\":[{{\"id\":9}}]}}}}}}"
        )
        .into()
    }

    fn record(offset: i64, body: Bytes, asked: Option<(Action, Micros)>) -> RawEvent {
        let resolution = asked.map(|(action, asked_at)| {
            Arc::new(Resolution { action, asked_at, letter: LETTER.into() })
        });
        RawEvent { offset, received_at: RECEIVED_AT, route: None, body, resolution, damaged: false }
    }

    fn flatten(flattener: &mut Flattener, events: Vec<RawEvent>) -> FlatBatch {
        let range = OffsetRange::new(events[0].offset, events.last().unwrap().offset);
        let system = systems::by_name("freshcaller").unwrap();
        let partition = LogPartition::new("log", 0);
        flattener.flatten(vec![RawBatch { partition, system, range, events }])
    }

    /// A flattener that was told of an open letter, whose event this version knows.
    fn with_letter() -> Flattener {
        let mut flattener = Flattener::default();
        let partition = LogPartition::new("log", 0);
        flattener.know_letter(&LetterRow::first(LETTER, &partition, 1));
        flattener
    }

    fn outcomes(flat: &FlatBatch) -> Vec<String> {
        let letters = flat.tables.iter().filter(|table| table.table.name == DEAD_LETTERS.name);
        let column = |table: &crate::TableBatch| {
            let outcomes = table.rows["outcome"].as_string::<i32>();
            outcomes.iter().map(|o| o.unwrap_or("-").to_owned()).collect::<Vec<_>>()
        };
        letters.flat_map(column).collect()
    }

    #[test]
    fn a_letter_that_can_be_used_by_now_is_written_once() {
        let retry = |asked_at| Some((Action::Retry, asked_at));
        let events = vec![
            record(5, call(1), retry(10)),
            record(6, call(1), retry(10)),
            record(7, call(1), retry(11)),
        ];
        let flat = flatten(&mut with_letter(), events);
        let counts = flat.counts;
        assert_eq!((counts.received, counts.written, counts.repeated), (3, 1, 2));
        assert_eq!(counts.resolved, 3);
        assert_eq!(outcomes(&flat), ["written"]);
        let rows = ndjson(&flat);
        assert_eq!(rows.matches("\"table\":\"calls\"").count(), 1);
        assert_eq!(rows.matches("\"table\":\"call_participants\"").count(), 1);
        assert!(rows.contains("\"received_at\":\"2026-03-01T00:00:00Z\""), "{rows}");
    }

    #[test]
    fn the_same_place_again_makes_the_same_rows_again() {
        let event = || vec![record(5, call(1), Some((Action::Retry, 10)))];
        let once = flatten(&mut with_letter(), event());
        let mut restarted = with_letter();
        let partition = LogPartition::new("log", 0);
        restarted.know_letter(&LetterRow {
            id: LETTER,
            retried_at: Some(10),
            outcome: Some("written"),
            partition: &partition,
            offset: 5,
        });
        assert_eq!(ndjson(&flatten(&mut restarted, event())), ndjson(&once));
    }

    #[test]
    fn an_event_that_came_again_meanwhile_is_a_repeat_and_closes_the_letter() {
        let events = vec![record(4, call(1), None), record(5, call(1), Some((Action::Retry, 10)))];
        let flat = flatten(&mut with_letter(), events);
        assert_eq!((flat.counts.written, flat.counts.repeated), (1, 1));
        assert_eq!(outcomes(&flat), ["repeated"]);
    }

    #[test]
    fn what_cannot_be_used_now_either_stays_open_and_says_why() {
        let body = || {
            Bytes::from_static(
                b"{\"event\":\"onTeaTime\",\"data\":{\"iparams\":{\"k\":\"s3cret\"}}}",
            )
        };
        let retry = |offset, asked_at| record(offset, body(), Some((Action::Retry, asked_at)));
        // The letter itself, in the batch in which it is tried again, twice, and the same asking again.
        let events = vec![record(1, body(), None), retry(5, 10), retry(6, 11), retry(7, 11)];
        let flat = flatten(&mut Flattener::default(), events);
        assert_eq!((flat.counts.dead_lettered, flat.counts.repeated), (1, 3));
        assert_eq!(outcomes(&flat), ["-", "refused", "refused"]);
        let rows = ndjson(&flat);
        assert_eq!(rows.matches("\"cause\":\"unknown-event\"").count(), 3, "{rows}");
        assert!(!rows.contains("73336372657"), "iparams stand in {rows}");
    }

    #[test]
    fn a_dropped_letter_is_closed_for_good() {
        let events = vec![
            record(5, Bytes::new(), Some((Action::Drop, 10))),
            record(6, call(1), Some((Action::Retry, 11))),
            record(7, Bytes::new(), Some((Action::Drop, 12))),
        ];
        let flat = flatten(&mut with_letter(), events);
        assert_eq!((flat.counts.written, flat.counts.repeated), (0, 3));
        assert_eq!(outcomes(&flat), ["dropped"]);
        assert_eq!(flat.tables.len(), 1, "{flat:?}");
    }

    #[test]
    fn a_retry_of_a_letter_that_is_nowhere_is_an_event_like_any_other() {
        let events = vec![
            record(5, call(1), Some((Action::Retry, 10))),
            record(6, call(2), None),
            record(7, call(2), Some((Action::Retry, 10))),
            record(8, Bytes::new(), Some((Action::Drop, 10))),
        ];
        let flat = flatten(&mut Flattener::default(), events);
        assert_eq!((flat.counts.written, flat.counts.repeated), (2, 2));
        assert!(outcomes(&flat).is_empty());
    }

    #[test]
    fn what_has_to_be_looked_up_is_the_letter_and_its_event() {
        let system = systems::by_name("freshcaller").unwrap();
        let batch = |event| RawBatch {
            partition: LogPartition::new("log", 0),
            system,
            range: OffsetRange::new(5, 5),
            events: vec![event],
        };
        assert!(Wanted::of(&[batch(record(5, call(1), None))]).is_none());
        let wanted = Wanted::of(&[batch(record(5, call(1), Some((Action::Retry, 10))))]).unwrap();
        assert!(wanted.letter(LETTER) && !wanted.letter("log/0/2"));
        let flat = flatten(&mut Flattener::default(), vec![record(1, call(1), None)]);
        let rows = flat.tables.iter().find(|table| table.table.name == "calls").unwrap();
        let key = rows.rows["event_key"].as_string::<i32>().value(0);
        assert!(wanted.event("freshcaller", key, RECEIVED_AT));
        assert!(!wanted.event("vonage", key, RECEIVED_AT));
        let window = system.repeat_window();
        assert!(!wanted.event("freshcaller", key, RECEIVED_AT + window + 1));
        assert_eq!(wanted.received(), RECEIVED_AT - window..=RECEIVED_AT + window);
    }
}
