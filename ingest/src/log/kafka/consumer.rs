//! The consumer itself, as its thread calls it.
//!
//! librdkafka's usual way is to start a new assignment at the offsets the group committed, inside a
//! callback. Here the callback only notes what happened, and the assignment is made when the tables'
//! positions are known, with an explicit offset for every partition:
//!
//! ```text
//! assign event ─▶ Polled::Assigned ─▶ start(positions): check watermarks, assign at offsets ─▶ Events …
//! revoke event ─▶ Polled::Revoked  ─▶ the next call gives the partitions up
//! ```
//!
//! So no record from an offset that nobody chose is ever fetched. What lies at or below the last
//! offset handed out is dropped all the same: a fetch that is repeated after a lost connection must
//! not deliver twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use ringlake_transform::{LogPartition, Positions, RawBatch};

use super::assignment::Assignment;
use super::brokers::{Tell, broker_error};
use super::group::{Group, Rebalance};
use super::log::{drain, partitions};
use super::places::{Envelope, Place, envelope, watermarks, within};
use super::trouble::passes;
use super::{KafkaSettings, Membership};
use crate::error::LogError;
use crate::log::batch::BatchBuilder;
use crate::log::{Marks, Polled, Topics};

/// What a record counts besides its body, so that empty ones fill a batch too.
const RECORD_BYTES: usize = 64;
/// How often partitions that stand still are looked at.
const WATCH: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is assigned.
    Out,
    /// Assigned, but the positions are not known yet.
    Asking,
    Reading,
}

pub(super) struct GroupConsumer {
    // Shared only so that a message can borrow it while the rest of this changes.
    base: Arc<BaseConsumer<Group>>,
    /// Asks for offsets. On the connection of `base` each question would wait behind a fetch that
    /// waits for records.
    asker: BaseConsumer<Tell>,
    brokers: String,
    topics: Topics,
    membership: Membership,
    state: State,
    places: Vec<Place>,
    told: Assignment,
    /// Revoked; these are given up with the next call.
    leaving: Option<Vec<LogPartition>>,
    /// An error that came while a batch was gathered.
    later: Option<LogError>,
    watched: Instant,
}

impl GroupConsumer {
    pub(super) fn new(settings: &KafkaSettings, membership: Membership) -> Result<Self, LogError> {
        let fail = |error| broker_error(&settings.brokers, error);
        let config = settings.consumer(membership)?;
        let base: BaseConsumer<Group> =
            BaseConsumer::from_config_and_context(&config, Group::default()).map_err(fail)?;
        let asker = BaseConsumer::from_config_and_context(&config, Tell).map_err(fail)?;
        let topics = settings.topics();
        if membership == Membership::Group {
            let names: Vec<&str> = topics.iter().map(|(topic, _)| topic.as_ref()).collect();
            base.subscribe(&names).map_err(fail)?;
        }
        Ok(Self {
            base: Arc::new(base),
            asker,
            brokers: settings.brokers.clone(),
            topics,
            membership,
            state: State::Out,
            places: Vec::new(),
            told: Assignment::default(),
            leaving: None,
            later: None,
            watched: Instant::now(),
        })
    }

    pub(super) fn next(
        &mut self,
        max_bytes: usize,
        max_wait: Duration,
    ) -> Result<Polled, LogError> {
        let deadline = Instant::now() + max_wait;
        let base = self.base.clone();
        self.give_up_revoked()?;
        self.watch()?;
        loop {
            if let Some(error) = self.later.take() {
                // Nothing more is read until it was started anew.
                self.state = State::Asking;
                return Err(error);
            }
            if let Some(polled) = self.rebalanced()? {
                return Ok(polled);
            }
            match base.poll(deadline.saturating_duration_since(Instant::now())) {
                Some(Ok(first)) => {
                    let batches = self.gather(&base, first, max_bytes);
                    if !batches.is_empty() {
                        return Ok(Polled::Events(batches));
                    }
                }
                Some(Err(error)) => self.judge(error)?,
                None if base.context().has_news() => {}
                None if Instant::now() >= deadline => return Ok(Polled::Idle),
                None => {}
            }
        }
    }

