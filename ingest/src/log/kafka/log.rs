//! The writing side over Kafka.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::future_producer::OwnedDeliveryResult;
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer};
use ringlake_transform::LogPartition;
use ringlake_transform::faults::{self, Side};
use tokio::task::AbortHandle;
use xxhash_rust::xxh3::xxh3_64;

use super::brokers::{ASK, Tell, broker_error, make_topics};
use super::{KafkaSettings, Membership, RECEIVED_AT, RESOLVES, ROUTE};
use crate::error::LogError;
use crate::log::{Log, LogStatus, NewRecord, PartitionStatus, Topics};

/// How long an answer about readiness or offsets is good for; both are asked for by anybody.
const FRESH: Duration = Duration::from_secs(2);
const READY: Duration = Duration::from_secs(2);

impl ConsumerContext for Tell {}

/// The log over Kafka, for appending.
pub struct KafkaLog {
    settings: KafkaSettings,
    topics: Topics,
    producer: FutureProducer<Tell>,
    /// Asks for offsets; it reads nothing and joins nothing.
    asker: Arc<BaseConsumer<Tell>>,
    ready: Mutex<Option<(Instant, Result<(), LogError>)>>,
    making_topics: AbortHandle,
}

impl KafkaLog {
    /// Never fails for want of a broker: appends then fail until one is there. Makes missing topics
    /// in the background. Needs a tokio runtime.
    pub async fn connect(settings: KafkaSettings) -> Result<Self, LogError> {
        let fail = |error| broker_error(&settings.brokers, error);
        let producer =
            FutureProducer::from_config_and_context(&settings.producer()?, Tell).map_err(fail)?;
        let asker = settings.consumer(Membership::Group)?;
        let asker = BaseConsumer::from_config_and_context(&asker, Tell).map_err(fail)?;
        let making_topics = make_topics(settings.clone()).await;
        Ok(Self {
            topics: settings.topics(),
            settings,
            producer,
            asker: Arc::new(asker),
            ready: Mutex::new(None),
            making_topics,
        })
    }

    /// Hands a record to librdkafka, which copies it, and returns what its delivery report will be.
    fn send(&self, record: &NewRecord) -> Result<DeliveryFuture, LogError> {
        let topic = self.topics.of(record.system).ok_or(LogError::Closed)?;
        let received_at = record.received_at.to_string();
        let mut headers = OwnedHeaders::new_with_capacity(3)
            .insert(Header { key: RECEIVED_AT, value: Some(&received_at) });
        if let Some(route) = record.route.as_deref() {
            headers = headers.insert(Header { key: ROUTE, value: Some(route) });
        }
        let resolution = record.resolution.as_deref().map(ToString::to_string);
        if let Some(text) = &resolution {
            headers = headers.insert(Header { key: RESOLVES, value: Some(text) });
        }
        // With no timestamp of ours, so that the topic's retention counts from now.
        let message = FutureRecord::<str, [u8]>::to(topic).payload(&record.body).headers(headers);
        // Without an entity the body decides, so that the same event goes to the same partition each time,
        // and whoever writes that partition knows it.
        let key = record.key.clone().unwrap_or_else(|| format!("{:016x}", xxh3_64(&record.body)));
        let message = message.key(key.as_str());
        let own =
            record.resolution.as_deref().and_then(|resolution| resolution.partition_in(topic));
        let message = match own {
            Some(partition) => message.partition(partition),
            None => message,
        };
        self.producer.send_result(message).map_err(|(error, _)| self.failure(error))
    }

