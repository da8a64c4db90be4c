//! Runs the exports of the settings when they are due, catches up what was missed, asks the newest closed
//! periods again, and tries again what failed.
//!
//! A run that is there is never written again, so several processes may look at the same places.

mod counts;
mod failures;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ringlake_queries::exports::{self, Again, ExportSpec, Manifest, Write};
use tokio_util::sync::CancellationToken;

pub use counts::Counts;
pub use failures::Failures;

use crate::config::{Config, Export};
use crate::error::Error;
use crate::wiring;

/// The longest pause between two looks at what is due.
const LOOK: Duration = Duration::from_secs(30);

/// The exports of the settings, with their SQL read.
pub fn specs(config: &Config) -> Result<Vec<ExportSpec>, Error> {
    config.exports.iter().map(|export| spec(export, config)).collect()
}

fn spec(export: &Export, config: &Config) -> Result<ExportSpec, Error> {
    let sql = match (&export.sql, &export.sql_file) {
        (Some(sql), _) => sql.clone(),
        (None, Some(path)) => std::fs::read_to_string(path).map_err(Error::file("read", path))?,
        (None, None) => String::new(),
    };
    Ok(export.spec(sql, config.time_zone, config.stores()))
}

/// Runs one export for this time, over the tables as they are now.
pub async fn run(
    config: &Config,
    spec: &ExportSpec,
    scheduled_for: DateTime<Utc>,
) -> Result<Manifest, Error> {
    let engine = wiring::engine(config).await?;
    let manifest = exports::run(&engine, spec, scheduled_for).await?;
    Failures::of(config).clear(&spec.name);
    Ok(manifest)
}

/// Asks a period again that was exported.
pub async fn again(
    config: &Config,
    spec: &ExportSpec,
    scheduled_for: DateTime<Utc>,
    write: Write,
) -> Result<Again, Error> {
    let engine = wiring::engine(config).await?;
    Ok(exports::again(&engine, spec, scheduled_for, write).await?)
}

/// Runs what is due until `stop`.
pub async fn schedule(
    config: Config,
    counts: Counts,
    stop: CancellationToken,
) -> Result<(), Error> {
    if config.exports.is_empty() {
        return Ok(());
    }
    let mut schedule =
        Schedule { failures: Failures::of(&config), config, counts, standing: BTreeMap::new() };
    loop {
        // What is under way is let go: unfinished runs are nobody's, and are made anew.
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = schedule.look() => {}
        }
        let pause = schedule.pause(Utc::now());
        if tokio::time::timeout(pause, stop.cancelled()).await.is_ok() {
            return Ok(());
        }
    }
}

struct Schedule {
    config: Config,
    counts: Counts,
    failures: Failures,
    standing: BTreeMap<String, Standing>,
}

/// How far an export has come.
#[derive(Default)]
struct Standing {
    /// Of its newest run, once that has been looked up: a place may be far away.
    last: Option<Option<DateTime<Utc>>>,
    /// Closed periods that are to be asked again, the next one last.
    again: Vec<DateTime<Utc>>,
}

impl Schedule {
    async fn look(&mut self) {
        for export in &self.config.exports {
            let name = export.name();
            let now = Utc::now();
            if self.failures.get(name).is_some_and(|failure| now < failure.next_at) {
                continue;
            }
            let standing = self.standing.entry(name.to_owned()).or_default();
            if let Err(error) = catch_up(&self.config, export, standing, &self.counts).await {
                let causes = error.line();
                let failure = self.failures.note(name, &causes, Utc::now());
                self.counts.failed(name);
                tracing::warn!(
                    export = name,
                    attempts = failure.attempts,
                    next_at = %failure.next_at,
                    "the export failed: {causes}"
                );
            }
        }
    }

    /// Until the next export is due, though not longer than until the next look.
    fn pause(&self, now: DateTime<Utc>) -> Duration {
        let config = &self.config;
        let next = config.exports.iter().filter_map(|export| {
            let spec = export.spec(String::new(), config.time_zone, config.stores());
            exports::next_run(&spec, now).ok().flatten()
        });
        let until = next.min().and_then(|next| (next - now).to_std().ok());
        until.map_or(LOOK, |until| until.min(LOOK)).max(Duration::from_millis(200))
    }
}

async fn catch_up(
    config: &Config,
    export: &Export,
    standing: &mut Standing,
    counts: &Counts,
) -> Result<(), Error> {
    let spec = spec(export, config)?;
    let last = match standing.last {
        Some(last) => last,
        None => spec.finished().await?.last().map(|run| run.scheduled_for),
    };
    if let Some(last) = last {
        counts.succeeded_at(&spec.name, last);
    }
    standing.last = Some(last);
    let due = exports::due(&spec, Utc::now(), last)?;
    for time in &due {
        let manifest = run(config, &spec, *time).await?;
        standing.last = Some(Some(*time));
        counts.written(&spec.name, *time);
        let (rows, folder) = (manifest.rows, manifest.folder);
        tracing::info!(export = spec.name, rows, folder, "exported");
    }
    if let Some(first) = due.first() {
        let mut finished = spec.finished().await?;
        finished.retain(|run| run.scheduled_for < *first);
        standing.again = exports::closed(&spec, &finished);
        standing.again.reverse();
    }
    // What fails is asked again when the next run is due, and must not hold that up.
    while let Some(time) = standing.again.pop() {
        if let Again::Corrected(correction) = again(config, &spec, time, Write::Yes).await? {
            counts.corrected(&spec.name);
            let reason = correction.reason.unwrap_or_default().text;
            tracing::info!(export = spec.name, folder = correction.folder, reason, "corrected");
        }
    }
    Ok(())
}
