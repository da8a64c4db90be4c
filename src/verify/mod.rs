//! The proof that each event of the log is in the tables exactly once.
//!
//! | an offset up to the position of `progress` | is proven by |
//! | --- | --- |
//! | has one row in one primary table | counting every row's place once, a bit an offset |
//! | is a dead letter | the same, of `dead_letters` |
//! | is a repeat, and has no row | the event's key, read anew from the log, stands in another row |
//! | resolves a dead letter, and has no row | the same, or another place of the log has closed the letter |
//! | was trimmed from the log | the sums that `progress` keeps: events = rows + dead letters + repeats |
//!
//! What lies beyond that position is not yet committed. Files are compared with the Delta log, row for row,
//! and with the checksum in their names. Memory: a bit for each event, less where they have no gaps, and
//! 32 bytes for each repeat that is looked up. It must never change anything, nor pass over what it cannot
//! read.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use indicatif::ProgressBar;
use ringlake_sinks::{Audit, Fault, TableFile};
use ringlake_transform::letters::Outcome;
use ringlake_transform::repeats::key_of;
use ringlake_transform::tables::{DEAD_LETTERS, PROGRESS};
use ringlake_transform::{LogPartition, Tally};

use crate::error::Error;

mod log;
mod offsets;

pub use log::{Line, read as read_log};
use offsets::Offsets;

/// Faults of one kind that are named one by one; of the others only the number is told.
const NAMED: u64 = 20;

/// What is wrong, in words.
#[derive(Default)]
pub struct Findings {
    pub lines: Vec<String>,
    counts: BTreeMap<&'static str, u64>,
}

impl Findings {
    /// One more of a kind.
    pub fn add(&mut self, kind: &'static str, line: impl FnOnce() -> String) {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        if *count <= NAMED {
            self.lines.push(line());
        }
    }

    pub fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// How many were not named, by kind.
    pub fn unnamed(&self) -> impl Iterator<Item = String> {
        let more = self.counts.iter().filter(|(_, count)| **count > NAMED);
        more.map(|(kind, count)| format!("{} more: {kind}", count - NAMED))
    }

    fn fault(&mut self, fault: &Fault) {
        self.add("damaged tables", || {
            let path = if fault.path.is_empty() { "" } else { " " };
            format!("table {}{path}{}: {}; {}", fault.table, fault.path, fault.what, fault.hint)
        });
    }
}

/// What the tables hold of one log partition.
#[derive(Default)]
pub struct Held {
    pub rows: Offsets,
    pub letters: Offsets,
    /// The greatest offset of a row.
    pub last: Option<i64>,
}

/// What was found in the tables.
#[derive(Default)]
pub struct Tables {
    pub held: BTreeMap<LogPartition, Held>,
    pub files: u64,
    pub bytes: u64,
    pub rows: u64,
    /// By their ids as [`letter`], the dead letters that were closed, and where in the log.
    pub closed: HashMap<u128, (LogPartition, i64)>,
    /// The files in which event keys stand.
    primary: Vec<TableFile>,
}

const PLACES: &[&str] = &["topic", "partition", "offset"];
const LETTERS: &[&str] = &["topic", "partition", "offset", "retried_at", "id", "outcome"];

/// Checks every file, and notes the place of every row.
pub async fn read_tables(
    audit: &mut Audit,
    findings: &mut Findings,
    bar: &ProgressBar,
) -> Result<Tables, Error> {
    audit.faults.iter().for_each(|fault| findings.fault(fault));
    let files = audit.files().await?;
    bar.set_length(files.iter().map(|file| file.bytes).sum());
    let mut tables = Tables::default();
    let mut newest: HashMap<&'static str, BTreeMap<LogPartition, i64>> = HashMap::new();
    for file in files {
        tables.files += 1;
        tables.bytes += file.bytes;
        bar.inc(file.bytes);
        if let Some(fault) = audit.check(&file).await? {
            findings.fault(&fault);
            continue;
        }
        let last = newest.entry(file.table.name).or_default();
        let rows = match file.table.name {
            name if name == PROGRESS.name => {
                audit.read(&file, Some(&["topic"]), &mut |_| {}).await?
            }
            _ => {
                let columns = if file.table.name == DEAD_LETTERS.name { LETTERS } else { PLACES };
                let mut note = |batch: &RecordBatch| tables.note(&file, batch, last, findings);
                audit.read(&file, Some(columns), &mut note).await?
            }
        };
        tables.rows += rows;
        if let Some(fault) = Audit::compare_rows(&file, rows) {
            findings.fault(&fault);
        }
        if file.table.primary {
            tables.primary.push(file);
        }
    }
    compare_positions(audit, &newest, findings).await?;
    compare_sums(&tables, audit, findings);
    Ok(tables)
}

impl Tables {
    fn note(
        &mut self,
        file: &TableFile,
        batch: &RecordBatch,
        newest: &mut BTreeMap<LogPartition, i64>,
        findings: &mut Findings,
    ) {
        let Some(places) = places(batch) else {
            findings.add("files without log positions", || {
                format!("table {} {}: has no log positions", file.table.name, file.path)
            });
            return;
        };
        let is_letter = file.table.name == DEAD_LETTERS.name;
        let retried = batch.column_by_name("retried_at");
        if is_letter {
            self.closed.extend(closings(batch).into_iter().flatten());
        }
        for (row, (partition, offset)) in places.enumerate() {
            let last = newest.entry(partition.clone()).or_insert(offset);
            *last = offset.max(*last);
            // A letter that was retried has a row more, which tells how that ended.
            let is_retry = retried.is_some_and(|retried| retried.is_valid(row));
            if !file.table.primary || is_retry {
                continue;
            }
            let held = self.held.entry(partition.clone()).or_default();
            held.last = held.last.max(Some(offset));
            let offsets = if is_letter { &mut held.letters } else { &mut held.rows };
            if !offsets.insert(offset) {
                findings.add("events that are in the tables twice", || {
                    format!(
                        "offset {offset} of {partition} is in the tables twice, the second time in {} {}; \
                         this is a fault of ringlake, please report it",
                        file.table.name, file.path
                    )
                });
            }
        }
    }

