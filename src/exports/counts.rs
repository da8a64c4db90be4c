//! What became of the exports, for `/metrics`. Labels are the names of the settings.

use chrono::{DateTime, Utc};
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::config::Config;

const RESULTS: [&str; 3] = ["written", "corrected", "failed"];

#[derive(Clone)]
pub struct Counts {
    runs: IntCounterVec,
    newest: IntGaugeVec,
}

impl Counts {
    /// Counts that begin at 0 for each export of the settings.
    pub fn new(config: &Config, registry: &Registry) -> Result<Self, prometheus::Error> {
        let runs = Opts::new(
            "ringlake_queries_export_runs_total",
            "Runs of an export that were written, corrected or failed",
        );
        let newest = Opts::new(
            "ringlake_queries_export_last_success_timestamp_seconds",
            "The time for which the newest run that is there was scheduled, in seconds since 1970",
        );
        let counts = Self {
            runs: IntCounterVec::new(runs, &["export", "result"])?,
            newest: IntGaugeVec::new(newest, &["export"])?,
        };
        registry.register(Box::new(counts.runs.clone()))?;
        registry.register(Box::new(counts.newest.clone()))?;
        for export in &config.exports {
            for result in RESULTS {
                counts.count(export.name(), result, 0);
            }
        }
        Ok(counts)
    }

    pub fn written(&self, export: &str, scheduled_for: DateTime<Utc>) {
        self.count(export, "written", 1);
        self.succeeded_at(export, scheduled_for);
    }

    pub fn corrected(&self, export: &str) {
        self.count(export, "corrected", 1);
    }

    pub fn failed(&self, export: &str) {
        self.count(export, "failed", 1);
    }

    pub fn succeeded_at(&self, export: &str, scheduled_for: DateTime<Utc>) {
        self.newest.with_label_values(&[export]).set(scheduled_for.timestamp());
    }

    fn count(&self, export: &str, result: &str, by: u64) {
        self.runs.with_label_values(&[export, result]).inc_by(by);
    }
}
