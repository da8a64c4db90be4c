//! The log: where an event is durable before its sender hears 2xx, and from where it is written to
//! the tables.
//!
//! One trait for each side and two real implementations: [`embedded`] (one file, the default) and
//! [`kafka`]. One log record is one event. Both pass the same contract tests.
//!
//! | | embedded | kafka |
//! | --- | --- | --- |
//! | durable when | fsynced in a group commit | all in-sync replicas have it |
//! | partitions of a topic | 1 | as many as the topic has |
//! | offsets | contiguous from 0 | growing, with gaps |
//! | `release` | trims what is older than the retention | commits the group's offsets, as information |
//!
//! The position from which a reader starts always comes from the tables.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ringlake_transform::{LogPartition, Micros, Positions, RawBatch, Resolution, SYSTEMS, System};

mod batch;
pub mod embedded;
pub mod kafka;

pub use crate::error::LogError;
pub use embedded::{EmbeddedLog, EmbeddedSettings};
pub use kafka::{KafkaLog, KafkaReader, KafkaSettings, Membership};

/// What a system's topic begins with, unless set otherwise: `ringlake.freshcaller`.
pub const TOPIC_PREFIX: &str = "ringlake.";

/// The largest body one event may have, in bytes: with its key and headers it stays below the
/// 1,048,588 bytes that a Kafka broker takes by default.
pub const MAX_EVENT_BYTES: usize = 1_000_000;

/// One event to be kept.
#[derive(Clone)]
pub struct NewRecord {
    pub system: &'static dyn System,
    /// The entity it is about; events of one key stay in order.
    pub key: Option<String>,
    pub route: Option<Arc<str>>,
    pub received_at: Micros,
    pub body: Bytes,
    /// Set where it is a dead letter that is tried again or closed.
    pub resolution: Option<Arc<Resolution>>,
}

/// The writing side of a log.
#[async_trait]
pub trait Log: Send + Sync {
    /// Keeps all these events, and returns only when all are durable. After an error some of them
    /// may be in the log all the same: the sender repeats them, and repeats are recognised.
    async fn append(&self, records: Vec<NewRecord>) -> Result<(), LogError>;

    /// Whether an append now would be likely to succeed.
    async fn ready(&self) -> Result<(), LogError>;

    /// What each partition holds. Over Kafka this asks the brokers.
    async fn status(&self) -> Result<LogStatus, LogError>;
}

/// What a reader came back with.
pub enum Polled {
    /// Events in offset order; each partition at most once.
    Events(Vec<RawBatch>),
    /// Nothing came within the time.
    Idle,
    /// From now on these partitions are this reader's. Nothing is read until
    /// [`LogReader::start`] has been told the tables' positions; until then this comes again.
    Assigned(Vec<LogPartition>),
    /// These partitions go to another reader with the next call: finish, or drop, what is held of
    /// them before it.
    Revoked(Vec<LogPartition>),
}

/// A record that the tables were written from. A log that has another one at its offset is not the log
/// that it was: it was made anew, and its offsets mean something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub offset: i64,
    pub received_at: Micros,
}

/// One of each partition, as far as the tables know one.
pub type Marks = HashMap<LogPartition, Mark>;

/// The reading side of a log. It never remembers what was written: a caller that drops events reads
/// them again after another [`LogReader::start`].
#[async_trait]
pub trait LogReader: Send {
    /// The next events, at most about `max_bytes` of bodies (one event at least), waiting up to
    /// `max_wait` for the first. The partitions with news share `max_bytes`.
    ///
    /// Troubles that pass by themselves (a full disk, a broker that is away) are waited out and look
    /// like `Idle`; an error means that reading cannot go on.
    async fn next(&mut self, max_bytes: usize, max_wait: Duration) -> Result<Polled, LogError>;

    /// What the partitions have to hold, for the next [`LogReader::start`]: where there is another record at a
    /// mark's offset, that or the reading after it fails.
    fn expect(&mut self, marks: Marks);

    /// Reads each of this reader's partitions from behind its position, or from the beginning where
    /// there is none. Fails where the log cannot serve the position. With nothing assigned yet this
    /// does nothing.
    async fn start(&mut self, positions: &Positions) -> Result<(), LogError>;

    /// The tables are complete up to here.
    async fn release(&mut self, positions: &Positions) -> Result<(), LogError>;
}

/// What a log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogStatus {
    pub partitions: Vec<PartitionStatus>,
}

/// One partition: it holds the offsets `first..next`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionStatus {
    pub partition: LogPartition,
    pub first: i64,
    pub next: i64,
    /// Bytes of the records; not known over Kafka.
    pub bytes: Option<u64>,
    /// The last offset that the tables are known to be complete up to.
    pub released: Option<i64>,
}

impl PartitionStatus {
    /// Events that the tables do not hold yet, where that is known. Over Kafka at most this many,
    /// since its offsets have gaps.
    pub fn lag(&self) -> Option<u64> {
        let held = self.released?.max(self.first - 1);
        u64::try_from(self.next - 1 - held).ok()
    }
}

/// The topics of all systems, `<prefix><system>` each, in the order of [`SYSTEMS`].
#[derive(Clone)]
pub struct Topics(Arc<[(Arc<str>, &'static dyn System)]>);

impl Topics {
    pub fn new(prefix: &str) -> Self {
        let topic =
            |system: &&'static dyn System| (format!("{prefix}{}", system.name()).into(), *system);
        Self(SYSTEMS.iter().map(topic).collect())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &'static dyn System)> {
        self.0.iter().map(|(topic, system)| (topic, *system))
    }

    /// The topic of a system.
    pub fn of(&self, system: &dyn System) -> Option<&Arc<str>> {
        self.iter().find(|(_, known)| known.name() == system.name()).map(|(topic, _)| topic)
    }

    /// The topic of this name, as a shared string, and its system.
    pub fn get(&self, topic: &str) -> Option<(&Arc<str>, &'static dyn System)> {
        self.iter().find(|(known, _)| known.as_ref() == topic)
    }
}

/// Microseconds since 1970 by this machine's clock.
pub(crate) fn now() -> Micros {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.ok().and_then(|age| Micros::try_from(age.as_micros()).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_counts_what_the_tables_do_not_hold() {
        let status = |first, next, released| PartitionStatus {
            partition: LogPartition::new("t", 0),
            first,
            next,
            bytes: None,
            released,
        };
        assert_eq!(status(0, 0, None).lag(), None);
        assert_eq!(status(0, 10, Some(-1)).lag(), Some(10));
        assert_eq!(status(0, 10, Some(3)).lag(), Some(6));
        assert_eq!(status(5, 10, Some(1)).lag(), Some(5));
        assert_eq!(status(0, 10, Some(9)).lag(), Some(0));
    }

    #[test]
    fn every_system_has_a_topic() {
        let topics = Topics::new("x.");
        for system in SYSTEMS {
            let topic = topics.of(*system).unwrap();
            assert_eq!(topic.as_ref(), format!("x.{}", system.name()));
            assert_eq!(topics.get(topic).unwrap().1.name(), system.name());
        }
        assert!(topics.get("x.other").is_none());
    }
}
