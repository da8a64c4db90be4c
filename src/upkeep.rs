//! What keeps questions quick without changing any answer: folding, compaction, and deleting what
//! nobody can ask for any more.
//!
//! It runs beside the writer and holds up no batch. What fails is tried again at the next turn; what is
//! cut off by a stop or a kill leaves files that the next vacuum deletes.

use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use ringlake_queries::fold::{Advanced, FOLDS, Failure, Fold, FoldStore, When};
use ringlake_sinks::{Compacted, Folded, Upkeep, Vacuumed};
use ringlake_transform::folded::{FoldedFile, Manifest, Packed};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::error::Error;
use crate::wiring;

/// Between two looks at what is worth doing.
const LOOK: Duration = Duration::from_secs(30);
/// Looks from one compaction to the next, and small files of a month that make it worth it.
const COMPACT_TURNS: u64 = 10;
const COMPACT_FILES: usize = 16;
/// Looks from one vacuum to the next.
const VACUUM_TURNS: u64 = 120;
/// How far back tables can be read after a vacuum: as long as a table's log remembers.
pub const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);

/// States that are folded at a time where a server runs too, and where nothing else does.
const AT_ONCE_BESIDE: u64 = 25_000;
pub const AT_ONCE_ALONE: u64 = 150_000;

struct Files(Folded);

#[async_trait]
impl FoldStore for Files {
    async fn put(
        &self,
        folder: &str,
        part: &str,
        packed: Packed,
        rows: RecordBatch,
        cuts: Vec<usize>,
    ) -> Result<FoldedFile, Failure> {
        Ok(self.0.put(folder, part, packed, rows, cuts).await?)
    }

    async fn publish(&self, folder: &str, manifest: &Manifest) -> Result<bool, Failure> {
        Ok(self.0.publish(folder, manifest).await?)
    }
}

/// Folds what the tables hold by now, `at_once` states at a time. `tell` hears how many states of a fold are
/// done, of how many.
pub async fn fold(
    config: &Config,
    when: When,
    at_once: u64,
    tell: &(dyn Fn(&'static str, u64, u64) + Sync),
) -> Result<Advanced, Error> {
    let engine = wiring::engine(config).await?;
    let files = Files(Folded::open(&wiring::sink_settings(config))?);
    Ok(engine.fold(&files, when, at_once, tell).await?)
}

/// Puts the small files of each table's month together where there are `least` of them.
pub async fn compact(
    config: &Config,
    least: usize,
    tell: &(dyn Fn(&'static str) + Sync),
) -> Result<Compacted, Error> {
    let mut tables = Upkeep::open(wiring::sink_settings(config)).await?;
    Ok(tables.compact(least, tell).await?)
}

/// Deletes what no version of the last `keep` names; with `dry` only counts it.
pub async fn vacuum(config: &Config, keep: Duration, dry: bool) -> Result<Vacuumed, Error> {
    let mut tables = Upkeep::open(wiring::sink_settings(config)).await?;
    let folds = FOLDS.iter().map(Fold::folder).collect();
    Ok(tables.vacuum(keep, &folds, dry).await?)
}

/// Looks after the tables until `stop`.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), Error> {
    let mut turn = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(LOOK) => turn += 1,
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = once(&config, turn) => {}
        }
    }
}

async fn once(config: &Config, turn: u64) {
    match fold(config, When::Due, AT_ONCE_BESIDE, &|_, _, _| {}).await {
        Ok(done) if !done.folds.is_empty() => {
            tracing::debug!(folds = ?done.folds, rows = done.rows, "folded");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the newest states could not be folded"),
    }
    if turn.is_multiple_of(COMPACT_TURNS) {
        match compact(config, COMPACT_FILES, &|_| {}).await {
            Ok(done) => tracing::debug!(files = done.files, became = done.became, "compacted"),
            Err(error) => tracing::warn!(%error, "the tables' files could not be put together"),
        }
    }
    if turn.is_multiple_of(VACUUM_TURNS) {
        match vacuum(config, KEEP, false).await {
            Ok(done) => tracing::debug!(files = done.files, bytes = done.bytes, "vacuumed"),
            Err(error) => tracing::warn!(%error, "old files could not be deleted"),
        }
    }
}
