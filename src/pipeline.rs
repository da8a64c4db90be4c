//! The run loop: what the log has, into the tables, batch after batch.
//!
//! ```text
//! reader.next ─▶ gather ─▶ Flattener.flatten ─▶ (one batch waits) ─▶ Sink.write ─▶ reader.release
//!                          on a thread of its own                    a task of its own
//! ```
//!
//! While one batch is written, the next is gathered and flattened. Where reading begins is what the
//! tables say, at the start, after a rebalance, and after another writer got ahead: these are one and
//! the same step, [`Run::begin`]. The loop must never release what [`writer`] has not reported.

use std::time::{Duration, Instant};

use ringlake_ingest::{LogError, LogReader, Polled};
use ringlake_sinks::Sink;
use ringlake_transform::faults::{self, Side};
use ringlake_transform::{Flattener, RawBatch};
use tokio_util::sync::CancellationToken;

use crate::error::Error;

mod commits;
mod counts;
mod thread;
mod writer;

pub use counts::{Committed, Counts};
pub use writer::{Writer, now};

/// How long the reader waits for events before the loop looks at what else there is to do.
const IDLE: Duration = Duration::from_millis(200);
/// Between two looks at a log that has news, so that many small events are read together.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the loop goes on reading what is in the log already after it was told to stop.
const CATCH_UP: Duration = Duration::from_secs(2);
/// Between two attempts to start reading.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
pub struct FlushSettings {
    /// How long an event may wait for its batch to be closed.
    pub interval: Duration,
    /// A batch is closed before that once its bodies have this size.
    pub max_bytes: usize,
}

/// What the loop works on.
pub struct Parts {
    pub reader: Box<dyn LogReader>,
    pub sink: Sink,
    pub flush: FlushSettings,
    pub counts: Counts,
    /// How many columns a table may have, besides the common ones.
    pub columns: usize,
}

/// Raw events of the next batch.
#[derive(Default)]
struct Gathered {
    batches: Vec<RawBatch>,
    bytes: usize,
    since: Option<Instant>,
}

/// What the log said.
enum Step {
    Gathered,
    Assigned,
    Revoked,
}

struct Run {
    reader: Box<dyn LogReader>,
    writer: Writer,
    flush: FlushSettings,
    /// None until the positions are known.
    flattener: Option<Flattener>,
    gathered: Gathered,
}

/// Runs until `stop`, then commits what the log has, as far as there is time for it.
pub async fn run(parts: Parts, stop: CancellationToken) -> Result<(), Error> {
    let Parts { reader, sink, flush, counts, columns } = parts;
    let writer = Writer::start(sink, counts, columns)?;
    let gathered = Gathered::default();
    let mut run = Run { reader, writer, flush, flattener: None, gathered };
    while !stop.is_cancelled() {
        match run.gather(&stop).await? {
            Step::Gathered => {}
            Step::Assigned => run.begin().await?,
            Step::Revoked => run.hand_over().await?,
        }
        if run.gathered.is_due(run.flush) {
            run.forward().await?;
        }
        if run.writer.fell_behind() {
            run.begin().await?;
        }
        run.release().await?;
    }
    run.finish().await
}

impl Run {
    /// Takes what the log has, up to the size of a batch.
    async fn gather(&mut self, stop: &CancellationToken) -> Result<Step, Error> {
        let wait = self.gathered.remaining(self.flush).map_or(IDLE, |left| left.min(IDLE));
        let room = self.flush.max_bytes.saturating_sub(self.gathered.bytes).max(1);
        match self.reader.next(room, wait).await? {
            Polled::Events(batches) => {
                self.gathered.add(batches);
                if !self.gathered.is_due(self.flush) {
                    let _ = tokio::time::timeout(PAUSE, stop.cancelled()).await;
                }
                Ok(Step::Gathered)
            }
            Polled::Idle => Ok(Step::Gathered),
            Polled::Assigned(_) => Ok(Step::Assigned),
            Polled::Revoked(_) => Ok(Step::Revoked),
        }
    }

    /// Starts to read behind what the tables hold, whoever wrote it.
    async fn begin(&mut self) -> Result<(), Error> {
        // What was gathered is still in the log, behind the position that comes now.
        self.gathered = Gathered::default();
        let start = self.writer.begin().await?;
        self.flattener = Some(start.flattener);
        loop {
            self.reader.expect(start.marks.clone());
            match self.reader.start(&start.positions).await {
                Ok(()) => return Ok(()),
                Err(error) if is_passing(&error) => {
                    tracing::warn!(%error, "cannot start reading yet; trying again");
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Partitions go to another reader: what was read of them is committed first.
    async fn hand_over(&mut self) -> Result<(), Error> {
        self.forward().await?;
        self.writer.drain().await?;
        self.release().await
    }

    /// Flattens what was gathered, and gives it to the writer.
    async fn forward(&mut self) -> Result<(), Error> {
        let batches = std::mem::take(&mut self.gathered).batches;
        let Some(flattener) = self.flattener.take().filter(|_| !batches.is_empty()) else {
            return Ok(());
        };
        self.writer.room().await?;
        let (flattener, batch) = self.writer.flatten(flattener, batches).await?;
        self.flattener = Some(flattener);
        self.writer.write(batch).await
    }

    /// Tells the log what the tables hold by now.
    async fn release(&mut self) -> Result<(), Error> {
        if let Some(positions) = self.writer.news() {
            faults::pass("ringlake:release", Side::Before);
            match self.reader.release(&positions).await {
                Err(error) if !is_passing(&error) => return Err(error.into()),
                // The next release says it all again.
                Err(error) => tracing::warn!(%error, "the log was not released"),
                Ok(()) => {}
            }
            faults::pass("ringlake:release", Side::After);
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<(), Error> {
        self.catch_up().await?;
        self.forward().await?;
        self.writer.drain().await?;
        self.release().await?;
        self.writer.stop().await
    }
}

impl Run {
    /// Reads to the end of the log. What there is no time for, the next start reads.
    async fn catch_up(&mut self) -> Result<(), Error> {
        let start = Instant::now();
        while self.flattener.is_some() && start.elapsed() < CATCH_UP {
            let room = self.flush.max_bytes.saturating_sub(self.gathered.bytes).max(1);
            match self.reader.next(room, IDLE).await? {
                Polled::Events(batches) => self.gathered.add(batches),
                Polled::Idle | Polled::Assigned(_) | Polled::Revoked(_) => break,
            }
            if self.gathered.bytes >= self.flush.max_bytes {
                self.forward().await?;
            }
        }
        Ok(())
    }
}

impl Gathered {
    fn add(&mut self, batches: Vec<RawBatch>) {
        self.since.get_or_insert_with(Instant::now);
        self.bytes += batches.iter().map(RawBatch::body_bytes).sum::<usize>();
        self.batches.extend(batches);
    }

    /// How long the batch may stay open; none if it is empty.
    fn remaining(&self, flush: FlushSettings) -> Option<Duration> {
        Some(flush.interval.saturating_sub(self.since?.elapsed()))
    }

    fn is_due(&self, flush: FlushSettings) -> bool {
        self.bytes >= flush.max_bytes || self.remaining(flush).is_some_and(|left| left.is_zero())
    }
}

fn is_passing(error: &LogError) -> bool {
    error.is_temporary()
}

#[cfg(test)]
mod tests;
