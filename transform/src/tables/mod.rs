//! The tables: one file per entry of [`TABLES`].
//!
//! Other tools rely on these names. A column is never renamed or given another type; new ones are
//! added at the end. Every table begins with the columns of [`COMMON`] and, but for `progress`, is
//! partitioned by `event_month`; what no column holds is in `extra`.
//!
//! A real file: `deals/event_month=2026-03/part-00000-0d5c….zstd.parquet`. Months, not days: a small
//! firm's day is too small for a file, and a large firm's month still prunes by the statistics of
//! `event_time`.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};

use crate::columns::{Column, Kind};

mod agent_events;
mod call_participants;
mod calls;
mod channel_events;
mod dead_letters;
mod field_changes;
mod field_labels;
mod progress;
mod records;

pub use agent_events::AGENT_EVENTS;
pub use call_participants::CALL_PARTICIPANTS;
pub use calls::CALLS;
pub use channel_events::CHANNEL_EVENTS;
pub use dead_letters::DEAD_LETTERS;
pub use field_changes::FIELD_CHANGES;
pub use field_labels::FIELD_LABELS;
pub use progress::PROGRESS;
pub use records::{
    APPOINTMENTS, CONTACTS, CUSTOM_MODULE_RECORDS, DEALS, LEADS, SALES_ACCOUNTS, TASKS,
};

/// The partition column: the UTC month of `event_time`, as `2026-03`.
pub const EVENT_MONTH: &str = "event_month";
/// Where a value without a column is kept, as one JSON object.
pub const EXTRA: &str = "extra";

/// What every row carries: whose it is, when it was, and where in the log it came from.
pub const COMMON: &[Column] = &[
    Column::required("system", Kind::Text),
    Column::new("account_id", Kind::Text),
    Column::required("event_type", Kind::Text),
    Column::required("event_time", Kind::Time),
    Column::required("event_time_basis", Kind::Text),
    Column::required("received_at", Kind::Time),
    Column::required("event_key", Kind::Text),
    Column::required("topic", Kind::Text),
    Column::required("partition", Kind::Int),
    Column::required("offset", Kind::Int),
];

/// One table: what it is called, what its columns are, and how its files lie.
#[derive(Debug, PartialEq, Eq)]
pub struct TableSpec {
    pub name: &'static str,
    /// What a row is, in half a sentence; shown by `ringlake schema`.
    pub row_is: &'static str,
    /// Columns after [`COMMON`].
    pub columns: &'static [Column],
    /// Whether fields that no column is declared for become columns as they appear.
    pub grows: bool,
    /// Whether the first row of an event lies here, so that the repeats of a restart are found by
    /// reading this table's `event_key`.
    pub primary: bool,
    /// Rows of a file are sorted by these, so that a call's or a deal's rows lie together.
    pub sort: &'static [&'static str],
}

/// In the order in which a batch is committed: what others refer to comes first, so that whoever
/// sees a call sees its legs.
pub const TABLES: &[&TableSpec] = &[
    &CALL_PARTICIPANTS,
    &FIELD_CHANGES,
    &FIELD_LABELS,
    &CALLS,
    &CHANNEL_EVENTS,
    &AGENT_EVENTS,
    &CONTACTS,
    &LEADS,
    &DEALS,
    &SALES_ACCOUNTS,
    &CUSTOM_MODULE_RECORDS,
    &APPOINTMENTS,
    &TASKS,
    &DEAD_LETTERS,
];

/// The table of this name, `progress` among them.
pub fn by_name(name: &str) -> Option<&'static TableSpec> {
    TABLES.iter().copied().chain([&PROGRESS]).find(|table| table.name == name)
}

impl TableSpec {
    /// All declared columns in order: [`COMMON`], the table's own, `event_month`, `extra`.
    /// `progress` has only its own.
    pub fn declared(&self) -> Vec<Column> {
        if self.name == PROGRESS.name {
            return self.columns.to_vec();
        }
        let tail = [Column::required(EVENT_MONTH, Kind::Text), Column::new(EXTRA, Kind::Json)];
        COMMON.iter().chain(self.columns).chain(&tail).copied().collect()
    }

    /// The Arrow schema of the declared columns.
    pub fn schema(&self) -> SchemaRef {
        let fields: Vec<Field> = self.declared().iter().map(Column::field).collect();
        Arc::new(Schema::new(fields))
    }

    /// The partition columns of the Delta table.
    pub fn partition_columns(&self) -> &'static [&'static str] {
        if self.name == PROGRESS.name { &[] } else { &[EVENT_MONTH] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_sort_columns_exist() {
        let mut names = HashSet::new();
        for table in TABLES {
            assert!(names.insert(table.name), "{} stands twice", table.name);
            let declared = table.declared();
            let columns: HashSet<_> = declared.iter().map(|c| c.name).collect();
            assert_eq!(columns.len(), declared.len(), "{} has a column twice", table.name);
            for column in table.sort {
                assert!(columns.contains(column), "{}: sort column {column}", table.name);
            }
        }
    }
}
