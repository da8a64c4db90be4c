//! The log against the tables, event by event.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use ringlake_ingest::{Log, LogReader, LogStatus, Polled};
use ringlake_sinks::Audit;
use ringlake_transform::{Flattener, LogPartition, Positions, RawBatch, RawEvent};

use super::{Findings, Held, Tables, keys, letter};
use crate::error::Error;

const CHUNK: usize = 8 << 20;
/// A log that brings nothing for this long has nothing more.
const PATIENCE: Duration = Duration::from_secs(15);
/// Keys that are looked up in the tables at a time.
const LOOKED_UP: usize = 1 << 20;

/// What the log holds of one partition, and what became of it.
#[derive(Clone, Debug, Default)]
pub struct Line {
    pub first: i64,
    pub next: i64,
    /// The position of `progress`.
    pub position: Option<i64>,
    pub rows: u64,
    pub letters: u64,
    pub repeats: u64,
    /// Events that the log holds beyond the position.
    pub waiting: u64,
}

/// A log, read from its beginning to where it ended when that began.
struct Reading<'a> {
    audit: &'a Audit,
    tables: &'a Tables,
    lines: Vec<(LogPartition, Line)>,
    /// Where reading goes on, by the last offset read.
    read: Positions,
    /// Keys of events without a row, and where the event lies.
    wanted: HashMap<u128, (LogPartition, i64)>,
}

/// Compares the whole log with what the tables hold. Damaged records are named and passed over.
pub async fn read(
    log: &dyn Log,
    reader: &mut dyn LogReader,
    audit: &Audit,
    tables: &Tables,
    findings: &mut Findings,
    bar: &ProgressBar,
) -> Result<Vec<(LogPartition, Line)>, Error> {
    let status = log.status().await?;
    let mut reading = Reading::begin(audit, tables, &status, findings);
    bar.set_length(reading.left());
    let mut last_news = Instant::now();
    while !reading.is_done() && last_news.elapsed() < PATIENCE {
        match reader.next(CHUNK, Duration::from_millis(500)).await {
            Ok(Polled::Assigned(_)) => reader.start(&reading.read).await?,
            Ok(Polled::Events(batches)) => {
                last_news = Instant::now();
                for batch in batches {
                    bar.inc(batch.events.len() as u64);
                    reading.compare(batch, findings);
                    if reading.wanted.len() >= LOOKED_UP {
                        reading.look_up(findings, bar).await?;
                    }
                }
            }
            Ok(Polled::Idle | Polled::Revoked(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if !reading.is_done() {
        findings.add("logs that end early", || {
            "the log brought nothing for 15 s though it should hold more; run it again".to_owned()
        });
    }
    reading.look_up(findings, bar).await?;
    Ok(reading.lines)
}

fn damaged(partition: &LogPartition, offset: i64) -> String {
    format!(
        "the log's record at {partition} offset {offset} is not what was written there: keep a copy of the log's \
         file, check the disk, and restore it from a backup"
    )
}

/// Whether the event resolves a dead letter that another place of the log has closed.
fn closed_elsewhere(
    closed: &HashMap<u128, (LogPartition, i64)>,
    partition: &LogPartition,
    event: &RawEvent,
) -> bool {
    let letter = event.resolution.as_ref().map(|resolution| letter(&resolution.letter));
    let place = letter.and_then(|letter| closed.get(&letter));
    place.is_some_and(|(at, offset)| (at, *offset) != (partition, event.offset))
}

impl<'a> Reading<'a> {
    fn begin(
        audit: &'a Audit,
        tables: &'a Tables,
        status: &LogStatus,
        findings: &mut Findings,
    ) -> Self {
        let (mut lines, mut read) = (Vec::new(), Positions::default());
        for held in &status.partitions {
            let position = audit.progress.positions.get(&held.partition);
            if let Some(position) = position.filter(|at| *at >= held.next || *at < held.first - 1) {
                findings.add("positions that do not fit the log", || {
                    format!(
                        "the tables hold {} up to offset {position}, but the log has {} to {}: it is another \
                         log, or it was trimmed too early; restore it, or rebuild the tables",
                        held.partition,
                        held.first,
                        held.next - 1
                    )
                });
            }
            read.advance(held.partition.clone(), held.first - 1);
            let line = Line { first: held.first, next: held.next, position, ..Line::default() };
            lines.push((held.partition.clone(), line));
        }
        Self { audit, tables, lines, read, wanted: HashMap::new() }
    }

    /// Offsets that are still to be read, at most.
    fn left(&self) -> u64 {
        let left = |(partition, line): &(LogPartition, Line)| {
            let read = self.read.get(partition).unwrap_or(line.first - 1);
            u64::try_from(line.next - 1 - read).unwrap_or(0)
        };
        self.lines.iter().map(left).sum()
    }

    fn is_done(&self) -> bool {
        self.left() == 0
    }

    fn compare(&mut self, mut batch: RawBatch, findings: &mut Findings) {
        self.read.advance(batch.partition.clone(), batch.range.last);
        let found = self.lines.iter_mut().find(|(partition, _)| *partition == batch.partition);
        let Some((partition, line)) = found else { return };
        let nothing = Held::default();
        let held = self.tables.held.get(partition).unwrap_or(&nothing);
        // What came since the beginning is none of ours.
        batch.events.retain(|event| {
            if event.offset >= line.next {
                return false;
            }
            if event.damaged {
                findings.add("damaged records", || damaged(partition, event.offset));
            }
            if line.position.is_none_or(|position| event.offset > position) {
                line.waiting += 1;
                return false;
            }
            let (has_row, is_letter) =
                (held.rows.contains(event.offset), held.letters.contains(event.offset));
            line.rows += u64::from(has_row);
            line.letters += u64::from(is_letter);
            line.repeats += u64::from(!has_row && !is_letter);
            if event.damaged {
                // What it was, and so whether it was a repeat, nobody can say any more.
                return false;
            }
            !has_row && !is_letter && !closed_elsewhere(&self.tables.closed, partition, event)
        });
        if !batch.events.is_empty() {
            self.want(batch);
        }
    }

    /// Notes the keys of events without a row. One that repeats another of them needs no note.
    fn want(&mut self, batch: RawBatch) {
        let partition = batch.partition.clone();
        let flat = Flattener::default().flatten(vec![batch]);
        for table in flat.tables.iter().filter(|table| table.table.primary) {
            let offsets = table.rows.column_by_name("offset");
            let offsets = offsets
                .and_then(arrow::array::AsArray::as_primitive_opt::<arrow::datatypes::Int64Type>);
            let (Some(keys), Some(offsets)) = (keys(&table.rows), offsets) else { continue };
            for (key, offset) in keys.zip(offsets.values()) {
                self.wanted.entry(key).or_insert_with(|| (partition.clone(), *offset));
            }
        }
    }

    /// What no table has a row of is lost.
    async fn look_up(&mut self, findings: &mut Findings, bar: &ProgressBar) -> Result<(), Error> {
        self.tables.find_keys(self.audit, &mut self.wanted, bar).await?;
        let mut lost: Vec<(LogPartition, i64)> = self.wanted.drain().map(|(_, at)| at).collect();
        lost.sort();
        for (partition, offset) in lost {
            findings.add("events that are lost", || {
                format!(
                    "offset {offset} of {partition} is in no table and repeats no other event; \
                     `ringlake log dump` has it: import it from there, and please report this"
                )
            });
        }
        Ok(())
    }
}
