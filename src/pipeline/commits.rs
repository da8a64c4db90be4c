//! The commit of one prepared batch, tried until it is done, and what a wait for better times is like.
//!
//! Each commit may be the one after which a table needs a checkpoint, and whoever opens a table holds all that
//! came after its last one in memory at a time: so the logs of the tables are tidied after every commit,
//! here, where nobody waits for it: the next batch is encoded meanwhile.
//!
//! It must never report a position that the sink did not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ringlake_sinks::{Committer, Prepared, SinkError};
use ringlake_transform::{EventCounts, Positions};
use tokio::sync::watch;

use super::counts::Counts;
use crate::error::Error;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// The tables' own logs are left alone for so long after they could not be tidied.
const UNTIDY: Duration = Duration::from_secs(60);

/// What commits, and whom to tell.
#[derive(Clone)]
pub struct Commits {
    pub committer: Committer,
    pub counts: Counts,
    pub tell: watch::Sender<Positions>,
    /// Whether the tables have moved on without us.
    pub behind: Arc<AtomicBool>,
    /// When tidying last failed.
    pub untidy: Arc<Mutex<Option<Instant>>>,
}

impl Commits {
    /// Commits, and tidies where that has made it due.
    pub async fn finish(self, batch: Prepared, events: EventCounts) -> Result<(), Error> {
        self.commit(batch, events).await?;
        self.tidy().await;
        Ok(())
    }

    async fn tidy(&self) {
        let failed = *self.untidy.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.is_some_and(|failed| failed.elapsed() < UNTIDY) {
            return;
        }
        if let Err(error) = self.committer.maintain().await {
            tracing::warn!(cause = %causes(&error), "the tables' logs could not be tidied");
            *self.untidy.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }

    /// Commits, however often it takes; or finds that the tables have moved on.
    async fn commit(&self, batch: Prepared, events: EventCounts) -> Result<(), Error> {
        let batch = Arc::new(batch);
        let mut patience = Patience::new(&self.counts);
        loop {
            match self.committer.commit(&batch).await {
                Ok(written) => {
                    self.counts.set_trouble(None);
                    self.counts.commit(events, written.rows);
                    tracing::debug!(events = events.received, rows = written.rows, "committed");
                    let _ = self.tell.send(self.committer.positions());
                    return Ok(());
                }
                Err(error) if error.must_reload() => {
                    self.fall_behind(&error);
                    return Ok(());
                }
                Err(error) => patience.wait_out(error).await?,
            }
        }
    }

    pub fn fall_behind(&self, error: &SinkError) {
        tracing::info!(%error, "the tables have moved on; reading again from there");
        self.behind.store(true, Ordering::Release);
    }
}

/// Waits between attempts, each wait twice the one before.
pub struct Patience<'a> {
    counts: &'a Counts,
    last: Option<Duration>,
}

impl<'a> Patience<'a> {
    pub fn new(counts: &'a Counts) -> Self {
        Self { counts, last: None }
    }

    /// Sleeps if the reason may pass, else gives the error back.
    pub async fn wait_out(&mut self, error: SinkError) -> Result<(), Error> {
        if !is_passing(&error) {
            return Err(error.into());
        }
        let pause = self.last.map_or(FIRST_PAUSE, |last| (last * 2).min(LONGEST_PAUSE));
        self.last = Some(pause);
        let hint = error.hint();
        let cause = causes(&error);
        tracing::warn!(%cause, hint, retry_in_ms = pause.as_millis() as u64, "cannot write now");
        self.counts.set_trouble(Some(format!("the tables cannot be written: {error}")));
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// Whether the same write may succeed later with nothing changed but time, space or the network.
fn is_passing(error: &SinkError) -> bool {
    matches!(
        error,
        SinkError::Table { .. }
            | SinkError::File { .. }
            | SinkError::Parquet { .. }
            | SinkError::Unknown { .. }
    )
}

/// The error and what caused it, in one line.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
