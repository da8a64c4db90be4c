//! Kafka under torture: topics and a group of the round's own, on brokers that are somebody else's.
//!
//! The brokers are never touched; what dies are our processes. What was made here goes with the round,
//! unless something is wrong: then the topics are evidence.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use ringlake_ingest::Log;
use ringlake_ingest::log::{KafkaLog, KafkaSettings};
use ringlake_sinks::Progress;

use crate::error::Error;

/// How long the group waits for a member that is dead: the least that brokers allow by default.
const SESSION: (&str, &str) = ("session.timeout.ms", "6000");
/// How soon a member hears that the group changes.
const HEARTBEAT: (&str, &str) = ("heartbeat.interval.ms", "500");
const STRATEGY: &str = "partition.assignment.strategy";
const PARTITIONS: i32 = 3;
/// How long the brokers may take to make the topics.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Cluster {
    settings: KafkaSettings,
    log: KafkaLog,
}

impl Cluster {
    /// Makes the round's topics. The group shares them out eagerly or cooperatively, by chance.
    pub async fn new(
        settings: &KafkaSettings,
        seed: u64,
        dice: &mut ChaCha8Rng,
    ) -> Result<Self, Error> {
        let mut settings = settings.clone();
        settings.topic_prefix = format!("torture-{}-{seed}.", std::process::id());
        settings.group = format!("{}write", settings.topic_prefix);
        settings.partitions = PARTITIONS;
        let strategy = if dice.random() { "cooperative-sticky" } else { "range,roundrobin" };
        for (name, value) in [SESSION, HEARTBEAT, (STRATEGY, strategy)] {
            settings.options.insert(name.to_owned(), value.to_owned());
        }
        let log = KafkaLog::connect(settings.clone()).await?;
        wait_ready(&log).await?;
        Ok(Self { settings, log })
    }

    /// What tells a process of ours about it.
    pub fn variables(&self) -> Vec<(String, String)> {
        let KafkaSettings { brokers, topic_prefix, group, partitions, options, .. } =
            &self.settings;
        let own = [
            ("KIND", "kafka".to_owned()),
            ("KAFKA_BROKERS", brokers.clone()),
            ("KAFKA_TOPIC_PREFIX", topic_prefix.clone()),
            ("KAFKA_GROUP", group.clone()),
            ("KAFKA_PARTITIONS", partitions.to_string()),
        ];
        let own = own.into_iter().map(|(name, value)| (format!("RINGLAKE_LOG_{name}"), value));
        let options = options.iter().map(|(name, value)| {
            let name = name.to_ascii_uppercase().replace('.', "_");
            (format!("RINGLAKE_LOG_KAFKA_OPTIONS_{name}"), value.clone())
        });
        own.chain(options).collect()
    }

    /// How many events the topics hold that the tables lack; none while it is not known.
    pub async fn backlog(&self, tables: &Path) -> Option<u64> {
        let status = self.log.status().await.ok()?;
        let progress = Progress::load(&tables.display().to_string(), &HashMap::new()).await.ok()?;
        let lag = status.partitions.iter().map(|log| {
            let held = progress.positions.get(&log.partition).map_or(log.first, |held| held + 1);
            log.next.saturating_sub(held).unsigned_abs()
        });
        Some(lag.sum())
    }

    /// Removes the topics and the group.
    pub async fn remove(self) -> Result<(), Error> {
        let Self { settings, log } = self;
        drop(log);
        Ok(settings.remove().await?)
    }

    pub fn topic_prefix(&self) -> &str {
        &self.settings.topic_prefix
    }
}

/// Waits until all topics are there.
async fn wait_ready(log: &KafkaLog) -> Result<(), Error> {
    let began = Instant::now();
    while let Err(error) = log.ready().await {
        if !error.is_temporary() || began.elapsed() > PATIENCE {
            return Err(error.into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
