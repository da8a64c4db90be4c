//! Tidying a table's log: checkpoints, expired entries, and the old files of `progress`.
//!
//! Each is a step of its own, run between batches by the process that writes. None is part of a commit: a
//! checkpoint that fails must not make a commit look as if it had failed. After entries were deleted the
//! table is read from nothing again and must have the files it had.

use std::time::Duration;

use deltalake_core::checkpoints;
use ringlake_transform::tables::PROGRESS;

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

/// Writes a checkpoint if the table has had `every` commits since its last, and then deletes log entries
/// that the checkpoint makes superfluous and that are older than the table's retention.
pub(crate) async fn tidy(
    table: &mut Table,
    every: u64,
    history: Duration,
) -> Result<Maintained, SinkError> {
    let mut done = Maintained::default();
    if table.commits_since_checkpoint < every {
        return Ok(done);
    }
    let name = table.spec.name;
    table.reload().await?;
    checkpoints::create_checkpoint(&table.delta, None)
        .await
        .map_err(SinkError::table(name, "given a checkpoint"))?;
    done.checkpoints = 1;
    table.reload().await?;
    table.commits_since_checkpoint = 0;

    let deleted = checkpoints::cleanup_metadata(&table.delta, None)
        .await
        .map_err(SinkError::table(name, "freed of expired log entries"))?;
    done.log_files = u64::try_from(deleted).unwrap_or(u64::MAX);
    if deleted > 0 {
        read_anew(table).await?;
    }
    if name == PROGRESS.name {
        done.files = vacuum(table, history).await?;
    }
    Ok(done)
}

/// Opens the table as a stranger would. A checkpoint that lost something would show here, while the
/// present snapshot still looks whole.
async fn read_anew(table: &mut Table) -> Result<(), SinkError> {
    let name = table.spec.name;
    let before = table.state()?.log_data().num_files();
    let version = table.version();
    let Some(cold) = Table::open(&table.root, table.spec).await? else {
        return Err(SinkError::TidiedAway { table: name, before, after: 0 });
    };
    let after = cold.state()?.log_data().num_files();
    // Another writer may have gone on meanwhile; then only a loss of version would be wrong.
    if cold.version() < version || (cold.version() == version && after != before) {
        return Err(SinkError::TidiedAway { table: name, before, after });
    }
    table.delta.state = cold.delta.state;
    Ok(())
}

/// Deletes files of `progress` that were replaced longer ago than `history`. Only files whose removal
/// stands in the log: what no commit names may belong to a commit in flight.
async fn vacuum(table: &mut Table, history: Duration) -> Result<u64, SinkError> {
    let name = table.spec.name;
    let history = chrono::Duration::from_std(history).unwrap_or(chrono::Duration::MAX);
    let (_, done) = table
        .delta
        .clone()
        .vacuum()
        .with_retention_period(history)
        .with_enforce_retention_duration(false)
        .await
        .map_err(SinkError::table(name, "vacuumed"))?;
    table.reload().await?;
    Ok(u64::try_from(done.files_deleted.len()).unwrap_or(u64::MAX))
}
