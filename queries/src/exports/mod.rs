//! Scheduled exports: what to write, when it is due, and what has been written.
//!
//! A run is a folder of its own below the export's, named by the time it was scheduled for; where late
//! events changed the answer, a numbered correction lies beside it and the run stays as it was:
//!
//! ```text
//! <folder>/daily-costs/2026-03-30T041500Z/part-00000.parquet
//! <folder>/daily-costs/2026-03-30T041500Z/manifest.json
//! <folder>/daily-costs/2026-03-30T041500Z.1/…
//! ```
//!
//! A reader finds a run whole or not at all ([`place`]), and the same period of the same data is the same
//! bytes ([`parts`]). There is no clock here: whoever calls says what time it is.

mod compare;
mod correct;
mod local;
mod manifest;
mod parts;
mod place;
mod remote;
mod run;
mod schedule;

use std::str::FromStr;

use chrono_tz::Tz;

pub use correct::{Again, Write, again, closed};
pub use manifest::{ExportFile, Lines, Manifest, Reason, RunName, TableMoved};
pub use run::run;
pub use schedule::{due, next_run};

use crate::error::QueryError;
use crate::output::Format;
use crate::report::{self, ReportRequest};
use crate::stores::StoreOptions;
use place::Place;

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
    pub format: Format,
    /// Columns whose values become folders, the outermost first.
    pub partition_by: Vec<String>,
    /// How many past periods are asked again when a new one is due.
    pub corrections: usize,
    /// A folder, or the URL of a place in an object store. Runs are written below it, and nothing is
    /// ever written outside of it.
    pub folder: String,
    /// How that store is reached.
    pub stores: StoreOptions,
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
    /// What a file may be written as.
    pub const FORMATS: [Format; 3] = [Format::Parquet, Format::Csv, Format::Arrow];

    /// Everything that can be known to be wrong before the first run.
    pub fn check(&self) -> Vec<QueryError> {
        let mut wrong = Vec::new();
        let mut add = |problem: &str| {
            wrong.push(QueryError::ExportSpec {
                name: self.name.clone(),
                problem: problem.to_owned(),
            });
        };
        let safe = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || self.name.starts_with('.') || !self.name.chars().all(safe) {
            add("a name is made of letters, digits, -, _ and ., and begins with no dot");
        }
        let twice =
            |(at, name): (usize, &String)| self.partition_by.iter().take(at).any(|n| n == name);
        if self.partition_by.iter().enumerate().any(twice) {
            add("partition_by names a column twice");
        }
        wrong.extend(schedule::cron(self).err());
        wrong.extend(Place::open(self).err());
        if !Self::FORMATS.contains(&self.format) {
            wrong.push(unknown_format(self.format.name()));
        }
        if let ExportSource::Report(request) = &self.source {
            wrong.extend(report::render(request).err());
        }
        wrong
    }

    /// The place that holds one folder a run, as it is shown to people.
    pub fn runs(&self) -> String {
        format!("{}/{}", self.folder.trim_end_matches('/'), self.name)
    }

    /// The finished runs, in the order of their times, each before its corrections.
    ///
    /// # Errors
    /// A place that cannot be read.
    pub async fn finished(&self) -> Result<Vec<RunName>, QueryError> {
        Place::open(self)?.names().await
    }

    /// What a finished run tells of itself.
    ///
    /// # Errors
    /// A place that cannot be read, and a manifest that is none.
    pub async fn manifest(&self, run: RunName) -> Result<Option<Manifest>, QueryError> {
        Place::open(self)?.manifest(run).await
    }
}

/// The format of this name, if exports are written in it.
///
/// # Errors
/// All names there are.
pub fn format(name: &str) -> Result<Format, QueryError> {
    let mut formats = ExportSpec::FORMATS.into_iter();
    formats.find(|format| format.name() == name).ok_or_else(|| unknown_format(name))
}

fn unknown_format(name: &str) -> QueryError {
    QueryError::Unknown {
        what: "format",
        name: name.to_owned(),
        known: ExportSpec::FORMATS.iter().map(|format| format.name().to_owned()).collect(),
        place: None,
    }
}
