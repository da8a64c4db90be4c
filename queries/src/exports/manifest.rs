//! `manifest.json`: what a run is, so that it can be checked with other tools.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::error::QueryError;
use crate::tables::Versions;

pub const MANIFEST: &str = "manifest.json";

/// What one run wrote, from what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub name: String,
    pub scheduled_for: DateTime<Utc>,
    /// The first moment covered and the first one not; null is unbounded.
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    pub time_zone: String,
    pub rows: u64,
    pub files: Vec<ExportFile>,
    /// The version of each Delta table that was read.
    pub tables: Versions,
    /// The query as it ran.
    pub sql: String,
    /// The version of the program that wrote it.
    pub written_by: String,
    /// Where it lies; not part of the file.
    #[serde(skip)]
    pub folder: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportFile {
    pub path: String,
    pub rows: u64,
    pub bytes: u64,
    pub sha256: String,
}

/// The runs in a folder, in the order of their times. What is not a finished run is passed over.
pub fn list(runs: &Path) -> Result<Vec<Manifest>, QueryError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| QueryError::ExportFile { path, source }
    };
    let entries = match fs::read_dir(runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(runs)(error)),
    };
    let mut manifests = Vec::new();
    for entry in entries {
        let folder = entry.map_err(failed(runs))?.path();
        let hidden = folder.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        manifests.extend(read(&folder)?);
    }
    manifests.sort_by_key(|manifest| manifest.scheduled_for);
    Ok(manifests)
}

/// The manifest of one run's folder; none where it has none.
pub fn read(folder: &Path) -> Result<Option<Manifest>, QueryError> {
    let path = folder.join(MANIFEST);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        Err(source) => return Err(QueryError::ExportFile { path, source }),
    };
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|source| QueryError::Manifest { path, source })?;
    Ok(Some(Manifest { folder: folder.to_owned(), ..manifest }))
}
