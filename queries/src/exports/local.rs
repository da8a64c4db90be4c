//! Runs on a disk of this machine: every file and folder is synced before a rename shows the run.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ringlake_transform::faults::{self, Side};

use super::manifest::{MANIFEST, Manifest, RunName};
use super::parts::create;
use super::place::{Stage, at, make_folder, sync};
use crate::error::QueryError;

pub(super) struct Local {
    root: PathBuf,
    name: String,
}

impl Local {
    pub fn new(root: &Path, name: &str) -> Self {
        Self { root: root.to_owned(), name: name.to_owned() }
    }

    fn runs(&self) -> PathBuf {
        self.root.join(&self.name)
    }

    pub fn folder(&self, run: RunName) -> PathBuf {
        self.runs().join(run.to_string())
    }

    /// What is not a finished run is passed over.
    pub fn names(&self) -> Result<Vec<RunName>, QueryError> {
        let runs = self.runs();
        let entries = match fs::read_dir(&runs) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(at(&runs)(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(at(&runs))?.file_name();
            let run = name.to_str().and_then(RunName::read);
            names.extend(run.filter(|run| self.folder(*run).join(MANIFEST).exists()));
        }
        Ok(names)
    }

    pub fn manifest(&self, run: RunName) -> Result<Option<Manifest>, QueryError> {
        let folder = self.folder(run);
        let path = folder.join(MANIFEST);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(source) => return Err(QueryError::ExportFile { path, source }),
        };
        Manifest::read(&text, folder.display().to_string()).map(Some)
    }

    pub fn stage(&self, run: RunName) -> Result<Stage, QueryError> {
        let runs = self.runs();
        make_folder(&runs)?;
        self.stays_inside()?;
        let folder = runs.join(format!(".{run}.unfinished"));
        // What a killed run left behind.
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(at(&folder)(error));
            }
            _ => {}
        }
        make_folder(&folder)?;
        Ok(Stage { folder })
    }

    pub fn publish(&self, stage: Stage, manifest: Manifest) -> Result<Manifest, QueryError> {
        let finished = self.folder(manifest.run());
        let path = stage.folder.join(MANIFEST);
        let text = manifest.text()?;
        let mut file = create(&path)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(at(&path))?;
        sync_all(&stage.folder)?;
        faults::pass("queries:export", Side::Before);
        if let Err(error) = fs::rename(&stage.folder, &finished) {
            return self.manifest(manifest.run())?.ok_or_else(|| at(&finished)(error));
        }
        faults::pass("queries:export", Side::After);
        sync(&self.runs())?;
        Ok(manifest)
    }

    /// Whether the folder of the runs lies where its path says: a link in its place would let an export
    /// out.
    fn stays_inside(&self) -> Result<(), QueryError> {
        let runs = self.runs();
        let root = fs::canonicalize(&self.root).map_err(at(&self.root))?;
        let found = fs::canonicalize(&runs).map_err(at(&runs))?;
        if found == root.join(&self.name) {
            return Ok(());
        }
        Err(QueryError::ExportSpec {
            name: self.name.clone(),
            problem: format!("{} is a link to another place; remove it", runs.display()),
        })
    }
}

/// Makes the entries of a folder and of those below it durable; the files are.
fn sync_all(folder: &Path) -> Result<(), QueryError> {
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let entry = entry.map_err(at(folder))?;
        if entry.file_type().map_err(at(folder))?.is_dir() {
            sync_all(&entry.path())?;
        }
    }
    sync(folder)
}