    /// Takes out of `wanted` the keys that stand in a primary table.
    pub async fn find_keys<T>(
        &self,
        audit: &Audit,
        wanted: &mut HashMap<u128, T>,
        bar: &ProgressBar,
    ) -> Result<(), Error>
    where
        T: Send,
    {
        for file in &self.primary {
            if wanted.is_empty() {
                break;
            }
            bar.set_message(format!("looking up {} repeats", wanted.len()));
            let columns = Some(&["system", "event_key"][..]);
            let mut cross_out = |batch: &RecordBatch| {
                for key in keys(batch).into_iter().flatten() {
                    wanted.remove(&key);
                }
            };
            audit.read(file, columns, &mut cross_out).await?;
        }
        Ok(())
    }
}

/// The log place of each row.
fn places(batch: &RecordBatch) -> Option<impl Iterator<Item = (LogPartition, i64)>> {
    let topics = batch.column_by_name("topic")?.as_string_opt::<i32>()?;
    let number = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<Int64Type>();
    let (partitions, offsets) = (number("partition")?, number("offset")?);
    let mut shared: Option<LogPartition> = None;
    let place = move |row: usize| {
        let partition = i32::try_from(partitions.value(row)).unwrap_or(i32::MAX);
        let same = shared
            .as_ref()
            .filter(|last| last.partition == partition && *last.topic == *topics.value(row));
        let place =
            same.cloned().unwrap_or_else(|| LogPartition::new(topics.value(row), partition));
        shared = Some(place.clone());
        (place, offsets.value(row))
    };
    Some((0..batch.num_rows()).map(place))
}

/// The rows that close a letter, by its id.
fn closings(batch: &RecordBatch) -> Option<impl Iterator<Item = (u128, (LogPartition, i64))>> {
    let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
    let (ids, outcomes) = (text("id")?, text("outcome")?);
    let closes = |row: usize| outcomes.is_valid(row) && Outcome::closes(outcomes.value(row));
    let closing = places(batch)?.enumerate().filter(move |(row, _)| closes(*row));
    Some(closing.map(|(row, place)| (letter(ids.value(row)), place)))
}

/// What stands for the id of a dead letter.
pub fn letter(id: &str) -> u128 {
    key_of("", id)
}

/// The key of each row's event.
pub fn keys(batch: &RecordBatch) -> Option<impl Iterator<Item = u128>> {
    let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
    let (systems, keys) = (text("system")?, text("event_key")?);
    Some((0..batch.num_rows()).map(|row| key_of(systems.value(row), keys.value(row))))
}

/// A table's position covers its rows, and that of `progress` no more than every table's batches.
async fn compare_positions(
    audit: &mut Audit,
    newest: &HashMap<&'static str, BTreeMap<LogPartition, i64>>,
    findings: &mut Findings,
) -> Result<(), Error> {
    let mut partitions: Vec<LogPartition> =
        newest.values().flat_map(BTreeMap::keys).cloned().collect();
    partitions.sort();
    partitions.dedup();
    let positions = audit.positions(&partitions).await?;
    for (table, rows) in newest {
        for (partition, last) in rows {
            let position = positions.get(table).and_then(|held| held.get(partition));
            if position.is_none_or(|position| position < last) {
                findings.add("positions behind their rows", || {
                    let position = position.map_or("none".to_owned(), i64::to_string);
                    format!(
                        "table {table} has rows of {partition} up to offset {last}, but its position there \
                         is {position}: they would be written again; rebuild the table from the log"
                    )
                });
            }
        }
    }
    Ok(())
}

/// The sums of `progress` against the rows up to its positions.
fn compare_sums(tables: &Tables, audit: &Audit, findings: &mut Findings) {
    let nothing = Held::default();
    for (partition, position) in audit.progress.positions.iter() {
        let Some(tally) = audit.progress.tallies.get(partition) else { continue };
        let held = tables.held.get(partition).unwrap_or(&nothing);
        let (rows, letters) = (held.rows.count_to(position), held.letters.count_to(position));
        let Tally { events, dead_lettered, repeated } = *tally;
        let expected = events.saturating_sub(dead_lettered + repeated);
        if (rows, letters) != (expected, dead_lettered) {
            findings.add("sums that differ", || {
                format!(
                    "of {events} events of {partition} up to offset {position}, {expected} should have rows \
                     and {dead_lettered} be dead letters, but there are {rows} and {letters}; if the log \
                     still has them, rebuild the tables from it"
                )
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_is_counted() {
        let mut findings = Findings::default();
        for n in 0..NAMED + 3 {
            findings.add("events that are lost", || n.to_string());
        }
        assert_eq!(findings.lines.len() as u64, NAMED);
        assert_eq!(findings.count(), NAMED + 3);
        assert_eq!(findings.unnamed().collect::<Vec<_>>(), ["3 more: events that are lost"]);
    }
}
