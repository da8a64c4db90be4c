//! What the sink counts. The only place where metric names stand; `table` is the only label, from
//! the fixed list of tables.

use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry};

use crate::error::SinkError;

#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub rows: IntCounterVec,
    pub files: IntCounterVec,
    pub bytes: IntCounterVec,
    pub commits: IntCounterVec,
    pub retries: IntCounterVec,
    pub batch_seconds: Histogram,
    pub progress_seconds: IntGauge,
}

impl Metrics {
    /// Registers with `registry`; without one the counts go nowhere.
    pub fn new(registry: Option<&Registry>) -> Result<Self, SinkError> {
        Self::build(registry).map_err(|source| SinkError::Metrics { source })
    }

    fn build(registry: Option<&Registry>) -> Result<Self, prometheus::Error> {
        let by_table =
            |name: &str, help: &str| IntCounterVec::new(Opts::new(name, help), &["table"]);
        let metrics = Self {
            rows: by_table("ringlake_sinks_rows_written_total", "Rows committed to a table")?,
            files: by_table("ringlake_sinks_files_written_total", "Parquet files committed")?,
            bytes: by_table("ringlake_sinks_bytes_written_total", "Bytes of these files")?,
            commits: by_table("ringlake_sinks_commits_total", "Delta commits")?,
            retries: by_table(
                "ringlake_sinks_commit_retries_total",
                "Commits tried again after an error or another writer's commit",
            )?,
            batch_seconds: Histogram::with_opts(
                HistogramOpts::new(
                    "ringlake_sinks_batch_seconds",
                    "Time from a batch to its row in progress",
                )
                .buckets(vec![0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]),
            )?,
            progress_seconds: IntGauge::new(
                "ringlake_sinks_progress_timestamp_seconds",
                "When progress last moved, in seconds since 1970",
            )?,
        };
        if let Some(registry) = registry {
            for counter in
                [&metrics.rows, &metrics.files, &metrics.bytes, &metrics.commits, &metrics.retries]
            {
                registry.register(Box::new(counter.clone()))?;
            }
            registry.register(Box::new(metrics.batch_seconds.clone()))?;
            registry.register(Box::new(metrics.progress_seconds.clone()))?;
        }
        Ok(metrics)
    }
}