    fn failure(&self, error: KafkaError) -> LogError {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => LogError::Busy,
            Some(RDKafkaErrorCode::MessageTimedOut) => {
                LogError::TimedOut { after: self.settings.delivery_timeout }
            }
            _ => broker_error(&self.settings.brokers, error),
        }
    }

    fn delivered(&self, report: Option<OwnedDeliveryResult>) -> Result<(), LogError> {
        match report {
            Some(Ok(_)) => Ok(()),
            Some(Err((error, _))) => Err(self.failure(error)),
            None => Err(LogError::Closed),
        }
    }

    async fn ask_ready(&self) -> Result<(), LogError> {
        let producer = self.producer.clone();
        let topics = self.topics.clone();
        let brokers = self.settings.brokers.clone();
        let ask = move || {
            for (topic, _) in topics.iter() {
                let answer = producer.client().fetch_metadata(Some(topic), READY);
                let metadata = answer.map_err(|error| broker_error(&brokers, error))?;
                if let Some(error) = metadata.topics().iter().find_map(|topic| topic.error()) {
                    let error = KafkaError::MetadataFetch(error.into());
                    return Err(broker_error(&brokers, error));
                }
            }
            Ok(())
        };
        tokio::task::spawn_blocking(ask).await.map_err(|_| LogError::Closed)?
    }
}

#[async_trait]
impl Log for KafkaLog {
    async fn append(&self, records: Vec<NewRecord>) -> Result<(), LogError> {
        let limit = self.settings.max_event_bytes;
        if let Some(large) = records.iter().find(|record| record.body.len() > limit) {
            return Err(LogError::TooLarge { bytes: large.body.len(), limit });
        }
        faults::pass("ingest:produce", Side::Before);
        let reports: Vec<DeliveryFuture> =
            records.iter().map(|record| self.send(record)).collect::<Result<_, _>>()?;
        // All are awaited even when one fails, so that the answer comes after every outcome.
        let mut outcome = Ok(());
        for report in reports {
            outcome = outcome.and(self.delivered(report.await.ok()));
        }
        faults::pass("ingest:produce", Side::After);
        outcome
    }

    async fn ready(&self) -> Result<(), LogError> {
        let known = self.ready.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, answer)) = known.filter(|(at, _)| at.elapsed() < FRESH) {
            return answer;
        }
        let answer = self.ask_ready().await;
        let known = Some((Instant::now(), answer.clone()));
        *self.ready.lock().unwrap_or_else(PoisonError::into_inner) = known;
        answer
    }

    async fn status(&self) -> Result<LogStatus, LogError> {
        let asker = self.asker.clone();
        let topics = self.topics.clone();
        let brokers = self.settings.brokers.clone();
        let ask = move || status(&asker, &topics).map_err(|error| broker_error(&brokers, error));
        tokio::task::spawn_blocking(ask).await.map_err(|_| LogError::Closed)?
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        self.making_topics.abort();
    }
}

/// Watermarks of every partition, and what the group has committed.
fn status(asker: &BaseConsumer<Tell>, topics: &Topics) -> Result<LogStatus, KafkaError> {
    drain(asker);
    let mut list = TopicPartitionList::new();
    for (topic, _) in topics.iter() {
        for partition in partitions(asker, topic)? {
            list.add_partition(topic, partition);
        }
    }
    let committed = asker.committed_offsets(list, ASK)?;
    let mut partitions = Vec::with_capacity(committed.count());
    for element in committed.elements() {
        let Some((topic, _)) = topics.get(element.topic()) else { continue };
        let (first, next) = asker.fetch_watermarks(topic, element.partition(), ASK)?;
        partitions.push(PartitionStatus {
            partition: LogPartition::new(topic.clone(), element.partition()),
            first,
            next,
            bytes: None,
            released: element.offset().to_raw().filter(|next| *next >= 0).map(|next| next - 1),
        });
    }
    Ok(LogStatus { partitions })
}

/// Takes what librdkafka has to tell: of a consumer that reads nothing it would pile up.
pub(super) fn drain(asker: &BaseConsumer<Tell>) {
    while asker.poll(Duration::ZERO).is_some() {}
}

/// The partitions of a topic; none where it does not exist yet.
pub(super) fn partitions(asker: &BaseConsumer<Tell>, topic: &str) -> Result<Vec<i32>, KafkaError> {
    let metadata = asker.fetch_metadata(Some(topic), ASK)?;
    let known = metadata.topics().iter().filter(|topic| topic.error().is_none());
    Ok(known.flat_map(|topic| topic.partitions().iter().map(|partition| partition.id())).collect())
}
