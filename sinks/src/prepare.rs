//! The first half of a batch's way: rows → durable files that no commit names yet.
//!
//! It needs no table, only what the tables will hold once the batches prepared before are committed;
//! so the next batch is encoded while the one before waits for its commits. What it counts on is
//! compared again by the commit itself (`delta/commit.rs`): a wrong guess is refused there, never
//! written. It must never count on a batch that was dropped uncommitted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arrow::record_batch::RecordBatch;
use deltalake_core::logstore::LogStoreRef;
use futures::{StreamExt, TryStreamExt, stream};
use ringlake_transform::faults::{self, Mutant, Side};
use ringlake_transform::{
    FlatBatch, LogPartition, OffsetRange, TABLES, TableBatch, TableSpec, Tally,
};
use tokio::sync::Mutex as AsyncMutex;

use crate::delta::append::Append;
use crate::delta::commit::Move;
use crate::delta::{files, rows};
use crate::error::SinkError;
use crate::settings::SinkSettings;
use crate::tables::Tables;

pub(crate) type Ranges = [(LogPartition, OffsetRange)];

/// A batch whose files are durable and wait for [`Committer::commit`](crate::Committer::commit).
///
/// Dropped without that, it is as if it had never been: the same events can be prepared again.
pub struct Prepared {
    pub(crate) ranges: Vec<(LogPartition, OffsetRange)>,
    pub(crate) tallies: Vec<(LogPartition, Tally)>,
    /// In the order of `TABLES`.
    pub(crate) parts: Vec<Stored>,
    pub(crate) started: Instant,
    pub(crate) committed: AtomicBool,
    ahead: Ahead,
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if !self.committed.load(Ordering::Acquire) {
            self.ahead.clear();
        }
    }
}

/// One table's rows of a batch as files.
pub(crate) struct Stored {
    pub spec: &'static TableSpec,
    pub append: Append,
    pub rows: usize,
    pub moves: Vec<Move>,
}

/// One table's rows of a batch that are new to it.
struct Fresh {
    spec: &'static TableSpec,
    log_store: LogStoreRef,
    rows: RecordBatch,
    moves: Vec<Move>,
}

/// Where a table's files go, and what it holds once all that is prepared is committed.
#[derive(Clone)]
pub(crate) struct Target {
    pub log_store: LogStoreRef,
    pub held: rows::Held,
}

/// What the tables will hold.
#[derive(Clone, Default)]
pub(crate) struct Ahead(Arc<Mutex<HashMap<&'static str, Target>>>);

impl Ahead {
    /// Forgets it all: the tables themselves are asked next time.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<&'static str, Target>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The target, if it knows each of these partitions.
    fn get(&self, spec: &TableSpec, ranges: &Ranges) -> Option<Target> {
        let known = self.lock().get(spec.name)?.clone();
        let all = ranges.iter().all(|(partition, _)| known.held.contains_key(partition));
        all.then_some(known)
    }

    /// Adds what the table says of partitions that are new here.
    fn learn(&self, spec: &TableSpec, told: Target) -> Target {
        let mut known = self.lock();
        let target = known
            .entry(spec.name)
            .or_insert_with(|| Target { log_store: told.log_store, held: rows::Held::new() });
        for (partition, held) in told.held {
            target.held.entry(partition).or_insert(held);
        }
        target.clone()
    }

    fn count_on(&self, parts: &[Stored]) {
        let mut known = self.lock();
        for part in parts {
            if let Some(target) = known.get_mut(part.spec.name) {
                let ends = part.moves.iter().map(|step| (step.partition.clone(), Some(step.to)));
                target.held.extend(ends);
            }
        }
    }
}

/// Encodes and stores what the tables do not hold of a batch.
pub(crate) async fn prepare(
    tables: &AsyncMutex<Tables>,
    ahead: Ahead,
    settings: &SinkSettings,
    batch: FlatBatch,
) -> Result<Prepared, SinkError> {
    let started = Instant::now();
    let ranges = rows::joined(&batch.ranges);
    let mut fresh = Vec::new();
    for part in batch.tables.into_iter().filter(|part| part.rows.num_rows() > 0) {
        let target = match ahead.get(part.table, &ranges) {
            Some(target) => target,
            None => ahead.learn(part.table, tables.lock().await.target(&part, &ranges).await?),
        };
        fresh.extend(cut(part, target, &ranges)?);
    }
    let parts = store_all(fresh, settings).await?;
    ahead.count_on(&parts);
    let (tallies, committed) = (batch.tallies, AtomicBool::new(false));
    Ok(Prepared { ranges, tallies, parts, started, committed, ahead })
}

/// What of this part the table does not hold; none if that is nothing.
fn cut(part: TableBatch, target: Target, ranges: &Ranges) -> Result<Option<Fresh>, SinkError> {
    let spec = part.table;
    let Target { log_store, held } = target;
    let rows = rows::after(&part.rows, &held).map_err(SinkError::rows(spec.name, "cut off"))?;
    let moves = moves(ranges, &held);
    if rows.num_rows() == 0 || moves.is_empty() {
        return Ok(None);
    }
    Ok(Some(Fresh { spec, log_store, rows, moves }))
}

/// The steps that ranges take from where the table is; none for what it holds already.
pub(crate) fn moves(ranges: &Ranges, held: &rows::Held) -> Vec<Move> {
    ranges
        .iter()
        .filter_map(|(partition, range)| {
            let from = held.get(partition).copied().flatten();
            let new = range.after(from)?;
            let ahead = i64::from(faults::is_mutant(Mutant::PositionOffByOne));
            Some(Move { partition: partition.clone(), from, to: new.last + ahead })
        })
        .collect()
}

/// Encodes the rows of one table after another, and stores their files meanwhile; returns them in
/// commit order.
async fn store_all(fresh: Vec<Fresh>, settings: &SinkSettings) -> Result<Vec<Stored>, SinkError> {
    faults::pass("sinks:parquet", Side::Before);
    let (level, turn) = (settings.compression_level, AsyncMutex::new(()));
    let mut stored: Vec<Stored> = stream::iter(fresh)
        .map(|part| store(part, level, &turn))
        .buffer_unordered(settings.parallelism.max(1))
        .try_collect()
        .await?;
    faults::pass("sinks:parquet", Side::After);
    stored.sort_by_key(|part| TABLES.iter().position(|spec| spec.name == part.spec.name));
    Ok(stored)
}

/// Rows to durable files. An encoding has its turn alone, since it takes the cores there are.
async fn store(part: Fresh, level: i32, turn: &AsyncMutex<()>) -> Result<Stored, SinkError> {
    let Fresh { spec, log_store, rows, moves } = part;
    faults::pass_of("sinks:write", spec.name, Side::Before);
    let (schema, count) = (rows.schema(), rows.num_rows());
    let encoding = turn.lock().await;
    let encoded = tokio::task::spawn_blocking(move || files::encode(spec, &rows, level))
        .await
        .map_err(|source| SinkError::Task { source })??;
    drop(encoding);
    let files = stream::iter(encoded)
        .map(|file| files::store(spec.name, &log_store, file))
        .buffered(8)
        .try_collect()
        .await?;
    faults::pass_of("sinks:write", spec.name, Side::After);
    Ok(Stored { spec, append: Append { files, schema }, rows: count, moves })
}
