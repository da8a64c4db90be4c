//! From raw events to rows, batch by batch.
//!
//! The order of events is kept, a repeat makes no row, and an event that cannot be used becomes a
//! dead letter; so a batch never fails and `received = written + dead_lettered + repeated`.

use std::borrow::Cow;
use std::collections::HashMap;

use arrow::datatypes::SchemaRef;

use crate::batch::{EventCounts, FlatBatch};
use crate::error::{Rejection, Stage};
use crate::event::{LogPartition, Micros, RawBatch, RawEvent};
use crate::json::{Tape, redact_iparams};
use crate::letters::{LetterRow, Letters};
use crate::repeats::{self, Seen};
use crate::rows::{Origin, Origins, RowWriter, TableRows};
use crate::systems::{REPEAT_WINDOW, System};
use crate::tables::{DEAD_LETTERS, TABLES, TableSpec};
use crate::values;

mod resolve;

pub use resolve::Trial;

/// What is common to all rows of one event, as its system read it.
#[derive(Clone, Debug)]
pub struct Head<'e> {
    /// The system the event is of, which need not be that of the route it came by.
    pub system: &'static str,
    pub account_id: Option<&'e str>,
    pub event_type: &'e str,
    /// The vendor's time; where it is missing or cannot be, the receipt counts.
    pub event_time: Option<Micros>,
    pub event_key: &'e str,
}

impl<'e> Head<'e> {
    /// Of what could not be used, so that nothing is known of it but its bytes.
    fn of_letter(system: &dyn System, event_key: &'e str) -> Self {
        Self {
            system: system.name(),
            account_id: None,
            event_type: "",
            event_time: None,
            event_key,
        }
    }
}

/// What the rows of one event have besides: where it lies in the log, and when it came.
struct Place<'a> {
    at: &'a LogPartition,
    offset: i64,
    received_at: Micros,
    window: Micros,
}

/// Where a system's `flatten` writes the rows of one event.
///
/// Once [`Output::begin`] has said that the event is new, it may no longer be rejected.
pub struct Output<'a> {
    tables: &'a mut Tables,
    seen: &'a mut Seen,
    counts: &'a mut EventCounts,
    place: Place<'a>,
    /// The time that counts, once the event was begun.
    event_time: Option<Micros>,
}

impl<'a> Output<'a> {
    /// Says what the event is. False if it is a repeat: then it makes no rows.
    #[must_use]
    pub fn begin(&mut self, head: &Head<'_>) -> bool {
        let key = repeats::key_of(head.system, head.event_key);
        let place = repeats::place_of(self.place.at, self.place.offset);
        if self.seen.is_repeat(key, self.place.window, self.place.received_at, place) {
            self.counts.repeated += 1;
            return false;
        }
        self.start(head);
        true
    }

    fn start(&mut self, head: &Head<'_>) {
        let vendor = values::plausible(head.event_time, self.place.received_at);
        let event_time = vendor.unwrap_or(self.place.received_at);
        self.event_time = Some(event_time);
        self.tables.origins.add(&Origin {
            system: head.system,
            account_id: head.account_id,
            event_type: head.event_type,
            event_time,
            time_basis: if vendor.is_some() { "vendor" } else { "receipt" },
            received_at: self.place.received_at,
            event_key: head.event_key,
            topic: &self.place.at.topic,
            partition: self.place.at.partition,
            offset: self.place.offset,
        });
    }

    /// Runs `f` with the buffers of the parse before, so that an event allocates none.
    pub fn with_tape<T>(&mut self, f: impl FnOnce(&mut Tape, &mut Self) -> T) -> T {
        let mut tape = std::mem::take(&mut self.tables.tape);
        let outcome = f(&mut tape, self);
        self.tables.tape = tape;
        outcome
    }

    /// The time that counts for the event.
    pub fn event_time(&self) -> Micros {
        self.event_time.unwrap_or(self.place.received_at)
    }

    /// Starts a row of `table`.
    pub fn row(&mut self, table: &'static TableSpec) -> RowWriter<'_> {
        self.tables.row(table, self.counts)
    }

    /// Whether this label of a field is new to this process; it is remembered.
    pub fn is_new_label(&mut self, key: u128) -> bool {
        self.tables.labels.insert(key)
    }

    /// Makes the event a dead letter, and returns its id; none if it is a repeat of one.
    fn dead_letter(
        &mut self,
        system: &dyn System,
        event: &RawEvent,
        rejection: &Rejection,
    ) -> Option<String> {
        let id = format!("{}/{}", self.place.at, self.place.offset);
        // Damage makes records alike that never were.
        let told = if event.damaged { id.as_bytes() } else { &event.body };
        if !self.begin(&Head::of_letter(system, &repeats::body_key(told))) {
            return None;
        }
        self.counts.dead_lettered += 1;
        self.row(&DEAD_LETTERS)
            .text("id", &id)
            .text("stage", rejection.stage.as_str())
            .text("cause", rejection.cause)
            .text("message", &rejection.message)
            .binary("body", &event.body)
            .some_text("route", event.route.as_deref());
        Some(id)
    }
}

/// The rows of all tables, in the order of [`TABLES`].
struct Tables {
    rows: Vec<TableRows>,
    origins: Origins,
    labels: hashbrown::HashSet<u128>,
    tape: Tape,
}

impl Tables {
    /// The door has cut `iparams` out; whoever else writes to the log may not have.
    fn without_iparams<'e>(&mut self, event: &'e RawEvent) -> Cow<'e, RawEvent> {
        match redact_iparams(&mut self.tape, &event.body) {
            Cow::Borrowed(_) => Cow::Borrowed(event),
            Cow::Owned(body) => Cow::Owned(RawEvent { body: body.into(), ..event.clone() }),
        }
    }

    fn row<'r>(
        &'r mut self,
        spec: &'static TableSpec,
        counts: &'r mut EventCounts,
    ) -> RowWriter<'r> {
        let at = TABLES.iter().position(|table| std::ptr::eq(*table, spec));
        debug_assert!(at.is_some(), "{} is not in TABLES", spec.name);
        #[allow(clippy::indexing_slicing, reason = "`rows` has one entry per entry of TABLES")]
        self.rows[at.unwrap_or(0)].row(&self.origins, counts)
    }
}

