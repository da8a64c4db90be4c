//! One partition of a consumer: where it stands, whether the broker has what follows, and what its
//! records carry besides their bodies.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use ringlake_transform::{LogPartition, Micros, Resolution, System};

use super::brokers::{ASK, Tell};
use super::trouble::passes;
use super::{RECEIVED_AT, RESOLVES, ROUTE};
use crate::error::LogError;
use crate::log::{Mark, now};

/// Between two questions for a partition's watermarks.
const PAUSE: Duration = Duration::from_millis(100);

/// One partition of this consumer.
pub(super) struct Place {
    pub partition: LogPartition,
    pub system: &'static dyn System,
    /// The last offset handed out, or the one it started behind.
    pub held: i64,
    /// `held` when the watch last looked.
    pub seen: i64,
    pub committed: Option<i64>,
    /// What has to lie in the log for it to be the one that the tables were written from. It is read
    /// again, and compared, before anything behind it is handed out.
    pub mark: Option<Mark>,
}

impl Place {
    pub(super) fn new(partition: LogPartition, system: &'static dyn System) -> Self {
        Self { partition, system, held: -1, seen: -1, committed: None, mark: None }
    }

    /// Where reading begins: behind what is held, or at the mark before that.
    pub(super) fn from(&self) -> i64 {
        self.mark.map_or(self.held + 1, |mark| mark.offset.min(self.held + 1))
    }

    /// Compares a record with the mark. An error if another one lies in its place.
    pub(super) fn check(&mut self, offset: i64, received_at: Micros) -> Result<(), LogError> {
        match self.mark.filter(|mark| offset >= mark.offset) {
            Some(mark) if mark.offset == offset && mark.received_at != received_at => {
                Err(LogError::Another { partition: self.partition.clone(), offset })
            }
            Some(_) => {
                self.mark = None;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// The offsets a partition holds, `first..next`. A partition that was just made is waited for.
pub(super) fn watermarks(
    asker: &BaseConsumer<Tell>,
    partition: &LogPartition,
) -> Result<(i64, i64), KafkaError> {
    let deadline = Instant::now() + ASK;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match asker.fetch_watermarks(&partition.topic, partition.partition, left) {
            Err(error)
                if Instant::now() < deadline && error.rdkafka_error_code().is_some_and(passes) =>
            {
                std::thread::sleep(PAUSE);
            }
            answer => return answer,
        }
    }
}

/// Whether what follows `position` can be read where the log has the offsets `first..next`.
pub(super) fn within(
    partition: &LogPartition,
    position: i64,
    (first, next): (i64, i64),
) -> Result<(), LogError> {
    if (first - 1..next).contains(&position) {
        return Ok(());
    }
    Err(LogError::OutOfRange { partition: partition.clone(), position, first, next })
}

/// What a record carries besides its body.
pub(super) struct Envelope<'a> {
    pub received_at: Micros,
    pub route: Option<&'a str>,
    pub resolution: Option<Resolution>,
}

/// What the headers say, or where there are none, the record's own time.
pub(super) fn envelope<'a>(message: &'a BorrowedMessage<'_>) -> Envelope<'a> {
    let mut received_at = None;
    let mut route = None;
    let mut resolution = None;
    if let Some(headers) = message.headers() {
        for header in headers.iter() {
            let value = header.value.and_then(|value| std::str::from_utf8(value).ok());
            match header.key {
                RECEIVED_AT => received_at = value.and_then(|digits| digits.parse().ok()),
                ROUTE => route = value.filter(|route| !route.is_empty()),
                RESOLVES => resolution = value.and_then(|text| text.parse().ok()),
                _ => {}
            }
        }
    }
    let recorded = || message.timestamp().to_millis().filter(|millis| *millis >= 0);
    let received_at = received_at.or_else(|| recorded().map(|millis| millis * 1000));
    Envelope { received_at: received_at.unwrap_or_else(now), route, resolution }
}
