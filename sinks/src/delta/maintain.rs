//! Tidying a table's log: checkpoints, expired entries, and the old files of `progress`.
//!
//! Each is a step of its own, run between batches by the process that writes. None is part of a
//! commit: a checkpoint that fails must not make a commit look as if it had failed. After entries
//! were deleted the table is read from nothing again and must have the files it had.

use std::collections::HashSet;
use std::time::Duration;

use deltalake_core::{DeltaTable, checkpoints};
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use ringlake_transform::faults::{self, Side};

use super::table::Table;
use crate::error::SinkError;

/// What a round of tidying did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    pub checkpoints: u64,
    /// Log files deleted because older versions are out of reach by now.
    pub log_files: u64,
    /// Files of `progress` deleted because no version that can be read names them.
    pub files: u64,
}

impl Maintained {
    pub(crate) fn add(&mut self, other: Self) {
        self.checkpoints += other.checkpoints;
        self.log_files += other.log_files;
        self.files += other.files;
    }
}

/// Writes a checkpoint if the table has had `every` commits since its last, and then deletes log
/// entries that the checkpoint makes superfluous and that are older than the table's retention.
pub(crate) async fn tidy(table: &mut Table, every: u64) -> Result<Maintained, SinkError> {
    let mut done = Maintained::default();
    if table.commits_since_checkpoint < every {
        return Ok(done);
    }
    let name = table.spec.name;
    let whole = table.whole().await?;
    faults::pass("sinks:checkpoint", Side::Before);
    checkpoints::create_checkpoint(&whole, None)
        .await
        .map_err(SinkError::table(name, "given a checkpoint"))?;
    faults::pass("sinks:checkpoint", Side::After);
    done.checkpoints = 1;
    table.commits_since_checkpoint = 0;

    faults::pass("sinks:tidy", Side::Before);
    let deleted = checkpoints::cleanup_metadata(&whole, None)
        .await
        .map_err(SinkError::table(name, "freed of expired log entries"))?;
    faults::pass("sinks:tidy", Side::After);
    done.log_files = u64::try_from(deleted).unwrap_or(u64::MAX);
    if deleted > 0 {
        // Read as a stranger would: a checkpoint that lost something shows here.
        let (before, after) = (files(name, &whole)?, files(name, &table.whole().await?)?);
        if before != after {
            return Err(SinkError::TidiedAway { table: name, before, after });
        }
    }
    Ok(done)
}

fn files(name: &'static str, table: &DeltaTable) -> Result<usize, SinkError> {
    let state = table.snapshot().map_err(SinkError::table(name, "counted"))?;
    Ok(state.log_data().num_files())
}

/// Deletes files of `progress` that no version of the last `history` names; returns how many. Each
/// batch leaves one behind. What is younger may belong to a commit in flight.
pub(crate) async fn sweep(progress: &Table, history: Duration) -> Result<u64, SinkError> {
    let name = progress.spec.name;
    let store = progress.log_store().object_store(None);
    let whole = progress.whole().await?;
    let history = chrono::Duration::from_std(history).unwrap_or(chrono::Duration::MAX);
    let Some(oldest) = chrono::Utc::now().checked_sub_signed(history) else { return Ok(0) };
    let mut named: HashSet<String> = progress.files().keys().cloned().collect();
    let state = whole.snapshot().map_err(SinkError::table(name, "asked for its old files"))?;
    let mut removed = state.all_tombstones(progress.log_store());
    while let Some(file) =
        removed.try_next().await.map_err(SinkError::table(name, "asked for its old files"))?
    {
        if file.deletion_timestamp().is_none_or(|at| at >= oldest.timestamp_millis()) {
            named.insert(file.path().into_owned());
        }
    }
    let failed = |doing| SinkError::file(name, &"the folder", doing);
    faults::pass("sinks:sweep", Side::Before);
    let mut swept = 0;
    for file in store.list_with_delimiter(None).await.map_err(failed("listed"))?.objects {
        let is_parquet = file.location.extension() == Some("parquet");
        if is_parquet && file.last_modified < oldest && !named.contains(file.location.as_ref()) {
            store.delete(&file.location).await.map_err(failed("swept"))?;
            swept += 1;
        }
    }
    faults::pass("sinks:sweep", Side::After);
    Ok(swept)
}
