//! The reading side over Kafka: an async face on the thread that owns the consumer.
//!
//! librdkafka hands out rebalances inside `poll`, so the consumer is polled only within a call of
//! [`LogReader::next`]. That is what makes a rebalance drain first: until the caller comes back after
//! `Revoked`, nobody polls, and the partitions stay ours. It also means that `next` has to be called
//! at least every `max.poll.interval.ms` (5 minutes).

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use async_trait::async_trait;
use ringlake_transform::Positions;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::brokers::make_topics;
use super::consumer::GroupConsumer;
use super::{KafkaSettings, Membership};
use crate::error::LogError;
use crate::log::{LogReader, Marks, Polled};

type Job = Box<dyn FnOnce(&mut GroupConsumer) + Send>;

/// Reads the topics of all systems. Dropping it leaves the group.
pub struct KafkaReader {
    jobs: Sender<Job>,
    making_topics: AbortHandle,
    /// For the next start.
    marks: Marks,
}

impl KafkaReader {
    /// Makes missing topics, where it may, and joins the group. Never fails for want of a broker.
    pub async fn connect(
        settings: KafkaSettings,
        membership: Membership,
    ) -> Result<Self, LogError> {
        let making_topics = make_topics(settings.clone()).await;
        let mut consumer = GroupConsumer::new(&settings, membership)?;
        let (jobs, waiting) = channel::<Job>();
        let run = move || {
            for job in waiting {
                job(&mut consumer);
            }
        };
        std::thread::Builder::new()
            .name("ringlake-kafka".into())
            .spawn(run)
            .map_err(|error| LogError::storage("a thread", error))?;
        Ok(Self { jobs, making_topics, marks: Marks::new() })
    }

    /// Runs `f` on the consumer's thread.
    async fn call<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut GroupConsumer) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let (done, answer) = oneshot::channel();
        let job = Box::new(move |consumer: &mut GroupConsumer| {
            let _ = done.send(f(consumer));
        });
        self.jobs.send(job).map_err(|_| LogError::Closed)?;
        answer.await.map_err(|_| LogError::Closed)?
    }
}

#[async_trait]
impl LogReader for KafkaReader {
    async fn next(&mut self, max_bytes: usize, max_wait: Duration) -> Result<Polled, LogError> {
        self.call(move |consumer| consumer.next(max_bytes, max_wait)).await
    }

    fn expect(&mut self, marks: Marks) {
        self.marks = marks;
    }

    async fn start(&mut self, positions: &Positions) -> Result<(), LogError> {
        let (positions, marks) = (positions.clone(), std::mem::take(&mut self.marks));
        self.call(move |consumer| consumer.start(&positions, &marks)).await
    }

    async fn release(&mut self, positions: &Positions) -> Result<(), LogError> {
        let positions = positions.clone();
        self.call(move |consumer| consumer.release(&positions)).await
    }
}

impl Drop for KafkaReader {
    fn drop(&mut self) {
        self.making_topics.abort();
    }
}
