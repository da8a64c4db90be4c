//! Rows ready to be written, with the log positions they came from.

use arrow::record_batch::RecordBatch;

use crate::event::LogPartition;
use crate::offsets::OffsetRange;
use crate::tables::TableSpec;

/// Rows of one table. Every row carries `topic`, `partition` and `offset`, so a table that already
/// holds a part of the range can skip that part row by row.
#[derive(Clone, Debug)]
pub struct TableBatch {
    pub table: &'static TableSpec,
    /// The table's declared columns, then the columns that appeared while running. Dynamic columns
    /// that no row of this batch fills may be missing: the table reads them as null.
    pub rows: RecordBatch,
}

/// What happened to the events of a batch: `received = written + dead_lettered + repeated`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    pub received: u64,
    pub written: u64,
    pub dead_lettered: u64,
    pub repeated: u64,
    /// Of those received, the dead letters that were tried again or closed.
    pub resolved: u64,
    /// Values that did not fit their column's type and went to `extra`.
    pub misfits: u64,
    /// Values that went to `extra` because their table has as many columns as it may.
    pub left_out: u64,
    /// JSON keys that stood twice in one object; the last one won.
    pub duplicate_keys: u64,
}

impl EventCounts {
    /// What has been counted since it stood at `before`.
    pub fn since(self, before: Self) -> Tally {
        Tally {
            events: self.received - before.received,
            dead_lettered: self.dead_lettered - before.dead_lettered,
            repeated: self.repeated - before.repeated,
        }
    }
}

/// What became of the events of one log partition: the others have rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub events: u64,
    pub dead_lettered: u64,
    pub repeated: u64,
}

impl Tally {
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            events: self.events + other.events,
            dead_lettered: self.dead_lettered + other.dead_lettered,
            repeated: self.repeated + other.repeated,
        }
    }
}

/// A field that stays in `extra`, because its table has as many columns as it may.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeftOut {
    pub table: &'static str,
    pub field: Box<str>,
}

/// Everything that one round of events became.
///
/// `ranges` covers events that made no rows as well (repeats), so that the position moves past them.
#[derive(Clone, Debug, Default)]
pub struct FlatBatch {
    /// Only tables with at least one row, in the order of [`crate::TABLES`].
    pub tables: Vec<TableBatch>,
    pub ranges: Vec<(LogPartition, OffsetRange)>,
    /// What became of the events of each of these ranges, as `progress` adds it up.
    pub tallies: Vec<(LogPartition, Tally)>,
    pub counts: EventCounts,
    /// Fields beyond the budget of columns that were not named before; of a table only some are.
    pub left_out: Vec<LeftOut>,
}

impl FlatBatch {
    pub fn rows(&self) -> usize {
        self.tables.iter().map(|table| table.rows.num_rows()).sum()
    }
}
