//! The sink as others see it: batches in, positions and schemas out.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use arrow::datatypes::SchemaRef;
use ringlake_transform::{FlatBatch, Micros, Positions, TABLES};
use tokio::sync::Mutex;

use crate::delta::maintain::Maintained;
use crate::delta::progress::Progress;
use crate::delta::seen::{self, SeenKey};
use crate::error::SinkError;
use crate::root::Root;
use crate::settings::SinkSettings;
use crate::tables::{Shown, Tables, Written};

/// The tables, open for writing.
pub struct Sink {
    tables: Arc<Mutex<Tables>>,
    shown: Arc<RwLock<Shown>>,
}

impl Sink {
    /// Opens the tables that exist; the others are made when they first get rows.
    pub async fn open(settings: SinkSettings) -> Result<Self, SinkError> {
        let root = Root::open(&settings.root, &settings.storage_options)?;
        Self::open_at(root, settings).await
    }

    pub(crate) async fn open_at(root: Root, settings: SinkSettings) -> Result<Self, SinkError> {
        root.probe().await?;
        let shown = Arc::default();
        let tables = Tables::open(root, settings, Arc::clone(&shown)).await?;
        Ok(Self { tables: Arc::new(Mutex::new(tables)), shown })
    }

    /// The last offset, per log partition, up to which every table is complete: resume behind it,
    /// trim the log up to it.
    pub fn positions(&self) -> Positions {
        self.progress().positions
    }

    /// What `progress` says.
    pub fn progress(&self) -> Progress {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).progress.clone()
    }

    /// The present schema of every table that exists, `progress` left out.
    pub fn schemas(&self) -> HashMap<&'static str, SchemaRef> {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).schemas.clone()
    }

    /// Writes a batch and shows it to readers. All of it is durable when this returns; parts that a
    /// table holds already are skipped. If the future is dropped the batch is still written to its
    /// end, and the next call waits for that.
    ///
    /// # Errors
    /// After any error the tables are consistent and the same batch can be written again, unless
    /// [`SinkError::must_reload`] says that the log is to be read again from [`Self::positions`].
    pub async fn write(&mut self, batch: FlatBatch) -> Result<Written, SinkError> {
        let tables = Arc::clone(&self.tables);
        uncut(async move { tables.lock().await.write(batch).await }).await
    }

    /// Tidies the tables' logs; cheap when there is nothing to do. Call it between batches.
    pub async fn maintain(&mut self) -> Result<Maintained, SinkError> {
        let tables = Arc::clone(&self.tables);
        uncut(async move { tables.lock().await.maintain().await }).await
    }

    /// Takes in what other writers have committed: after a rebalance, or when an error asks for it.
    pub async fn refresh(&mut self) -> Result<(), SinkError> {
        let tables = Arc::clone(&self.tables);
        uncut(async move { tables.lock().await.refresh().await }).await
    }

    /// Calls `f` for the events of the primary tables received at or after `since`; an event of
    /// several rows comes several times.
    pub async fn seen_keys(
        &self,
        since: Micros,
        f: &mut (dyn FnMut(SeenKey<'_>) + Send),
    ) -> Result<(), SinkError> {
        let tables = self.tables.lock().await;
        for spec in TABLES.iter().filter(|spec| spec.primary) {
            if let Some(table) = tables.table(spec.name) {
                seen::keys(table, since, f).await?;
            }
        }
        Ok(())
    }
}

/// Runs to its end whether or not the caller waits for it.
async fn uncut<T: Send + 'static>(
    work: impl Future<Output = Result<T, SinkError>> + Send + 'static,
) -> Result<T, SinkError> {
    tokio::spawn(work).await.map_err(|source| SinkError::Task { source })?
}
