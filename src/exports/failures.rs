//! Exports that failed and when they are tried again, in the data folder: a place that cannot be reached
//! cannot say so itself, and a restart must not forget the pause.
//!
//! It is information and no source: whoever deletes it has the export tried at once.

use std::io::Write;
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::config::Config;

const FIRST_PAUSE: TimeDelta = TimeDelta::minutes(1);
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);

/// An export that has failed since it last succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub attempts: u32,
    pub since: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
    pub next_at: DateTime<Utc>,
    pub error: String,
}

pub struct Failures {
    folder: PathBuf,
}

impl Failures {
    pub fn of(config: &Config) -> Self {
        Self { folder: config.data.join("export-failures") }
    }

    pub fn get(&self, export: &str) -> Option<Failure> {
        let text = std::fs::read(self.path(export)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Notes one more, and says when to try again: after a minute, then twice as long each time, up to an
    /// hour.
    pub fn note(&self, export: &str, error: &str, now: DateTime<Utc>) -> Failure {
        let (since, attempts) = match self.get(export) {
            Some(before) => (before.since, before.attempts.saturating_add(1)),
            None => (now, 1),
        };
        let failure = Failure {
            attempts,
            since,
            last_at: now,
            next_at: now + pause(attempts),
            error: error.to_owned(),
        };
        if let Err(error) = self.write(export, &failure) {
            tracing::warn!(export, %error, "that an export failed could not be noted");
        }
        failure
    }

    /// It succeeded.
    pub fn clear(&self, export: &str) {
        // Mostly there is nothing to remove.
        let _ = std::fs::remove_file(self.path(export));
    }

    fn write(&self, export: &str, failure: &Failure) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&serde_json::to_vec_pretty(failure)?)?;
        file.persist(self.path(export)).map_err(|error| error.error)?;
        Ok(())
    }

    fn path(&self, export: &str) -> PathBuf {
        self.folder.join(format!("{export}.json"))
    }
}

fn pause(attempts: u32) -> TimeDelta {
    let doubled = 1_i32.checked_shl(attempts.saturating_sub(1).min(16)).unwrap_or(i32::MAX);
    (FIRST_PAUSE * doubled).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour() {
        let minutes: Vec<i64> = (1..=9).map(|attempts| pause(attempts).num_minutes()).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn a_failure_is_remembered_until_it_succeeds() {
        let folder = tempfile::tempdir().unwrap();
        let failures = Failures { folder: folder.path().join("exports") };
        let now: DateTime<Utc> = "2026-03-30T04:15:00Z".parse().unwrap();
        assert_eq!(failures.get("costs"), None);
        failures.note("costs", "no such bucket", now);
        let later = now + TimeDelta::minutes(1);
        let second = failures.note("costs", "no such bucket", later);
        assert_eq!((second.attempts, second.since), (2, now));
        assert_eq!(second.next_at, later + TimeDelta::minutes(2));
        assert_eq!(failures.get("costs"), Some(second));
        failures.clear("costs");
        assert_eq!(failures.get("costs"), None);
    }
}
