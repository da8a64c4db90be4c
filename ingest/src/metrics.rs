//! What the door and the log count. Labels are bounded: systems from the registry, outcomes from
//! [`OUTCOMES`], topics and partitions as the log has them.

use prometheus::{Histogram, IntCounterVec, IntGaugeVec, Opts, Registry, histogram_opts, opts};
use ringlake_transform::SYSTEMS;

use crate::log::LogStatus;

/// What becomes of a request.
pub const OUTCOMES: &[&str] = &[
    "accepted",
    "unknown",
    "unauthorized",
    "limited",
    "unsupported",
    "too_large",
    "slow",
    "empty",
    "unavailable",
];

/// The metrics of this crate.
#[derive(Clone)]
pub struct Metrics {
    requests: IntCounterVec,
    received: IntCounterVec,
    unreadable: IntCounterVec,
    bytes: IntCounterVec,
    append: Histogram,
    log_bytes: IntGaugeVec,
    log_lag: IntGaugeVec,
}

impl Metrics {
    /// Registers them; fails when that has been done before.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            requests: counters(
                opts!(
                    "ringlake_ingest_webhook_requests_total",
                    "Webhook requests by what became of them"
                ),
                "outcome",
            )?,
            received: counters(
                opts!(
                    "ringlake_ingest_received_events_total",
                    "Events that are durable in the log"
                ),
                "",
            )?,
            unreadable: counters(
                opts!(
                    "ringlake_ingest_unreadable_events_total",
                    "Events kept although their body cannot be read; they become dead letters"
                ),
                "",
            )?,
            bytes: counters(
                opts!(
                    "ringlake_ingest_received_bytes_total",
                    "Bytes of the bodies that are durable in the log"
                ),
                "",
            )?,
            append: Histogram::with_opts(histogram_opts!(
                "ringlake_ingest_append_seconds",
                "Time from handing a request's events to the log until they are durable",
                vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]
            ))?,
            log_bytes: gauges("ringlake_ingest_log_bytes", "Bytes of the records in the log")?,
            log_lag: gauges(
                "ringlake_ingest_log_lag_events",
                "Events in the log that the tables do not hold yet",
            )?,
        };
        metrics.register(registry)?;
        metrics.start_at_zero();
        Ok(metrics)
    }

    fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        for counters in [&self.requests, &self.received, &self.unreadable, &self.bytes] {
            registry.register(Box::new(counters.clone()))?;
        }
        registry.register(Box::new(self.append.clone()))?;
        registry.register(Box::new(self.log_bytes.clone()))?;
        registry.register(Box::new(self.log_lag.clone()))
    }

    /// A rate over a counter that is missing until its first event would miss that event.
    fn start_at_zero(&self) {
        for system in SYSTEMS {
            for outcome in OUTCOMES {
                self.requests.with_label_values(&[system.name(), outcome]);
            }
            for counters in [&self.received, &self.unreadable, &self.bytes] {
                counters.with_label_values(&[system.name()]);
            }
        }
    }

    /// A request has been answered. `system` is a name of the registry, or `unknown`.
    pub(crate) fn request(&self, system: &str, outcome: &str) {
        self.requests.with_label_values(&[system, outcome]).inc();
    }

    /// Events of a request are durable.
    pub(crate) fn kept(
        &self,
        system: &str,
        events: u64,
        unreadable: u64,
        bytes: u64,
        seconds: f64,
    ) {
        self.received.with_label_values(&[system]).inc_by(events);
        self.unreadable.with_label_values(&[system]).inc_by(unreadable);
        self.bytes.with_label_values(&[system]).inc_by(bytes);
        self.append.observe(seconds);
    }

    /// What the log holds now.
    pub fn log(&self, status: &LogStatus) {
        for held in &status.partitions {
            let number = held.partition.partition.to_string();
            let labels = &[held.partition.topic.as_ref(), number.as_str()];
            if let Some(bytes) = held.bytes {
                self.log_bytes.with_label_values(labels).set(gauge(bytes));
            }
            if let Some(lag) = held.lag() {
                self.log_lag.with_label_values(labels).set(gauge(lag));
            }
        }
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Counters by system, and by one more label where it has a name.
fn counters(opts: Opts, label: &str) -> Result<IntCounterVec, prometheus::Error> {
    let labels = ["system", label];
    let used = labels.iter().filter(|label| !label.is_empty()).copied().collect::<Vec<_>>();
    IntCounterVec::new(opts, &used)
}

fn gauges(name: &str, help: &str) -> Result<IntGaugeVec, prometheus::Error> {
    IntGaugeVec::new(opts!(name, help), &["topic", "partition"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::PartitionStatus;
    use ringlake_transform::LogPartition;

    #[test]
    fn counts_under_names_of_the_house() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).unwrap();
        assert!(Metrics::new(&registry).is_err(), "registered twice");
        metrics.request("vonage", "accepted");
        metrics.kept("vonage", 3, 1, 100, 0.004);
        metrics.log(&LogStatus {
            partitions: vec![PartitionStatus {
                partition: LogPartition::new("ringlake.vonage", 0),
                first: 0,
                next: 10,
                bytes: Some(500),
                released: Some(7),
            }],
        });
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            "ringlake_ingest_webhook_requests_total{outcome=\"accepted\",system=\"vonage\"} 1",
            "ringlake_ingest_received_events_total{system=\"vonage\"} 3",
            "ringlake_ingest_received_events_total{system=\"freshcaller\"} 0",
            "ringlake_ingest_unreadable_events_total{system=\"vonage\"} 1",
            "ringlake_ingest_received_bytes_total{system=\"vonage\"} 100",
            "ringlake_ingest_append_seconds_bucket{le=\"0.005\"} 1",
            "ringlake_ingest_log_bytes{partition=\"0\",topic=\"ringlake.vonage\"} 500",
            "ringlake_ingest_log_lag_events{partition=\"0\",topic=\"ringlake.vonage\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
