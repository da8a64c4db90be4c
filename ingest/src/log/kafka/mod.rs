//! The log over Kafka: for more than one machine, and for producers that are not ours.
//!
//! Writing: an idempotent producer with `acks=all`; an append returns after the delivery report of
//! each of its records, so that a 2xx means that every in-sync replica has them. Reading: a consumer
//! group shares the partitions out, but where reading starts comes from the tables alone. Nothing is
//! committed automatically, and an offset that the broker cannot serve is an error.
//!
//! A record needs nothing but a payload: its system follows from its topic. What the door knows more
//! travels in the headers [`ROUTE`] and [`RECEIVED_AT`]; [`RESOLVES`] marks a dead letter that is tried again
//! or closed.
//!
//! TLS and SASL are librdkafka's own settings, passed on by [`KafkaSettings::options`]; the binary has to
//! be built with rdkafka's features `ssl` and `sasl` for them.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;

use crate::error::LogError;
use crate::log::{MAX_EVENT_BYTES, TOPIC_PREFIX, Topics};
use options::Side;

mod assignment;
mod brokers;
mod consumer;
mod group;
mod log;
mod options;
mod places;
mod reader;
mod trouble;

pub use self::log::KafkaLog;
pub use reader::KafkaReader;

/// Header: the last path segment of the route the event came by, UTF-8.
pub const ROUTE: &str = "ringlake-route";
/// Header: when the door took the event, in microseconds since 1970, as decimal digits.
pub const RECEIVED_AT: &str = "ringlake-received-at";

/// Header: the resolution of a dead letter, as its text.
pub const RESOLVES: &str = "ringlake-resolves";

/// What a message may be larger than its body: key, headers and Kafka's own framing.
const ENVELOPE_BYTES: usize = 16 * 1024;

/// librdkafka settings on which the promises of this module rest; they cannot be set from outside.
const DECIDED: &[&str] = &[
    "bootstrap.servers",
    "metadata.broker.list",
    "group.id",
    "group.protocol",
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "enable.auto.commit",
    "auto.commit.enable",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "enable.partition.eof",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "message.max.bytes",
];

/// Settings of the log over Kafka.
#[derive(Clone, Debug)]
pub struct KafkaSettings {
    /// `host:port`, several parted by commas.
    pub brokers: String,
    /// What the topics' names begin with.
    pub topic_prefix: String,
    /// Partitions of a topic that has to be made.
    pub partitions: i32,
    /// Replicas of a topic that has to be made; -1 leaves it to the broker.
    pub replication: i32,
    /// The consumer group that shares the partitions out among writers.
    pub group: String,
    /// How long an append waits for the brokers. Below the 10 s after which vendors give up.
    pub delivery_timeout: Duration,
    /// The largest body of one event.
    pub max_event_bytes: usize,
    /// Further librdkafka settings by their names, such as `security.protocol`.
    pub options: BTreeMap<String, String>,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".into(),
            topic_prefix: TOPIC_PREFIX.into(),
            partitions: 6,
            replication: -1,
            group: "ringlake-write".into(),
            delivery_timeout: Duration::from_secs(8),
            max_event_bytes: MAX_EVENT_BYTES,
            options: BTreeMap::new(),
        }
    }
}

/// Which partitions a reader reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// Its share of them, as a member of the consumer group.
    Group,
    /// All of them, beside any group and without moving its offsets: for a dump.
    Alone,
}

impl KafkaSettings {
    pub fn topics(&self) -> Topics {
        Topics::new(&self.topic_prefix)
    }

    /// Removes the topics and the group for good. Only for who has made them for a while.
    ///
    /// # Errors
    /// If no broker answers, or does not allow it.
    pub async fn remove(&self) -> Result<(), LogError> {
        brokers::remove(self).await
    }

    /// What all clients share, with the options from outside that this one has a use for.
    fn client(&self, side: Side) -> Result<ClientConfig, LogError> {
        if let Some(name) = self.options.keys().find(|name| DECIDED.contains(&name.as_str())) {
            let reason =
                "ringlake decides it itself, since what it promises rests on it".to_owned();
            return Err(LogError::Setting { name: format!("kafka.options.{name}"), reason });
        }
        let mut config = ClientConfig::new();
        config.set("client.id", "ringlake");
        // A broker that is back is used again within this time.
        config.set("reconnect.backoff.max.ms", "2000");
        for (name, value) in self.options.iter().filter(|(name, _)| side.has(name)) {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.brokers);
        Ok(config)
    }

    fn admin(&self) -> Result<ClientConfig, LogError> {
        self.client(Side::Admin)
    }

    fn producer(&self) -> Result<ClientConfig, LogError> {
        let mut config = self.client(Side::Producer)?;
        let max_bytes = self.max_event_bytes + ENVELOPE_BYTES;
        default(&mut config, "linger.ms", "1");
        default(&mut config, "compression.type", "lz4");
        // Java's partitioner, so that other producers' records of one key meet ours.
        default(&mut config, "partitioner", "murmur2_random");
        default(&mut config, "queue.buffering.max.kbytes", "65536");
        config.set("enable.idempotence", "true");
        config.set("acks", "all");
        config.set("message.timeout.ms", self.delivery_timeout.as_millis().to_string());
        config.set("message.max.bytes", max_bytes.to_string());
        Ok(config)
    }

    fn consumer(&self, membership: Membership) -> Result<ClientConfig, LogError> {
        let mut config = self.client(Side::Consumer)?;
        // With the default of 1,000 a reader that is slower than the broker stalls for up to a second.
        default(&mut config, "fetch.queue.backoff.ms", "5");
        default(&mut config, "queued.max.messages.kbytes", "32768");
        default(&mut config, "check.crcs", "true");
        // Topics and partitions that are made later are seen within this time.
        default(&mut config, "topic.metadata.refresh.interval.ms", "5000");
        // "cooperative-sticky" works too; all members of the group have to have the same.
        default(&mut config, "partition.assignment.strategy", "range,roundrobin");
        config.set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
        config.set("auto.offset.reset", "error");
        config.set(
            "group.id",
            match membership {
                Membership::Group => self.group.clone(),
                // librdkafka assigns partitions only where there is a group; this one is never joined.
                Membership::Alone => format!("{}-reading-alone", self.group),
            },
        );
        Ok(config)
    }
}

/// Sets what the options from outside have not set.
fn default(config: &mut ClientConfig, name: &str, value: &str) {
    if config.get(name).is_none() {
        config.set(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_option(name: &str, value: &str) -> KafkaSettings {
        let options = [(name.to_owned(), value.to_owned())].into();
        KafkaSettings { options, ..KafkaSettings::default() }
    }

    #[test]
    fn options_from_outside_win_over_defaults() {
        let config = with_option("linger.ms", "20").producer().unwrap();
        assert_eq!(config.get("linger.ms"), Some("20"));
        assert_eq!(config.get("acks"), Some("all"));
    }

    #[test]
    fn what_the_promises_rest_on_cannot_be_set() {
        for name in DECIDED {
            let error = with_option(name, "x").consumer(Membership::Group).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "setting kafka.options.{name} cannot be used: ringlake decides it itself, since \
                     what it promises rests on it"
                )
            );
        }
    }

    #[test]
    fn a_body_at_the_limit_fits_a_broker_with_default_settings() {
        let config = KafkaSettings::default().producer().unwrap();
        let max: usize = config.get("message.max.bytes").unwrap().parse().unwrap();
        assert!(max > MAX_EVENT_BYTES && max < 1_048_588);
    }
}
