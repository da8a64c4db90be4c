//! Which of librdkafka's settings are of producers only, and which of consumers.
//!
//! One table of options is for all clients, and librdkafka warns of each that a client has no use for. So
//! each client gets its own and those of both. The lists are those of its CONFIGURATION.md, C and P; one
//! that is missing here costs a warning and nothing else.

/// Who is given options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Producer,
    Consumer,
    /// Who makes and removes topics.
    Admin,
}

impl Side {
    pub(super) fn has(self, option: &str) -> bool {
        let of_side = match option {
            _ if OF_PRODUCERS.contains(&option) => Self::Producer,
            _ if OF_CONSUMERS.contains(&option) => Self::Consumer,
            _ => return true,
        };
        self == of_side
    }
}

const OF_PRODUCERS: &[&str] = &[
    "acks",
    "batch.num.messages",
    "batch.size",
    "compression.codec",
    "compression.level",
    "compression.type",
    "delivery.report.only.error",
    "delivery.timeout.ms",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "linger.ms",
    "message.send.max.retries",
    "message.timeout.ms",
    "partitioner",
    "produce.offset.report",
    "queue.buffering.backpressure.threshold",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queue.buffering.max.ms",
    "queuing.strategy",
    "request.required.acks",
    "request.timeout.ms",
    "retries",
    "sticky.partitioning.linger.ms",
    "transaction.timeout.ms",
    "transactional.id",
];

const OF_CONSUMERS: &[&str] = &[
    "auto.commit.enable",
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "check.crcs",
    "consume.callback.max.messages",
    "coordinator.query.interval.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "group.protocol.type",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "isolation.level",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "offset.store.method",
    "offset.store.path",
    "offset.store.sync.interval.ms",
    "partition.assignment.strategy",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "session.timeout.ms",
];

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use rdkafka::ClientConfig;
    use rdkafka::client::ClientContext;
    use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
    use rdkafka::consumer::{BaseConsumer, ConsumerContext};
    use rdkafka::producer::{BaseProducer, DeliveryResult, ProducerContext};

    use super::super::{KafkaSettings, Membership};

    const LISTEN: Duration = Duration::from_millis(300);

    /// Hears what librdkafka says of its settings.
    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<String>>>);

    impl ClientContext for Heard {
        fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
            if facility == "CONFWARN" {
                self.0.lock().unwrap().push(message.to_owned());
            }
        }
    }

    impl ConsumerContext for Heard {}

    impl ProducerContext for Heard {
        type DeliveryOpaque = ();
        fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
    }

    fn of_a_producer(mut config: ClientConfig) -> Vec<String> {
        let heard = Heard::default();
        config.set_log_level(RDKafkaLogLevel::Debug);
        let producer = BaseProducer::from_config_and_context(&config, heard.clone()).unwrap();
        // What it has to say comes while it is polled.
        producer.poll(LISTEN);
        heard.0.lock().unwrap().clone()
    }

    fn of_a_consumer(mut config: ClientConfig) -> Vec<String> {
        let heard = Heard::default();
        config.set_log_level(RDKafkaLogLevel::Debug);
        let consumer = BaseConsumer::from_config_and_context(&config, heard.clone()).unwrap();
        drop(consumer.poll(LISTEN));
        heard.0.lock().unwrap().clone()
    }

    #[test]
    fn no_client_is_given_what_it_has_no_use_for() {
        let options = [
            ("session.timeout.ms", "6000"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("queue.buffering.max.ms", "2"),
            ("socket.keepalive.enable", "true"),
        ];
        let options = options.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let settings = KafkaSettings {
            // Nobody is there: nothing is sent.
            brokers: "127.0.0.1:1".to_owned(),
            options,
            ..KafkaSettings::default()
        };
        let none: Vec<String> = Vec::new();
        assert_eq!(of_a_producer(settings.producer().unwrap()), none);
        assert_eq!(of_a_producer(settings.admin().unwrap()), none);
        assert_eq!(of_a_consumer(settings.consumer(Membership::Group).unwrap()), none);
        let mut wrong = settings.producer().unwrap();
        wrong.set("session.timeout.ms", "6000");
        assert!(!of_a_producer(wrong).is_empty(), "librdkafka would have said so");
        let each = settings.producer().unwrap();
        assert_eq!(each.get("queue.buffering.max.ms"), Some("2"));
        assert_eq!(each.get("socket.keepalive.enable"), Some("true"));
    }
}
