//! Runs the exports of the settings when they are due, and catches up what was missed.
//!
//! A run that fails is tried again with the next look; a run that is on the disk is never written
//! again, so several processes may look at the same folders.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ringlake_queries::exports::{self, ExportSpec, Manifest};
use tokio_util::sync::CancellationToken;

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
    Ok(export.spec(sql, config.time_zone))
}

/// Runs one export for this time, over the tables as they are now.
pub async fn run(
    config: &Config,
    spec: &ExportSpec,
    scheduled_for: DateTime<Utc>,
) -> Result<Manifest, Error> {
    let engine = wiring::engine(config).await?;
    Ok(exports::run(&engine, spec, scheduled_for).await?)
}

/// Runs what is due until `stop`.
pub async fn schedule(config: Config, stop: CancellationToken) -> Result<(), Error> {
    if config.exports.is_empty() {
        return Ok(());
    }
    loop {
        for export in &config.exports {
            if let Err(error) = catch_up(&config, export, &stop).await {
                let causes = error.report().trim_end().replace('\n', "; ");
                tracing::warn!(export = export.name(), "the export failed: {causes}");
            }
        }
        let pause = pause(&config, Utc::now());
        if tokio::time::timeout(pause, stop.cancelled()).await.is_ok() {
            return Ok(());
        }
    }
}

async fn catch_up(config: &Config, export: &Export, stop: &CancellationToken) -> Result<(), Error> {
    let spec = spec(export, config)?;
    for time in exports::due(&spec, Utc::now(), exports::last_run(&spec)?)? {
        if stop.is_cancelled() {
            return Ok(());
        }
        let manifest = run(config, &spec, time).await?;
        tracing::info!(
            export = spec.name,
            rows = manifest.rows,
            folder = %manifest.folder.display(),
            "exported"
        );
    }
    Ok(())
}

/// Until the next export is due, though not longer than until the next look.
fn pause(config: &Config, now: DateTime<Utc>) -> Duration {
    let next = config.exports.iter().filter_map(|export| {
        let spec = export.spec(String::new(), config.time_zone);
        exports::next_run(&spec, now).ok().flatten()
    });
    let until = next.min().and_then(|next| (next - now).to_std().ok());
    until.map_or(LOOK, |until| until.min(LOOK)).max(Duration::from_millis(200))
}
