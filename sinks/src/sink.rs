//! The sink as others see it: batches in, positions and schemas out.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};

use arrow::datatypes::SchemaRef;
use ringlake_transform::letters::LetterRow;
use ringlake_transform::tables::DEAD_LETTERS;
use ringlake_transform::{FlatBatch, Micros, Positions, TABLES};
use tokio::sync::Mutex;

use crate::delta::maintain::Maintained;
use crate::delta::progress::Progress;
use crate::delta::seen::{self, SeenKey};
use crate::error::SinkError;
use crate::prepare::{self, Ahead, Prepared};
use crate::root::Root;
use crate::settings::SinkSettings;
use crate::tables::{Shown, Tables, Written};

/// The tables, open for writing.
pub struct Sink {
    tables: Arc<Mutex<Tables>>,
    shown: Arc<RwLock<Shown>>,
    ahead: Ahead,
    /// One preparation at a time, in the order of the calls, also of those that nobody waits for.
    turn: Arc<Mutex<()>>,
    settings: Arc<SinkSettings>,
}

/// Commits what a [`Sink`] has prepared, and tidies, while that prepares the next batch.
#[derive(Clone)]
pub struct Committer {
    tables: Arc<Mutex<Tables>>,
    shown: Arc<RwLock<Shown>>,
}

impl Committer {
    /// As [`Sink::positions`].
    pub fn positions(&self) -> Positions {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).progress.positions.clone()
    }

    /// Commits a batch and shows it to readers. All of it is durable when this returns. If the
    /// future is dropped the batch is still committed, and the next call waits for that.
    ///
    /// # Errors
    /// After any error the tables are consistent and the same batch can be committed again, unless
    /// [`SinkError::must_reload`] says that the log is to be read again from [`Sink::positions`].
    pub async fn commit(&self, batch: &Arc<Prepared>) -> Result<Written, SinkError> {
        let (tables, batch) = (Arc::clone(&self.tables), Arc::clone(batch));
        uncut(async move {
            let written = tables.lock().await.commit(&batch).await?;
            batch.committed.store(true, Ordering::Release);
            Ok(written)
        })
        .await
    }

    /// Tidies the tables' logs; cheap when there is nothing to do.
    pub async fn maintain(&self) -> Result<Maintained, SinkError> {
        let tables = Arc::clone(&self.tables);
        uncut(async move { tables.lock().await.maintain().await }).await
    }
}

impl Sink {
    /// Opens the tables that exist; the others are made when they first get rows.
    pub async fn open(settings: SinkSettings) -> Result<Self, SinkError> {
        let root = Root::open(&settings.root, &settings.storage_options)?;
        Self::open_at(root, settings).await
    }

    pub(crate) async fn open_at(root: Root, settings: SinkSettings) -> Result<Self, SinkError> {
        root.probe().await?;
        let (shown, ahead) = (Arc::default(), Ahead::default());
        let kept = Arc::new(settings.clone());
        let tables = Tables::open(root, settings, Arc::clone(&shown)).await?;
        let turn = Arc::default();
        Ok(Self { tables: Arc::new(Mutex::new(tables)), shown, ahead, turn, settings: kept })
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

    /// What commits the batches that are prepared here.
    pub fn committer(&self) -> Committer {
        Committer { tables: Arc::clone(&self.tables), shown: Arc::clone(&self.shown) }
    }

    /// Encodes a batch and stores its files, less what a table holds already or will hold once what
    /// was prepared before is committed. Batches are to be committed in the order in which they were
    /// prepared.
    ///
    /// # Errors
    /// After any error the same batch can be prepared again, unless [`SinkError::must_reload`] says
    /// that the log is to be read again from [`Self::positions`].
    pub async fn prepare(&mut self, batch: FlatBatch) -> Result<Prepared, SinkError> {
        let (tables, ahead) = (Arc::clone(&self.tables), self.ahead.clone());
        let settings = Arc::clone(&self.settings);
        let turn = Arc::clone(&self.turn).lock_owned().await;
        uncut(async move {
            let _turn = turn;
            prepare::prepare(&tables, ahead, &settings, batch).await
        })
        .await
    }

    /// Prepares a batch and commits it; parts that a table holds already are skipped. If the future is
    /// dropped the batch is still written to its end, and the next call waits for that.
    ///
    /// # Errors
    /// As [`Self::prepare`] and [`Committer::commit`]; the same batch can be written again.
    pub async fn write(&mut self, batch: FlatBatch) -> Result<Written, SinkError> {
        let (ahead, settings) = (self.ahead.clone(), Arc::clone(&self.settings));
        let committer = self.committer();
        let turn = Arc::clone(&self.turn).lock_owned().await;
        uncut(async move {
            let _turn = turn;
            let prepared = prepare::prepare(&committer.tables, ahead, &settings, batch).await?;
            committer.commit(&Arc::new(prepared)).await
        })
        .await
    }

    /// Takes in what other writers have committed: after a rebalance, or when an error asks for it.
    pub async fn refresh(&mut self) -> Result<(), SinkError> {
        self.ahead.clear();
        let tables = Arc::clone(&self.tables);
        uncut(async move { tables.lock().await.refresh().await }).await
    }

    /// Calls `f` for the events of the primary tables received in this time; an event of several rows
    /// comes several times.
    pub async fn seen_keys(
        &self,
        received: RangeInclusive<Micros>,
        f: &mut (dyn FnMut(SeenKey<'_>) + Send),
    ) -> Result<(), SinkError> {
        let tables = self.tables.lock().await;
        for spec in TABLES.iter().filter(|spec| spec.primary) {
            if let Some(table) = tables.table(spec.name) {
                seen::keys(table, &received, f).await?;
            }
        }
        Ok(())
    }

    /// Calls `f` for the rows of `dead_letters` received in this time.
    pub async fn letters(
        &self,
        received: RangeInclusive<Micros>,
        f: &mut (dyn FnMut(LetterRow<'_>) + Send),
    ) -> Result<(), SinkError> {
        match self.tables.lock().await.table(DEAD_LETTERS.name) {
            Some(table) => seen::letters(table, &received, f).await,
            None => Ok(()),
        }
    }
}

/// Runs to its end whether or not the caller waits for it.
async fn uncut<T: Send + 'static>(
    work: impl Future<Output = Result<T, SinkError>> + Send + 'static,
) -> Result<T, SinkError> {
    tokio::spawn(work).await.map_err(|source| SinkError::Task { source })?
}