/// Turns raw batches into rows; remembers the columns that appeared and the events already seen.
pub struct Flattener {
    tables: Tables,
    seen: Seen,
    /// The letters that the next batch resolves, and those that it makes.
    letters: Letters,
}

impl Default for Flattener {
    fn default() -> Self {
        Self::new(HashMap::new())
    }
}

impl Flattener {
    /// `schemas` are the tables' present Arrow schemas (by table name), so that a column keeps its
    /// type across restarts. A table that does not exist yet may be missing.
    #[allow(clippy::needless_pass_by_value, reason = "the caller has no further use for them")]
    pub fn new(schemas: HashMap<&'static str, SchemaRef>) -> Self {
        let rows = TABLES.iter().map(|t| TableRows::new(t, schemas.get(t.name))).collect();
        let labels = hashbrown::HashSet::new();
        let tables = Tables { rows, origins: Origins::default(), labels, tape: Tape::default() };
        Self { tables, seen: Seen::default(), letters: Letters::default() }
    }

    /// Tables get no more columns than these, besides the common ones.
    #[must_use]
    pub fn with_column_budget(mut self, columns: usize) -> Self {
        self.tables.rows.iter_mut().for_each(|table| table.set_budget(columns));
        self
    }

    /// Tells of an event that the tables hold already, so that its repeats are recognised.
    pub fn remember(
        &mut self,
        system: &str,
        event_key: &str,
        received_at: Micros,
        at: &LogPartition,
        offset: i64,
    ) {
        let place = repeats::place_of(at, offset);
        self.seen.is_repeat(repeats::key_of(system, event_key), 0, received_at, place);
    }

    /// How many events are remembered.
    pub fn remembered(&self) -> usize {
        self.seen.len()
    }

    /// Rows of these raw batches. Never fails: an event that cannot be used is a row of
    /// `dead_letters`.
    pub fn flatten(&mut self, batches: Vec<RawBatch>) -> FlatBatch {
        let mut flat = FlatBatch::default();
        for batch in &batches {
            let before = flat.counts;
            for event in &batch.events {
                self.event(batch.system, &batch.partition, event, &mut flat.counts);
            }
            flat.tallies.push((batch.partition.clone(), flat.counts.since(before)));
        }
        flat.ranges = batches.into_iter().map(|batch| (batch.partition, batch.range)).collect();
        let Tables { rows, origins, .. } = &mut self.tables;
        flat.tables = rows.iter_mut().filter_map(|table| table.finish(origins)).collect();
        flat.left_out = rows.iter_mut().flat_map(TableRows::new_left_out).collect();
        origins.clear();
        self.seen.forget_old(REPEAT_WINDOW);
        self.letters.clear();
        flat
    }

    fn event(
        &mut self,
        system: &'static dyn System,
        at: &LogPartition,
        event: &RawEvent,
        counts: &mut EventCounts,
    ) {
        counts.received += 1;
        let unused = counts.dead_lettered + counts.repeated;
        let event = &*self.tables.without_iparams(event);
        let resolution = event.resolution.as_deref();
        if resolution.is_none_or(|r| !self.resolve(system, at, event, r, counts)) {
            self.news(system, at, event, counts);
        }
        if counts.dead_lettered + counts.repeated == unused {
            counts.written += 1;
        }
    }

    fn news(
        &mut self,
        system: &'static dyn System,
        at: &LogPartition,
        event: &RawEvent,
        counts: &mut EventCounts,
    ) {
        let window = system.repeat_window();
        let place = Place { at, offset: event.offset, received_at: event.received_at, window };
        let (tables, seen) = (&mut self.tables, &mut self.seen);
        let mut out = Output { tables, seen, counts, place, event_time: None };
        let flattened = match event.damaged {
            true => Err(damaged(at, event.offset)),
            false => system.flatten(event, &mut out),
        };
        if let Err(rejection) = flattened {
            debug_assert!(out.event_time.is_none(), "rejected after its rows were begun");
            if let Some(id) = out.dead_letter(system, event, &rejection) {
                self.letters.know(&LetterRow::first(&id, at, event.offset));
            }
        }
    }
}

fn damaged(at: &LogPartition, offset: i64) -> Rejection {
    let message = format!("the log's record at {at} offset {offset} is damaged: check the disk");
    Rejection::new(Stage::Log, "damaged", message)
}
