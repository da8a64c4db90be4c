//! Runs in an object store, which has no rename: files first, then the manifest that names them.
//!
//! A file's name has its checksum, so that two processes that make the same run at once never overwrite
//! each other's files with others. The manifest is created only if there is none; whoever comes second
//! takes the first one's. A killed run leaves files that no manifest names; the next run of its time
//! deletes them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    DynObjectStore, Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutPayload,
    WriteMultipart,
};
use ringlake_transform::faults::{self, Side};

use super::manifest::{ExportFile, MANIFEST, Manifest, RunName};
use super::place::{Stage, at};
use crate::error::QueryError;

/// Bytes that are sent at once.
const CHUNK: usize = 8 << 20;
/// Digits of the checksum that a name has.
const DIGITS: usize = 12;

pub(super) struct Remote {
    store: Arc<DynObjectStore>,
    runs: Path,
    url: String,
}

impl Remote {
    pub fn new(store: Arc<DynObjectStore>, runs: Path, url: String) -> Self {
        Self { store, runs, url }
    }

    pub fn shown(&self, run: RunName) -> String {
        format!("{}/{run}", self.url)
    }

    /// `part-00000-1f3a9c0d52e7.parquet`.
    pub fn published_name(mut file: ExportFile) -> ExportFile {
        let digits = file.sha256.get(..DIGITS).unwrap_or(&file.sha256);
        if let Some((stem, end)) = file.path.rsplit_once('.') {
            file.path = format!("{stem}-{digits}.{end}");
        }
        file
    }

    /// The name under which a published file was staged.
    pub fn staged_name(file: &ExportFile) -> String {
        let digits = file.sha256.get(..DIGITS).unwrap_or(&file.sha256);
        file.path.replace(&format!("-{digits}."), ".")
    }

    /// What is in the store below the runs' place. Names of folders come encoded already, and stay so.
    fn path(&self, run: RunName, below: &str) -> Result<Path, QueryError> {
        Path::parse(format!("{}/{run}/{below}", self.runs))
            .map_err(|error| self.failed(error.into()))
    }

    pub async fn names(&self) -> Result<Vec<RunName>, QueryError> {
        let mut names = Vec::new();
        let mut listed = self.store.list(Some(&self.runs));
        while let Some(entry) = listed.next().await {
            let entry = entry.map_err(|error| self.failed(error))?;
            let parts: Vec<_> =
                entry.location.prefix_match(&self.runs).into_iter().flatten().collect();
            if let [run, file] = parts.as_slice()
                && file.as_ref() == MANIFEST
            {
                names.extend(RunName::read(run.as_ref()));
            }
        }
        Ok(names)
    }

    /// Lists what the run has so far: a bucket that is not there, or not ours, says so.
    pub async fn answers(&self, run: RunName) -> Result<(), QueryError> {
        let place = self.runs.clone().join(run.to_string());
        let first = self.store.list(Some(&place)).next().await.transpose();
        first.map(|_| ()).map_err(|error| self.failed(error))
    }

    pub async fn manifest(&self, run: RunName) -> Result<Option<Manifest>, QueryError> {
        let got = match self.store.get(&self.path(run, MANIFEST)?).await {
            Ok(got) => got.bytes().await,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => Err(error),
        };
        let text = got.map_err(|error| self.failed(error))?;
        Manifest::read(&text, self.shown(run)).map(Some)
    }

    pub async fn publish(&self, stage: &Stage, manifest: Manifest) -> Result<Manifest, QueryError> {
        let run = manifest.run();
        for file in &manifest.files {
            let staged = stage.folder.join(Self::staged_name(file));
            self.send(&staged, &self.path(run, &file.path)?).await?;
        }
        faults::pass("queries:export", Side::Before);
        let name = self.path(run, MANIFEST)?;
        let payload = PutPayload::from(manifest.text()?);
        let created = self.store.put_opts(&name, payload, PutMode::Create.into()).await;
        faults::pass("queries:export", Side::After);
        let published = match created {
            Ok(_) => manifest,
            // It may be ours all the same: an answer can get lost.
            Err(error) => match self.manifest(run).await {
                Ok(Some(theirs)) => theirs,
                _ => return Err(self.failed(error)),
            },
        };
        if let Err(error) = self.sweep(&published).await {
            tracing::warn!(%error, "files that no manifest names could not be deleted");
        }
        Ok(published)
    }

    async fn send(&self, staged: &FsPath, to: &Path) -> Result<(), QueryError> {
        let mut file = fs::File::open(staged).map_err(at(staged))?;
        let mut chunk = Vec::new();
        let mut next = |chunk: &mut Vec<u8>| {
            chunk.clear();
            file.by_ref().take(CHUNK as u64).read_to_end(chunk).map_err(at(staged))
        };
        if next(&mut chunk)? < CHUNK {
            let put = self.store.put(to, PutPayload::from(chunk)).await;
            return put.map(|_| ()).map_err(|error| self.failed(error));
        }
        let upload = self.store.put_multipart(to).await.map_err(|error| self.failed(error))?;
        let mut parts = WriteMultipart::new_with_chunk_size(upload, CHUNK);
        while !chunk.is_empty() {
            parts.wait_for_capacity(2).await.map_err(|error| self.failed(error))?;
            parts.write(&chunk);
            next(&mut chunk)?;
        }
        parts.finish().await.map(|_| ()).map_err(|error| self.failed(error))
    }

