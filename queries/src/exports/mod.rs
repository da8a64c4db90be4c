//! Scheduled exports: what to write, when it is due, and what has been written.
//!
//! A run is a folder of its own below the export's, named by the time it was scheduled for:
//!
//! ```text
//! <folder>/daily-costs/2026-03-30T041500Z/part-00000.parquet
//! <folder>/daily-costs/2026-03-30T041500Z/manifest.json
//! ```
//!
//! It is written under another name and renamed when all of it is on the disk, so a reader finds a
//! run whole or not at all. There is no clock here: whoever calls says what time it is.

mod manifest;
mod run;
mod schedule;

use std::path::PathBuf;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

pub use manifest::{ExportFile, Manifest, list};
pub use run::run;
pub use schedule::{due, last_run, next_run};

use crate::error::QueryError;
use crate::report::{self, ReportRequest};

/// One `[[exports]]` entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportSpec {
    /// Letters, digits, `-`, `_` and `.`: it names folders.
    pub name: String,
    /// Five fields: minute, hour, day, month, weekday.
    pub cron: String,
    /// The zone in which the cron pattern and the period are read.
    pub zone: Tz,
    pub source: ExportSource,
    pub period: ExportPeriod,
    /// Where this export's runs are written; nothing is ever written outside of it.
    pub folder: PathBuf,
}

/// What an export asks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there are a few of these in a process")]
pub enum ExportSource {
    /// A report; its bounds and zone are the export's.
    Report(ReportRequest),
    /// A query, in which `$since` and `$until` are the period's bounds.
    Sql(String),
}

/// Which time an export covers, seen from the time it is scheduled for, in days of its zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExportPeriod {
    LastDay,
    /// Monday to Sunday.
    LastWeek,
    LastMonth,
    #[default]
    All,
}

impl ExportPeriod {
    pub const NAMES: [(&'static str, Self); 4] = [
        ("last_day", Self::LastDay),
        ("last_week", Self::LastWeek),
        ("last_month", Self::LastMonth),
        ("all", Self::All),
    ];

    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, period)| *period == self).map_or("all", |(name, _)| name)
    }
}

impl FromStr for ExportPeriod {
    type Err = QueryError;

    fn from_str(name: &str) -> Result<Self, QueryError> {
        if name == "yesterday" {
            return Ok(Self::LastDay);
        }
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, period)| *period).ok_or_else(|| QueryError::Unknown {
            what: "period",
            name: name.to_owned(),
            known: Self::NAMES.iter().map(|(name, _)| (*name).to_owned()).collect(),
            place: None,
        })
    }
}

impl ExportSpec {
    /// Everything that can be known to be wrong before the first run.
    pub fn check(&self) -> Vec<QueryError> {
        let mut wrong = Vec::new();
        let safe = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || self.name.starts_with('.') || !self.name.chars().all(safe) {
            wrong.push(QueryError::ExportSpec {
                name: self.name.clone(),
                problem: "a name is made of letters, digits, -, _ and ., and begins with no dot"
                    .to_owned(),
            });
        }
        wrong.extend(schedule::cron(self).err());
        if let ExportSource::Report(request) = &self.source {
            wrong.extend(report::render(request).err());
        }
        wrong
    }

    /// The folder that holds one folder a run.
    pub fn runs(&self) -> PathBuf {
        self.folder.join(&self.name)
    }
}

/// `2026-03-30T041500Z`: sorts by time and is a file name everywhere.
fn stamp(scheduled_for: DateTime<Utc>) -> String {
    scheduled_for.format("%Y-%m-%dT%H%M%SZ").to_string()
}
