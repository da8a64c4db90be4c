//! What keeps questions quick without changing any answer: folding, compaction, and deleting what
//! nobody can ask for any more.
//!
//! It runs beside the writer and holds up no batch. What fails is tried again at the next turn; what is
//! cut off by a stop or a kill leaves files that the next vacuum deletes.

use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use ringlake_queries::fold::{Advanced, Failure, FoldStore, When};
use ringlake_sinks::{Folded, SinkSettings};
use ringlake_transform::folded::{FoldedFile, Manifest};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::error::Error;
use crate::wiring;

/// Between two looks at what is worth doing.
const LOOK: Duration = Duration::from_secs(30);

struct Files(Folded);

#[async_trait]
impl FoldStore for Files {
    async fn put(
        &self,
        folder: &str,
        part: &str,
        rows: RecordBatch,
    ) -> Result<FoldedFile, Failure> {
        Ok(self.0.put(folder, part, rows).await?)
    }

    async fn publish(&self, folder: &str, manifest: &Manifest) -> Result<bool, Failure> {
        Ok(self.0.publish(folder, manifest).await?)
    }
}

/// Folds what the tables hold by now. `tell` hears how many states of a fold are done, of how many.
pub async fn fold(
    config: &Config,
    when: When,
    tell: &(dyn Fn(&'static str, u64, u64) + Sync),
) -> Result<Advanced, Error> {
    let engine = wiring::engine(config).await?;
    let files = Files(Folded::open(&SinkSettings::new(config.tables_root()))?);
    Ok(engine.fold(&files, when, tell).await?)
}

/// Looks after the tables until `stop`.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), Error> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(LOOK) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = once(&config) => {}
        }
    }
}

async fn once(config: &Config) {
    match fold(config, When::Due, &|_, _, _| {}).await {
        Ok(done) if !done.folds.is_empty() => {
            tracing::debug!(folds = ?done.folds, rows = done.rows, "folded");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the newest states could not be folded"),
    }
}
