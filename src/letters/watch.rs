//! What a writer does about dead letters by itself.
//!
//! At its start it tries those again that an earlier version did not know and this one does. And where
//! it holds the embedded log, it takes up what other processes ask of it ([`spool`](super::spool)). None of
//! this may hold up or end the loop: what fails is tried again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ringlake_ingest::Log;
use ringlake_transform::faults::{self, Side};
use ringlake_transform::flatten::Trial;
use ringlake_transform::letters::Action;
use ringlake_transform::{RawEvent, Stage, systems};
use tokio_util::sync::CancellationToken;

use super::{Choice, append, find, spool};
use crate::config::{Config, LogKind};
use crate::error::Error;
use crate::pipeline::now;
use crate::wiring;

/// How often the folder of requests is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(10);

/// Runs until `stop`.
pub async fn run(config: Config, log: Arc<dyn Log>, stop: CancellationToken) -> Result<(), Error> {
    stop.run_until_cancelled(work(&config, log.as_ref())).await;
    Ok(())
}

async fn work(config: &Config, log: &dyn Log) {
    while let Err(error) = retry_known(config, log).await {
        tracing::warn!(%error, "cannot look for letters that are known by now; trying again");
        tokio::time::sleep(PAUSE).await;
    }
    // A log in Kafka is open to whoever asks; nobody leaves requests here.
    if config.log.kind == LogKind::Kafka {
        return;
    }
    loop {
        if let Err(error) = take_up(config, log).await {
            tracing::warn!(%error, "cannot do what is asked of dead letters; trying again");
            tokio::time::sleep(PAUSE).await;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Tries again what no version knew before this one.
async fn retry_known(config: &Config, log: &dyn Log) -> Result<(), Error> {
    let engine = wiring::engine(config).await?;
    let unknown = Choice { stage: Some(Stage::Recognise.as_str()), ..Choice::default() };
    let letters = find(&engine, &unknown).await?;
    let mut trial = Trial::default();
    let known = |system: &str, event: &RawEvent| is_known(&mut trial, system, event);
    let asked = append(&engine, log, &letters, Action::Retry, now(), known).await?;
    if !asked.letters.is_empty() {
        let letters = asked.letters.len();
        tracing::info!(
            letters,
            "this version knows dead letters of an earlier one; trying them again"
        );
    }
    Ok(())
}

/// Whether this version can use the event.
pub fn is_known(trial: &mut Trial, system: &str, event: &RawEvent) -> bool {
    systems::by_name(system).is_ok_and(|system| trial.takes(system, event))
}

/// Hands to the log what was asked, oldest first.
pub async fn take_up(config: &Config, log: &dyn Log) -> Result<(), Error> {
    for path in spool::waiting(&config.data)? {
        let Some(request) = spool::read(&path)? else {
            set_aside(&path)?;
            continue;
        };
        let engine = wiring::engine(config).await?;
        let mut letters = 0;
        for ids in request.letters.chunks(super::CHUNK) {
            let choice = Choice { ids: ids.to_vec(), ..Choice::default() };
            let found = find(&engine, &choice).await?;
            let (action, asked_at) = (request.action, request.asked_at);
            let asked = append(&engine, log, &found, action, asked_at, |_, _| true).await?;
            letters += asked.letters.len();
        }
        faults::pass("ringlake:letters", Side::Before);
        spool::remove(&path)?;
        faults::pass("ringlake:letters", Side::After);
        tracing::info!(letters, action = ?request.action, "took up what was asked of dead letters");
    }
    Ok(())
}

fn set_aside(path: &Path) -> Result<(), Error> {
    let aside: PathBuf = path.with_extension("unreadable");
    tracing::warn!(path = %path.display(), "no request for dead letters; it is set aside");
    std::fs::rename(path, aside).map_err(Error::file("rename", path))
}
