//! `manifest.json`: what a run is, so that it can be checked with other tools.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::error::QueryError;
use crate::tables::Versions;

pub const MANIFEST: &str = "manifest.json";
/// Sorts by time and is a file name everywhere.
const STAMP: &str = "%Y-%m-%dT%H%M%SZ";

/// A run's folder: `2026-03-30T041500Z`, or `2026-03-30T041500Z.2` for its second correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunName {
    pub scheduled_for: DateTime<Utc>,
    /// 0 is the run itself.
    pub number: u32,
}

impl RunName {
    pub fn first(scheduled_for: DateTime<Utc>) -> Self {
        Self { scheduled_for, number: 0 }
    }

    /// The run of this folder; none if the folder is no run's.
    pub fn read(name: &str) -> Option<Self> {
        let (stamp, number) = match name.split_once('.') {
            Some((stamp, number)) => (stamp, number.parse().ok().filter(|number| *number > 0)?),
            None => (name, 0),
        };
        let run = Self {
            scheduled_for: NaiveDateTime::parse_from_str(stamp, STAMP).ok()?.and_utc(),
            number,
        };
        (run.to_string() == name).then_some(run)
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.scheduled_for.format(STAMP))?;
        match self.number {
            0 => Ok(()),
            number => write!(f, ".{number}"),
        }
    }
}

/// What one run wrote, from what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub name: String,
    pub scheduled_for: DateTime<Utc>,
    /// 0 for a run, then the numbers of its corrections.
    #[serde(default)]
    pub number: u32,
    /// The folder of the run or correction that this one takes the place of.
    #[serde(default)]
    pub corrects: Option<String>,
    /// Why there is a correction.
    #[serde(default)]
    pub reason: Option<Reason>,
    /// The first moment covered and the first one not; null is unbounded.
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    pub time_zone: String,
    #[serde(default = "parquet")]
    pub format: String,
    /// Columns that are in the paths of the files and not in the files.
    #[serde(default)]
    pub partition_by: Vec<String>,
    pub rows: u64,
    pub files: Vec<ExportFile>,
    /// The version of each Delta table that was read.
    pub tables: Versions,
    /// The query as it ran.
    pub sql: String,
    /// Of the settings that the answer depends on: tariffs, accounts, calendars.
    #[serde(default)]
    pub settings_sha256: String,
    /// The version of the program that wrote it.
    pub written_by: String,
    /// Where it lies; not part of the file.
    #[serde(skip)]
    pub folder: String,
}

fn parquet() -> String {
    "parquet".to_owned()
}

impl Manifest {
    /// The manifest of a run that lies in `folder`.
    pub(super) fn read(text: &[u8], folder: String) -> Result<Self, QueryError> {
        match serde_json::from_slice::<Self>(text) {
            Ok(manifest) => Ok(Self { folder, ..manifest }),
            Err(source) => {
                Err(QueryError::Manifest { path: format!("{folder}/{MANIFEST}"), source })
            }
        }
    }

    /// As it stands in its file.
    pub(super) fn text(&self) -> Result<Vec<u8>, QueryError> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|source| QueryError::Manifest { path: self.folder.clone(), source })?;
        text.push(b'\n');
        Ok(text)
    }

    pub fn run(&self) -> RunName {
        RunName { scheduled_for: self.scheduled_for, number: self.number }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportFile {
    /// Below the run's folder.
    pub path: String,
    pub rows: u64,
    pub bytes: u64,
    pub sha256: String,
}

/// What made the answer another one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// In words, made of what follows.
    pub text: String,
    /// The tables that have moved since.
    pub tables: BTreeMap<String, TableMoved>,
    /// Tariffs, accounts or calendars are others.
    pub settings_changed: bool,
    /// How the lines of the answer differ; null where there are too many to compare.
    pub lines: Option<Lines>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableMoved {
    /// Null where there was no such table.
    pub from: Option<u64>,
    pub to: u64,
    /// Rows of the period that came between; null where the older version cannot be read any more.
    pub late_rows: Option<u64>,
}

/// A line is changed if only its numbers are others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    pub added: u64,
    pub removed: u64,
    pub changed: u64,
}

impl Reason {
    /// Says it in words.
    pub(super) fn told(mut self) -> Self {
        let mut parts = Vec::new();
        for (table, moved) in &self.tables {
            match moved.late_rows {
                Some(rows) if rows > 0 => {
                    parts.push(format!("{} in {table}", count(rows, "late row")))
                }
                _ => {}
            }
        }
        if self.settings_changed {
            parts.push("other tariffs, accounts or calendars".to_owned());
        }
        if parts.is_empty() {
            parts.push("what the tables hold of the period has changed".to_owned());
        }
        let lines = self.lines.map(|Lines { added, removed, changed }| {
            let all = [(changed, "changed"), (added, "added"), (removed, "removed")];
            let some = all.into_iter().filter(|(lines, _)| *lines > 0);
            let told: Vec<String> =
                some.map(|(lines, how)| format!("{} {how}", count(lines, "line"))).collect();
            told.join(", ")
        });
        self.text = parts.join(", ");
        if let Some(lines) = lines {
            self.text = format!("{}: {lines}", self.text);
        }
        self
    }
}

fn count(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_after_its_run() {
        for name in ["2026-03-30T041500Z", "2026-03-30T041500Z.1", "2026-03-30T041500Z.12"] {
            assert_eq!(RunName::read(name).unwrap().to_string(), name);
        }
        let others = [".x", "2026-03-30", "2026-03-30T041500Z.0", "2026-03-30T041500Z.01", "x.1"];
        for name in others {
            assert_eq!(RunName::read(name), None, "{name}");
        }
        let order = ["2026-03-30T041500Z.2", "2026-03-30T041500Z.10", "2026-03-31T041500Z"];
        assert!(order.map(RunName::read).is_sorted());
    }
}
