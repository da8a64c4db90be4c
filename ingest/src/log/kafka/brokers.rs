//! What both sides ask of the brokers besides records: topics, watermarks, and what librdkafka has to
//! tell.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use tokio::task::AbortHandle;

use super::{ENVELOPE_BYTES, KafkaSettings};
use crate::error::LogError;

/// How long a question to the brokers may take.
pub(super) const ASK: Duration = Duration::from_secs(5);
/// After how long the same trouble is told once more.
const AGAIN: Duration = Duration::from_secs(30);
/// How long starting waits for the topics.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two attempts to make them.
const PAUSE: Duration = Duration::from_millis(500);

/// Sends librdkafka's log to ours. A broker that is away is a warning: it is waited for.
#[derive(Clone)]
pub(super) struct Tell;

impl ClientContext for Tell {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(facility, message, "kafka");
            }
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
                tracing::warn!(facility, message, "kafka");
            }
            _ => tracing::debug!(facility, message, "kafka"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let error = error.to_string();
        if is_news(&error) {
            tracing::warn!(error, reason, "kafka");
        }
    }
}

/// Whether this was not said a moment ago. While brokers are away librdkafka says so at each attempt,
/// twenty times a second.
fn is_news(error: &str) -> bool {
    static SAID: Mutex<BTreeMap<String, Instant>> = Mutex::new(BTreeMap::new());
    let (mut said, now) = (SAID.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
    if said.get(error).is_some_and(|before| now.duration_since(*before) < AGAIN) {
        return false;
    }
    // A map of causes, of which there are few.
    said.insert(error.to_owned(), now);
    true
}

pub(super) fn broker_error(brokers: &str, error: KafkaError) -> LogError {
    LogError::Broker { brokers: brokers.to_owned(), source: Arc::new(error) }
}

/// Makes the topics that are missing. One attempt.
async fn create_topics(settings: &KafkaSettings) -> Result<(), LogError> {
    let fail = |error| broker_error(&settings.brokers, error);
    let admin: AdminClient<Tell> =
        AdminClient::from_config_and_context(&settings.admin()?, Tell).map_err(fail)?;
    let topics = settings.topics();
    let largest = (settings.max_event_bytes + 2 * ENVELOPE_BYTES).max(1_048_588).to_string();
    let new = topics.iter().map(|(topic, _)| {
        NewTopic::new(topic, settings.partitions, TopicReplication::Fixed(settings.replication))
            .set("max.message.bytes", &largest)
    });
    let new: Vec<NewTopic<'_>> = new.collect();
    let options = AdminOptions::new().request_timeout(Some(ASK)).operation_timeout(Some(ASK));
    let answers = admin.create_topics(&new, &options).await.map_err(fail)?;
    for answer in answers {
        match answer {
            Ok(topic) => tracing::info!(topic, partitions = settings.partitions, "made the topic"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((
                topic,
                RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed
                | RDKafkaErrorCode::PolicyViolation,
            )) => {
                tracing::warn!(topic, "may not make the topic; it has to be there already");
            }
            Err((_, code)) => return Err(fail(KafkaError::AdminOp(code))),
        }
    }
    Ok(())
}

/// Removes the topics and the group, and what they hold. One attempt.
pub(super) async fn remove(settings: &KafkaSettings) -> Result<(), LogError> {
    let fail = |error| broker_error(&settings.brokers, error);
    let admin: AdminClient<Tell> =
        AdminClient::from_config_and_context(&settings.admin()?, Tell).map_err(fail)?;
    let topics = settings.topics();
    let names: Vec<&str> = topics.iter().map(|(topic, _)| topic.as_ref()).collect();
    let options = AdminOptions::new().request_timeout(Some(ASK)).operation_timeout(Some(ASK));
    for answer in admin.delete_topics(&names, &options).await.map_err(fail)? {
        match answer {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((_, code)) => return Err(fail(KafkaError::AdminOp(code))),
        }
    }
    // A group that nobody has joined is not there; one whose last member died is not empty yet, and goes
    // by itself.
    let _ = admin.delete_groups(&[&settings.group], &options).await;
    Ok(())
}

/// Makes missing topics, waiting a moment for the brokers. Where they are not there yet this goes on
/// in the background: they may start after us.
pub(super) async fn make_topics(settings: KafkaSettings) -> AbortHandle {
    let mut making = tokio::spawn(make_topics_when_there(settings));
    if tokio::time::timeout(PATIENCE, &mut making).await.is_err() {
        tracing::warn!("no answer from kafka yet; it is waited for");
    }
    making.abort_handle()
}

async fn make_topics_when_there(settings: KafkaSettings) {
    while let Err(error) = create_topics(&settings).await {
        tracing::debug!(%error, "the topics cannot be made yet");
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_told_once_at_a_time() {
        assert!(is_news("AllBrokersDown, of this test"));
        assert!(!is_news("AllBrokersDown, of this test"));
        assert!(is_news("another"));
    }
}
