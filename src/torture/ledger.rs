//! What was sent, what was acknowledged, and what the tables have to hold in the end.
//!
//! Of each event its key and a hash of all its rows are kept, made by the same flattener from what was
//! sent: 24 bytes or so. The hash leaves out what a run may differ in: the place in the log, the time of
//! receipt and what follows from it. It knows nothing of the server, so that it cannot be wrong with it.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use ringlake_transform::repeats::key_of;
use ringlake_transform::tables::FIELD_LABELS;
use ringlake_transform::{FlatBatch, TableSpec};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Where in the log a row came from and when that was; the month follows from the event's time.
const OF_THE_RUN: &[&str] = &["topic", "partition", "offset", "received_at", "event_month"];
/// What follows from the time of receipt, in rows of events that carry no time; and all times.
const OF_THE_RECEIPT: &[&str] = &["event_time", "event_key", "id"];

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// Of all its rows.
    expected: u64,
    found: u64,
    /// Rows in primary tables; one is right.
    primaries: u32,
    acknowledged: bool,
}

#[derive(Default)]
pub struct Ledger {
    events: HashMap<u64, Entry>,
}

/// What the tables have that they should not, or have not that they should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub lost: u64,
    pub twice: u64,
    pub wrong: u64,
}

impl Verdict {
    pub fn is_clean(self) -> bool {
        self == Self::default()
    }

    pub fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.twice += other.twice;
        self.wrong += other.wrong;
    }
}

impl Ledger {
    /// Enters the events of a batch whose offsets are their numbers, and returns the key of each by
    /// number. One that is known already, or makes no rows, gets none.
    pub fn enter(&mut self, batch: &FlatBatch, count: usize) -> Vec<Option<u64>> {
        let mut keys: Vec<Option<u64>> = vec![None; count];
        let mut sums: Vec<u64> = vec![0; count];
        for table in batch.tables.iter().filter(|table| table.table != &FIELD_LABELS) {
            let Some(offsets) = table.rows.column_by_name("offset") else { continue };
            let Some(offsets) = offsets.as_primitive_opt::<Int64Type>() else { continue };
            for (row, (key, sum)) in rows(table.table, &table.rows).into_iter().enumerate() {
                let Ok(number) = usize::try_from(offsets.value(row)) else { continue };
                if let (Some(held), Some(total)) = (keys.get_mut(number), sums.get_mut(number)) {
                    *held = Some(key);
                    *total = total.wrapping_add(sum);
                }
            }
        }
        for (held, sum) in keys.iter_mut().zip(sums) {
            let Some(key) = *held else { continue };
            match self.events.entry(key) {
                MapEntry::Occupied(_) => *held = None,
                MapEntry::Vacant(place) => {
                    place.insert(Entry { expected: sum, ..Entry::default() });
                }
            }
        }
        keys
    }

    pub fn acknowledge(&mut self, keys: &[u64]) {
        for key in keys {
            if let Some(entry) = self.events.get_mut(key) {
                entry.acknowledged = true;
            }
        }
    }

    /// Begins to count what the tables hold.
    pub fn recount(&mut self) {
        for entry in self.events.values_mut() {
            (entry.found, entry.primaries) = (0, 0);
        }
    }

    /// Counts rows of a table; returns how many belong to no event that was sent.
    pub fn count(&mut self, table: &TableSpec, batch: &RecordBatch) -> u64 {
        if table == &FIELD_LABELS {
            return 0;
        }
        let mut strangers = 0;
        for (key, sum) in rows(table, batch) {
            match self.events.get_mut(&key) {
                Some(entry) => {
                    entry.found = entry.found.wrapping_add(sum);
                    entry.primaries += u32::from(table.primary);
                }
                None => strangers += 1,
            }
        }
        strangers
    }

    /// What the counts say.
    pub fn verdict(&self) -> Verdict {
        let mut verdict = Verdict::default();
        for entry in self.events.values() {
            match entry.primaries {
                0 => verdict.lost += u64::from(entry.acknowledged),
                1 => verdict.wrong += u64::from(entry.found != entry.expected),
                times => verdict.twice += u64::from(times - 1),
            }
        }
        verdict
    }
}

/// The key of each row's event, and the row's hash.
fn rows(table: &TableSpec, batch: &RecordBatch) -> Vec<(u64, u64)> {
    let seed = xxh3_64_with_seed(table.name.as_bytes(), 0);
    let basis = batch.column_by_name("event_time_basis").and_then(|c| c.as_string_opt::<i32>());
    let by_receipt: Vec<bool> = (0..batch.num_rows())
        .map(|row| basis.is_some_and(|basis| basis.value(row) == "receipt"))
        .collect();
    let mut sums: Vec<u64> = vec![seed; batch.num_rows()];
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let name = field.name().as_str();
        if OF_THE_RUN.contains(&name) {
            continue;
        }
        let of_the_receipt =
            OF_THE_RECEIPT.contains(&name) || matches!(field.data_type(), DataType::Timestamp(..));
        let skip = |row: usize| of_the_receipt && by_receipt.get(row).copied().unwrap_or(false);
        let seed = xxh3_64_with_seed(name.as_bytes(), seed);
        each(column, &mut |row, value| {
            if let Some(sum) = sums.get_mut(row).filter(|_| !skip(row)) {
                *sum = sum.wrapping_add(xxh3_64_with_seed(value, seed));
            }
        });
    }
    let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
    let (systems, event_keys) = (text("system"), text("event_key"));
    let keyed = sums.into_iter().enumerate().map(|(row, sum)| {
        let key = match (systems, event_keys, by_receipt.get(row)) {
            (Some(systems), Some(keys), Some(false)) => {
                key_of(systems.value(row), keys.value(row)) as u64
            }
            // Without a time of its own an event's key follows from its receipt: its row is its key.
            _ => sum,
        };
        (key, sum)
    });
    keyed.collect()
}

/// Calls `f` with each value that is not null, as bytes.
fn each(column: &ArrayRef, f: &mut dyn FnMut(usize, &[u8])) {
    let valid = |row: &usize| column.is_valid(*row);
    let rows = (0..column.len()).filter(valid);
    match column.data_type() {
        DataType::Utf8 => {
            let values = column.as_string::<i32>();
            rows.for_each(|row| f(row, values.value(row).as_bytes()));
        }
        DataType::Int64 => {
            let values = column.as_primitive::<Int64Type>();
            rows.for_each(|row| f(row, &values.value(row).to_le_bytes()));
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let values = column.as_primitive::<TimestampMicrosecondType>();
            rows.for_each(|row| f(row, &values.value(row).to_le_bytes()));
        }
        DataType::Decimal128(..) => {
            let values = column.as_primitive::<Decimal128Type>();
            rows.for_each(|row| f(row, &values.value(row).to_le_bytes()));
        }
        other => {
            let converter = RowConverter::new(vec![SortField::new(other.clone())]);
            let converted = converter.and_then(|c| c.convert_columns(&[ArrayRef::clone(column)]));
            if let Ok(values) = converted {
                rows.for_each(|row| f(row, values.row(row).as_ref()));
            }
        }
    }
}
