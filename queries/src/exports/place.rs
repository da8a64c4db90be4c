//! Where the runs of an export lie, and how one comes to lie there whole or not at all.
//!
//! A run is staged in a folder of this machine first. On a disk that folder lies beside its place and is
//! renamed once all of it is synced; into an object store its files are copied, and its manifest, which
//! is created last and only if nobody else has, makes it a run.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::ExportSpec;
use super::local::Local;
use super::manifest::{ExportFile, Manifest, RunName};
use super::remote::Remote;
use crate::error::QueryError;
use crate::stores::{is_store, store_url};

pub(super) enum Place {
    Local(Local),
    Remote(Remote),
}

/// A folder on this machine in which a run is made; it goes away unless the run is published.
pub(super) struct Stage {
    pub folder: PathBuf,
}

impl Stage {
    /// Away from where the run will lie.
    pub fn elsewhere() -> Result<Self, QueryError> {
        Ok(Self { folder: scratch()?.keep() })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // After a rename there is nothing left to remove, and a failure leaves what the next run of this
        // time removes.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Place {
    /// # Errors
    /// A URL of a kind that cannot be written to, and options that its store refuses.
    pub fn open(spec: &ExportSpec) -> Result<Self, QueryError> {
        let Some(url) = store_url(&spec.folder) else {
            let folder = spec.folder.strip_prefix("file://").unwrap_or(&spec.folder);
            return Ok(Self::Local(Local::new(Path::new(folder), &spec.name)));
        };
        if !is_store(&url) {
            return Err(QueryError::ExportPlace { url: url.to_string(), source: None });
        }
        let (store, path) = spec.stores.open(&url).map_err(|source| QueryError::ExportPlace {
            url: url.to_string(),
            source: Some(Box::new(source)),
        })?;
        Ok(Self::Remote(Remote::new(store, path.join(spec.name.as_str()), spec.runs())))
    }

    /// The finished runs, in order.
    pub async fn names(&self) -> Result<Vec<RunName>, QueryError> {
        let mut names = match self {
            Self::Local(local) => local.names()?,
            Self::Remote(remote) => remote.names().await?,
        };
        names.sort();
        Ok(names)
    }

    /// Fails where a run could not be written, as far as that can be known before it is asked.
    pub async fn answers(&self, run: RunName) -> Result<(), QueryError> {
        match self {
            Self::Local(_) => Ok(()),
            Self::Remote(remote) => remote.answers(run).await,
        }
    }

    /// The manifest of a finished run; none where it has none.
    pub async fn manifest(&self, run: RunName) -> Result<Option<Manifest>, QueryError> {
        match self {
            Self::Local(local) => local.manifest(run),
            Self::Remote(remote) => remote.manifest(run).await,
        }
    }

    /// A folder in which to make a run.
    pub fn stage(&self, run: RunName) -> Result<Stage, QueryError> {
        match self {
            Self::Local(local) => local.stage(run),
            Self::Remote(_) => Stage::elsewhere(),
        }
    }

    /// What a staged file is called once it is published.
    pub fn published_name(&self, file: ExportFile) -> ExportFile {
        match self {
            Self::Local(_) => file,
            Self::Remote(_) => Remote::published_name(file),
        }
    }

    /// What a published file was called when it was staged.
    pub fn staged_name(&self, file: &ExportFile) -> String {
        match self {
            Self::Local(_) => file.path.clone(),
            Self::Remote(_) => Remote::staged_name(file),
        }
    }

    /// Makes a staged run a finished one. Where somebody else was faster, theirs stays and is returned.
    pub async fn publish(&self, stage: Stage, manifest: Manifest) -> Result<Manifest, QueryError> {
        match self {
            Self::Local(local) => local.publish(stage, manifest),
            Self::Remote(remote) => remote.publish(&stage, manifest).await,
        }
    }

    /// A file of a finished run on this machine, copied into `scratch` if it lies elsewhere.
    pub async fn fetch(
        &self,
        run: RunName,
        file: &ExportFile,
        scratch: &Path,
    ) -> Result<PathBuf, QueryError> {
        match self {
            Self::Local(local) => Ok(local.folder(run).join(&file.path)),
            Self::Remote(remote) => remote.fetch(run, file, scratch).await,
        }
    }

    /// Where a run lies, as it is shown to people.
    pub fn shown(&self, run: RunName) -> String {
        match self {
            Self::Local(local) => local.folder(run).display().to_string(),
            Self::Remote(remote) => remote.shown(run),
        }
    }
}

/// A folder that is gone with the process, for copies.
pub(super) fn scratch() -> Result<tempfile::TempDir, QueryError> {
    let made = tempfile::Builder::new().prefix("ringlake-export-").tempdir();
    made.map_err(at(&std::env::temp_dir()))
}

pub(super) fn make_folder(path: &Path) -> Result<(), QueryError> {
    fs::create_dir_all(path).map_err(at(path))
}

/// Makes a folder's entries durable.
pub(super) fn sync(folder: &Path) -> Result<(), QueryError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> QueryError + use<> {
    let path = path.to_owned();
    move |source| QueryError::ExportFile { path: path.clone(), source }
}
