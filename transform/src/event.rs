//! One event as the log holds it, before anybody has read its body.
//!
//! Records and their positions are one value ([`RawBatch`]), so that no path can forward one and
//! forget the other.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::letters::Resolution;
use crate::offsets::OffsetRange;
use crate::systems::System;

/// Microseconds since 1970-01-01T00:00:00 UTC, the unit of every time in the tables.
pub type Micros = i64;

/// One partition of one log topic: the unit in which offsets are counted.
///
/// A system's topic is `<prefix><system>` (`ringlake.freshcaller`); an import is a topic of its own,
/// `import:<hash of the file>`, with partition 0 and the line number, from 0, as offset.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogPartition {
    pub topic: Arc<str>,
    pub partition: i32,
}

impl LogPartition {
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for LogPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// One message of one vendor, as received.
#[derive(Clone, Debug)]
pub struct RawEvent {
    pub offset: i64,
    /// When the door took it; for a record without our headers, the log's own timestamp.
    pub received_at: Micros,
    /// The last path segment of the route it came by, where the system has routes (VoipNow:
    /// `dial-in`, `dial-out`, `answer`, `hangup`).
    pub route: Option<Arc<str>>,
    /// The vendor's bytes, less the value of `iparams`.
    pub body: Bytes,
    /// Set where this is no news of a vendor but a dead letter that is to be tried again, or closed.
    pub resolution: Option<Arc<Resolution>>,
    /// The log says that these are not the bytes it was given: they are kept, and believed in nothing.
    pub damaged: bool,
}

/// Consecutive events of one log partition, in offset order, with the range they cover.
///
/// The range may be wider than the events: Kafka's offsets have gaps.
#[derive(Clone)]
pub struct RawBatch {
    pub partition: LogPartition,
    pub system: &'static dyn System,
    pub range: OffsetRange,
    pub events: Vec<RawEvent>,
}

impl RawBatch {
    /// Bytes of all bodies.
    pub fn body_bytes(&self) -> usize {
        self.events.iter().map(|event| event.body.len()).sum()
    }
}