    /// What the group, or being alone, has changed since the last call.
    fn rebalanced(&mut self) -> Result<Option<Polled>, LogError> {
        if self.membership == Membership::Alone && self.state == State::Out {
            self.take_all_partitions();
        }
        match self.base.context().take() {
            Some(Rebalance::Assign(places)) => {
                self.places.clear();
                self.assigned(places)?;
            }
            Some(Rebalance::Add(places)) => self.assigned(places)?,
            Some(Rebalance::Revoke) => return Ok(Some(self.revoked(self.partitions()))),
            Some(Rebalance::Remove(places)) => {
                let goes = |place: &LogPartition| {
                    places.iter().any(|(t, p)| **t == *place.topic && *p == place.partition)
                };
                let gone = self.partitions().into_iter().filter(goes).collect();
                return Ok(Some(self.revoked(gone)));
            }
            None => {}
        }
        Ok((self.state == State::Asking).then(|| Polled::Assigned(self.partitions())))
    }

    fn revoked(&mut self, gone: Vec<LogPartition>) -> Polled {
        self.leaving = Some(gone.clone());
        Polled::Revoked(gone)
    }

    fn assigned(&mut self, places: Vec<(String, i32)>) -> Result<(), LogError> {
        if places.is_empty() {
            // Nothing comes to it: the group still waits for the answer.
            return match self.state {
                State::Out | State::Reading => {
                    self.told.keep(&self.base).map_err(|e| broker_error(&self.brokers, e))
                }
                // The positions come first.
                State::Asking => Ok(()),
            };
        }
        let place = |(topic, partition): (String, i32)| {
            let (topic, system) = self.topics.get(&topic)?;
            Some(Place::new(LogPartition::new(topic.clone(), partition), system))
        };
        let new: Vec<Place> = places.into_iter().filter_map(place).collect();
        self.places.retain(|held| new.iter().all(|place| place.partition != held.partition));
        if self.membership == Membership::Group {
            tracing::info!(partitions = new.len(), "the group handed out partitions");
        }
        self.places.extend(new);
        self.state = State::Asking;
        Ok(())
    }

    /// Without brokers there is nothing yet; the next call looks again.
    fn take_all_partitions(&mut self) {
        let mut all = Vec::new();
        for (topic, _) in self.topics.iter() {
            match partitions(&self.asker, topic) {
                Ok(found) => all.extend(found.into_iter().map(|id| (topic.to_string(), id))),
                Err(error) => return tracing::debug!(%error, "the partitions are not known yet"),
            }
        }
        if !all.is_empty() {
            self.base.context().note(Rebalance::Assign(all));
        }
    }

    fn give_up_revoked(&mut self) -> Result<(), LogError> {
        let Some(gone) = self.leaving.take() else { return Ok(()) };
        self.places.retain(|place| !gone.contains(&place.partition));
        if self.places.is_empty() {
            self.state = State::Out;
        }
        self.told.remove(&self.base, &gone).map_err(|error| broker_error(&self.brokers, error))
    }

    fn partitions(&self) -> Vec<LogPartition> {
        self.places.iter().map(|place| place.partition.clone()).collect()
    }

    pub(super) fn start(&mut self, positions: &Positions, marks: &Marks) -> Result<(), LogError> {
        if !matches!(self.state, State::Asking | State::Reading) {
            return Ok(());
        }
        // Until the new offsets stand nothing may be read at the old ones.
        self.state = State::Asking;
        for place in &mut self.places {
            let (first, next) = watermarks(&self.asker, &place.partition)
                .map_err(|error| broker_error(&self.brokers, error))?;
            place.held = positions.get(&place.partition).unwrap_or(first - 1);
            place.seen = place.held;
            within(&place.partition, place.held, (first, next))?;
            // One that retention has removed tells nothing.
            let mark = marks.get(&place.partition).copied();
            place.mark = mark.filter(|mark| mark.offset >= first && mark.offset < next);
        }
        self.read_on()?;
        self.state = State::Reading;
        Ok(())
    }

    /// Has librdkafka fetch from behind what was handed out. The offsets are numbers even for the
    /// beginning: asked for it by name, librdkafka gives a new partition up when its broker does not
    /// know it yet.
    fn read_on(&mut self) -> Result<(), LogError> {
        let places = self.places.iter().map(|place| (&place.partition, place.from()));
        self.told.replace(&self.base, places).map_err(|error| broker_error(&self.brokers, error))
    }

