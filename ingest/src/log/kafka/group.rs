//! Notes the group's rebalances.
//!
//! librdkafka calls this inside `poll`, where neither the tables can be asked nor a batch be finished,
//! so it only writes down what happened; [`super::consumer`] acts on it between two batches.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;

use super::brokers::Tell;

pub(super) enum Rebalance {
    /// All that is to be read from now on.
    Assign(Vec<(String, i32)>),
    /// What comes to it (cooperative).
    Add(Vec<(String, i32)>),
    /// All of it goes.
    Revoke,
    /// These go and the others stay (cooperative).
    Remove(Vec<(String, i32)>),
}

#[derive(Default)]
pub(super) struct Group {
    noted: Mutex<VecDeque<Rebalance>>,
    closing: AtomicBool,
}

impl Group {
    /// The next one that has not been acted on.
    pub(super) fn take(&self) -> Option<Rebalance> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    pub(super) fn has_news(&self) -> bool {
        !self.noted.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(super) fn note(&self, rebalance: Rebalance) {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).push_back(rebalance);
    }

    /// From now on a rebalance is answered at once: nobody reads any more.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Tell.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Tell.error(error, reason);
    }
}

impl ConsumerContext for Group {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let assigns = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        if self.closing.load(Ordering::Acquire) {
            // Nobody is left to ask; the group waits for this.
            let _ = match (cooperative, assigns) {
                (false, _) => consumer.unassign(),
                (true, false) => consumer.incremental_unassign(list),
                (true, true) => consumer.incremental_assign(&TopicPartitionList::new()),
            };
            return;
        }
        let places = list.elements();
        let places = places.iter().map(|e| (e.topic().to_owned(), e.partition())).collect();
        self.note(match (assigns, cooperative) {
            (true, false) => Rebalance::Assign(places),
            (true, true) => Rebalance::Add(places),
            (false, false) => Rebalance::Revoke,
            (false, true) => Rebalance::Remove(places),
        });
    }
}
