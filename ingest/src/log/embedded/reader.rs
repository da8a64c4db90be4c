//! Reads the embedded log: one partition per topic, all of them always this reader's.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ringlake_transform::{LogPartition, Positions, RawBatch};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::damage;
use super::shared::Shared;
use crate::error::LogError;
use crate::log::{LogReader, LogStatus, Marks, Polled};

/// How soon a reader tries again while the log cannot be read.
const PAUSE: Duration = Duration::from_millis(100);

pub struct EmbeddedReader {
    shared: Arc<Shared>,
    commits: watch::Receiver<u64>,
    /// The next offset of each topic; none before `start`.
    next: Option<Vec<i64>>,
    turn: usize,
    marks: Marks,
}

impl EmbeddedReader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let commits = shared.commits();
        Self { shared, commits, next: None, turn: 0, marks: Marks::new() }
    }

    fn partitions(&self) -> Vec<LogPartition> {
        self.shared.topics.iter().map(|topic| topic.partition.clone()).collect()
    }

    async fn read(&mut self, from: Vec<i64>, max_bytes: usize) -> Result<Vec<RawBatch>, LogError> {
        self.turn = self.turn.wrapping_add(1);
        let turn = self.turn;
        let read = move |shared: &Shared| shared.with(|store| store.read(&from, max_bytes, turn));
        blocking(&self.shared, read).await
    }

    fn advance(&mut self, batches: &[RawBatch]) {
        let Some(next) = &mut self.next else { return };
        for (topic, next) in self.shared.topics.iter().zip(next) {
            if let Some(batch) = batches.iter().find(|batch| batch.partition == topic.partition) {
                *next = batch.range.last + 1;
            }
        }
    }
}

#[async_trait]
impl LogReader for EmbeddedReader {
    async fn next(&mut self, max_bytes: usize, max_wait: Duration) -> Result<Polled, LogError> {
        let Some(mut from) = self.next.clone() else {
            return Ok(Polled::Assigned(self.partitions()));
        };
        let deadline = Instant::now() + max_wait;
        loop {
            if self.shared.is_closed() {
                return Err(LogError::Closed);
            }
            self.commits.mark_unchanged();
            let waiting = match self.read(from, max_bytes).await {
                Ok(batches) if !batches.is_empty() => {
                    self.advance(&batches);
                    return Ok(Polled::Events(batches));
                }
                Ok(_) => deadline,
                // The writer thread is opening the file again.
                Err(error) if error.is_temporary() => deadline.min(Instant::now() + PAUSE),
                Err(error) => return Err(error),
            };
            let _ = timeout_at(waiting, self.commits.changed()).await;
            if Instant::now() >= deadline {
                return Ok(Polled::Idle);
            }
            from = self.next.clone().unwrap_or_default();
        }
    }

    fn expect(&mut self, marks: Marks) {
        self.marks = marks;
    }

    async fn start(&mut self, positions: &Positions) -> Result<(), LogError> {
        let status = blocking(&self.shared, Shared::status).await?;
        let next = starts(&status, positions)?;
        let marks = std::mem::take(&mut self.marks);
        blocking(&self.shared, move |shared| recognise(shared, &marks)).await?;
        self.next = Some(next);
        Ok(())
    }

    async fn release(&mut self, positions: &Positions) -> Result<(), LogError> {
        self.shared.release(positions);
        Ok(())
    }
}

/// The offset behind each position, where the log has it.
fn starts(status: &LogStatus, positions: &Positions) -> Result<Vec<i64>, LogError> {
    let start = |held: &crate::log::PartitionStatus| match positions.get(&held.partition) {
        None => Ok(held.first),
        Some(position) if (held.first - 1..held.next).contains(&position) => Ok(position + 1),
        Some(position) => Err(LogError::OutOfRange {
            partition: held.partition.clone(),
            position,
            first: held.first,
            next: held.next,
        }),
    };
    status.partitions.iter().map(start).collect()
}

/// Whether the records that the tables were written from are still those.
fn recognise(shared: &Shared, marks: &Marks) -> Result<(), LogError> {
    for topic in shared.topics.iter() {
        let Some(mark) = marks.get(&topic.partition) else { continue };
        let held = shared.with(|store| {
            match damage::guarded(|| store.received_at(topic, mark.offset)) {
                Err(error) if damage::is_damage(&error) => Ok(None),
                held => held.map_err(|error| damage::named(&shared.path, error)),
            }
        })?;
        // One that was trimmed, or is damaged, tells nothing.
        if held.is_some_and(|received_at| received_at != mark.received_at) {
            return Err(LogError::Another {
                partition: topic.partition.clone(),
                offset: mark.offset,
            });
        }
    }
    Ok(())
}

/// Runs what reads the disk where it holds up no other task.
pub(super) async fn blocking<T: Send + 'static>(
    shared: &Arc<Shared>,
    f: impl FnOnce(&Shared) -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    let shared = shared.clone();
    tokio::task::spawn_blocking(move || f(&shared)).await.map_err(|_| LogError::Closed)?
}