    /// Makes librdkafka fetch anew when a partition stands still though the broker has more. Behind
    /// the last record there may be a transaction's marker, so this happens to healthy ones too; it
    /// costs them a fetch.
    fn watch(&mut self) -> Result<(), LogError> {
        if self.state != State::Reading || self.watched.elapsed() < WATCH {
            return Ok(());
        }
        self.watched = Instant::now();
        drain(&self.asker);
        let mut stuck = None;
        for place in &mut self.places {
            let still = std::mem::replace(&mut place.seen, place.held) == place.held;
            if still
                && let Ok((_, next)) = watermarks(&self.asker, &place.partition)
                && place.held + 1 < next
            {
                stuck = Some(place.partition.clone());
            }
        }
        if let Some(partition) = stuck {
            tracing::debug!(%partition, "nothing came though the broker has more; fetching anew");
            self.read_on()?;
        }
        Ok(())
    }

    /// Tells the group how far the tables are; nothing is ever resumed from it.
    pub(super) fn release(&mut self, positions: &Positions) -> Result<(), LogError> {
        if self.membership == Membership::Alone {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        for place in &mut self.places {
            let position = positions.get(&place.partition);
            let Some(position) = position.filter(|p| Some(*p) != place.committed) else { continue };
            place.committed = Some(position);
            list.add_partition_offset(
                &place.partition.topic,
                place.partition.partition,
                Offset::Offset(position + 1),
            )
            .map_err(|error| broker_error(&self.brokers, error))?;
        }
        if list.count() > 0
            && let Err(error) = self.base.commit(&list, CommitMode::Async)
        {
            tracing::debug!(%error, "the group's offsets were not committed");
        }
        Ok(())
    }

    /// `first` and what librdkafka has fetched behind it.
    fn gather(
        &mut self,
        base: &BaseConsumer<Group>,
        first: BorrowedMessage<'_>,
        max_bytes: usize,
    ) -> Vec<RawBatch> {
        let mut builders: Vec<BatchBuilder> = Vec::new();
        let mut bytes = 0;
        let mut message = Some(first);
        while let Some(taken) = message.take() {
            bytes += self.take(&taken, &mut builders);
            if self.later.is_some() || bytes >= max_bytes || base.context().has_news() {
                break;
            }
            match base.poll(Duration::ZERO) {
                Some(Ok(next)) => message = Some(next),
                Some(Err(error)) => self.later = self.judge(error).err().or(self.later.take()),
                None => {}
            }
        }
        builders.into_iter().filter_map(BatchBuilder::finish).collect()
    }

    /// Adds a message to its partition's batch and returns what it counts.
    fn take(&mut self, message: &BorrowedMessage<'_>, builders: &mut Vec<BatchBuilder>) -> usize {
        let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
        let ours = |place: &&mut Place| {
            place.partition.partition == partition && place.partition.topic.as_ref() == topic
        };
        let Some(place) = self.places.iter_mut().find(ours) else { return 0 };
        let Envelope { received_at, route, resolution } = envelope(message);
        if let Err(another) = place.check(offset, received_at) {
            self.later = Some(another);
        }
        if offset <= place.held || self.later.is_some() {
            return 0;
        }
        place.held = offset;
        let known = builders.iter().position(|builder| builder.is_of(topic, partition));
        let at = known.unwrap_or_else(|| {
            builders.push(BatchBuilder::new(place.partition.clone(), place.system));
            builders.len() - 1
        });
        let body = message.payload().unwrap_or_default();
        if let Some(builder) = builders.get_mut(at) {
            builder.push(offset, received_at, route, resolution, body);
        }
        body.len() + RECORD_BYTES
    }

    /// Some of librdkafka's errors tell of a connection or a group that it mends itself. Any other
    /// ends the reading: it may stand for records that would be missing.
    fn judge(&self, error: KafkaError) -> Result<(), LogError> {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation) => {
                Err(self.out_of_range(error))
            }
            Some(code) if passes(code) => {
                tracing::debug!(%error, "kafka");
                Ok(())
            }
            Some(
                Code::NotImplemented | Code::BadCompression | Code::UnsupportedCompressionType,
            ) => {
                let brokers = self.brokers.clone();
                Err(LogError::Packed { brokers, source: Arc::new(error) })
            }
            _ => Err(broker_error(&self.brokers, error)),
        }
    }

    /// Finds the partition whose offset the broker does not have, to name it.
    fn out_of_range(&self, error: KafkaError) -> LogError {
        for place in &self.places {
            if let Ok(range) = watermarks(&self.asker, &place.partition)
                && let Err(named) = within(&place.partition, place.held, range)
            {
                return named;
            }
        }
        broker_error(&self.brokers, error)
    }
}

impl Drop for GroupConsumer {
    fn drop(&mut self) {
        self.base.context().close();
        // A rebalance that was noted but not answered would keep the consumer from closing.
        self.told.clear(&self.base);
    }
}
