//! Event keys, and the states of dead letters, back out of the tables: so that a repeat is recognised
//! after a restart, and a letter is resolved once.
//!
//! The position beside each tells an event from its own replay.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use ringlake_transform::letters::LetterRow;
use ringlake_transform::{LogPartition, Micros};

use super::scan;
use super::table::Table;
use crate::error::SinkError;

/// An event that a table holds.
#[derive(Clone, Debug)]
pub struct SeenKey<'a> {
    pub system: &'a str,
    pub event_key: &'a str,
    pub received_at: Micros,
    pub partition: LogPartition,
    pub offset: i64,
}

const KEY_COLUMNS: &[&str] =
    &["system", "event_key", "received_at", "topic", "partition", "offset"];
const LETTER_COLUMNS: &[&str] =
    &["id", "retried_at", "outcome", "received_at", "topic", "partition", "offset"];

/// Calls `f` for each row of the table received in this time; an event of several rows comes several
/// times.
pub(crate) async fn keys(
    table: &Table,
    received: &RangeInclusive<Micros>,
    f: &mut (dyn FnMut(SeenKey<'_>) + Send),
) -> Result<(), SinkError> {
    // A file without these columns is none of ours.
    let mut each = |batch: &RecordBatch| _ = each_key(batch, received, f);
    scan::batches(table, KEY_COLUMNS, received, &mut each).await
}

/// Calls `f` for each row of `dead_letters` received in this time.
pub(crate) async fn letters(
    table: &Table,
    received: &RangeInclusive<Micros>,
    f: &mut (dyn FnMut(LetterRow<'_>) + Send),
) -> Result<(), SinkError> {
    let mut each = |batch: &RecordBatch| _ = each_letter(batch, received, f);
    scan::batches(table, LETTER_COLUMNS, received, &mut each).await
}

fn each_key(
    batch: &RecordBatch,
    received: &RangeInclusive<Micros>,
    f: &mut (dyn FnMut(SeenKey<'_>) + Send),
) -> Option<()> {
    let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
    let (systems, keys) = (text("system")?, text("event_key")?);
    let mut places = Places::of(batch)?;
    for row in 0..batch.num_rows() {
        let received_at = places.received_at(row);
        if !received.contains(&received_at) || keys.is_null(row) {
            continue;
        }
        let Some((partition, offset)) = places.get(row) else { continue };
        f(SeenKey {
            system: systems.value(row),
            event_key: keys.value(row),
            received_at,
            partition,
            offset,
        });
    }
    Some(())
}

fn each_letter(
    batch: &RecordBatch,
    received: &RangeInclusive<Micros>,
    f: &mut (dyn FnMut(LetterRow<'_>) + Send),
) -> Option<()> {
    let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
    let (ids, outcomes) = (text("id")?, text("outcome")?);
    let retried = batch.column_by_name("retried_at")?;
    let retried = retried.as_primitive_opt::<TimestampMicrosecondType>()?;
    let mut places = Places::of(batch)?;
    for row in 0..batch.num_rows() {
        if !received.contains(&places.received_at(row)) || ids.is_null(row) {
            continue;
        }
        let Some((partition, offset)) = places.get(row) else { continue };
        f(LetterRow {
            id: ids.value(row),
            retried_at: retried.is_valid(row).then(|| retried.value(row)),
            outcome: outcomes.is_valid(row).then(|| outcomes.value(row)),
            partition: &partition,
            offset,
        });
    }
    Some(())
}

/// The log positions of a batch's rows, and their times of receipt.
struct Places<'a> {
    topics: &'a arrow::array::StringArray,
    partitions: &'a arrow::array::Int64Array,
    offsets: &'a arrow::array::Int64Array,
    received: &'a arrow::array::TimestampMicrosecondArray,
    /// The topic of the row before: topics are few.
    topic: Arc<str>,
}

impl<'a> Places<'a> {
    fn of(batch: &'a RecordBatch) -> Option<Self> {
        let number = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<Int64Type>();
        Some(Self {
            topics: batch.column_by_name("topic")?.as_string_opt::<i32>()?,
            partitions: number("partition")?,
            offsets: number("offset")?,
            received: batch.column_by_name("received_at")?.as_primitive_opt()?,
            topic: Arc::from(""),
        })
    }

    fn received_at(&self, row: usize) -> Micros {
        self.received.value(row)
    }

    fn get(&mut self, row: usize) -> Option<(LogPartition, i64)> {
        if *self.topic != *self.topics.value(row) {
            self.topic = Arc::from(self.topics.value(row));
        }
        let partition = i32::try_from(self.partitions.value(row)).ok()?;
        Some((LogPartition { topic: Arc::clone(&self.topic), partition }, self.offsets.value(row)))
    }
}