    /// Deletes what lies in a run's place and is not in its manifest.
    async fn sweep(&self, manifest: &Manifest) -> Result<(), QueryError> {
        let run = manifest.run();
        let mut named = BTreeSet::from([self.path(run, MANIFEST)?]);
        for file in &manifest.files {
            named.insert(self.path(run, &file.path)?);
        }
        let place = self.runs.clone().join(run.to_string());
        let listed = self.store.list(Some(&place)).map_ok(|entry| entry.location);
        let found: Vec<Path> = listed.try_collect().await.map_err(|error| self.failed(error))?;
        for path in found.iter().filter(|path| !named.contains(path)) {
            self.store.delete(path).await.map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    pub async fn fetch(
        &self,
        run: RunName,
        file: &ExportFile,
        scratch: &FsPath,
    ) -> Result<PathBuf, QueryError> {
        let got = self.store.get(&self.path(run, &file.path)?).await;
        let mut body = got.map_err(|error| self.failed(error))?.into_stream();
        let copy = scratch.join(&file.sha256);
        let mut out = fs::File::create(&copy).map_err(at(&copy))?;
        while let Some(bytes) = body.next().await {
            let bytes = bytes.map_err(|error| self.failed(error))?;
            std::io::Write::write_all(&mut out, &bytes).map_err(at(&copy))?;
        }
        Ok(copy)
    }

    fn failed(&self, source: StoreError) -> QueryError {
        QueryError::ExportStore { url: self.url.clone(), source: Box::new(source) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use object_store::memory::InMemory;

    use super::super::place::scratch;
    use super::*;
    use crate::output::cell::hex;
    use sha2::{Digest, Sha256};

    fn staged(remote: &Remote, text: &str) -> (Stage, Manifest) {
        let run = RunName::read("2026-03-30T041500Z").unwrap();
        let stage = Stage::elsewhere().unwrap();
        fs::create_dir(stage.folder.join("a=%2F")).unwrap();
        fs::write(stage.folder.join("a=%2F/part-00000.csv"), text).unwrap();
        let file = ExportFile {
            path: "a=%2F/part-00000.csv".to_owned(),
            rows: 1,
            bytes: text.len() as u64,
            sha256: hex(&Sha256::digest(text)),
        };
        let manifest = serde_json::json!({
            "name": "x", "scheduled_for": run.scheduled_for, "time_zone": "UTC", "rows": 1,
            "files": [Remote::published_name(file)], "tables": {}, "sql": "", "written_by": text
        });
        let manifest: Manifest = serde_json::from_value(manifest).unwrap();
        (stage, Manifest { folder: remote.shown(run), ..manifest })
    }

    /// Two processes make one run of different data: the second takes the first one's, and of its own
    /// files nothing stays.
    #[tokio::test]
    async fn the_first_manifest_stays() {
        let store = Arc::new(InMemory::new());
        let remote = Remote::new(store.clone(), Path::from("exports/x"), "s3://b/x".to_owned());
        let (stage, manifest) = staged(&remote, "first");
        assert_eq!(remote.names().await.unwrap(), []);
        assert_eq!(remote.publish(&stage, manifest.clone()).await.unwrap(), manifest);
        let (stage, late) = staged(&remote, "second");
        assert_eq!(remote.publish(&stage, late).await.unwrap(), manifest);
        assert_eq!(remote.names().await.unwrap(), [manifest.run()]);
        let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
        let mut paths: Vec<String> = listed.iter().map(|at| at.location.to_string()).collect();
        paths.sort();
        let digits = &hex(&Sha256::digest("first"))[..DIGITS];
        let run = "exports/x/2026-03-30T041500Z";
        let part = format!("{run}/a=%2F/part-00000-{digits}.csv");
        assert_eq!(paths, [part, format!("{run}/manifest.json")]);
        let copies = scratch().unwrap();
        let copy = remote.fetch(manifest.run(), &manifest.files[0], copies.path()).await.unwrap();
        assert_eq!(fs::read_to_string(copy).unwrap(), "first");
    }

    /// More than is sent at once goes in parts.
    #[tokio::test]
    async fn large_files_go_in_parts() {
        let store = Arc::new(InMemory::new());
        let remote = Remote::new(store.clone(), Path::from("x"), "s3://b/x".to_owned());
        let folder = scratch().unwrap();
        for size in [0, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK] {
            let body: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let file = folder.path().join("large");
            fs::write(&file, &body).unwrap();
            remote.send(&file, &Path::from("large")).await.unwrap();
            let stored = store.get(&Path::from("large")).await.unwrap().bytes().await.unwrap();
            assert!(stored == body, "{size}");
        }
    }
}
