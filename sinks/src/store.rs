//! A local file system whose files are on the disk when a write returns.
//!
//! `LocalFileSystem` never calls fsync: after a power cut the newest commit of a table would be
//! empty, which reads as "no rows", while the log has been trimmed behind it. Here a write goes
//! stage → fsync file → hard link or rename → fsync folder, so a file is whole or absent, and
//! durable once the call returns. `PutMode::Create` goes by hard link, which fails if the name is
//! taken: that is the mutual exclusion Delta's commit rests on.
//!
//! After an fsync has failed nothing on that disk can be believed (the kernel forgets the error and
//! the pages), so every later write is refused until the process starts again. It must never retry
//! an fsync.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path as FsPath, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
    UploadPart,
};
use ringlake_transform::faults::{self, Mutant, Side};
use ringlake_transform::witness::tell;

const NAME: &str = "DurableStore";

/// A [`LocalFileSystem`] rooted at `/` that syncs what it writes.
#[derive(Clone, Debug)]
pub struct DurableStore {
    inner: LocalFileSystem,
    disk: Arc<Disk>,
}

/// What this process knows of the disk.
#[derive(Debug, Default)]
struct Disk {
    failed: AtomicBool,
    file_syncs: AtomicU64,
    folder_syncs: AtomicU64,
    /// Folders whose own entry is known to be on the disk, because this process synced their
    /// parent.
    kept: Mutex<HashSet<PathBuf>>,
}

impl DurableStore {
    /// `base` is made if it is missing; what is written must lie below it.
    pub fn open(base: &FsPath) -> io::Result<Self> {
        let disk = Disk::default();
        disk.make_base(base)?;
        Ok(Self { inner: LocalFileSystem::new(), disk: Arc::new(disk) })
    }

    /// Whether an fsync has failed since the process started.
    pub fn failed(&self) -> bool {
        self.disk.failed.load(Ordering::Acquire)
    }

    /// How often files and folders were synced.
    pub fn syncs(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.disk.file_syncs), count(&self.disk.folder_syncs))
    }

    /// Makes what a killed predecessor wrote into this folder durable before anybody builds on it.
    pub async fn settle(&self, folder: &Path) -> Result<()> {
        let folder = self.inner.path_to_filesystem(folder)?;
        self.blocking(move |disk| disk.sync_folder(&folder)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Disk) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let disk = Arc::clone(&self.disk);
        tokio::task::spawn_blocking(move || {
            if disk.failed.load(Ordering::Acquire) {
                return Err(io::Error::other("an earlier fsync failed"));
            }
            work(&disk)
        })
        .await
        .map_err(|source| object_store::Error::JoinError { source })?
        .map_err(generic)
    }
}

fn generic(source: io::Error) -> object_store::Error {
    match source.kind() {
        ErrorKind::AlreadyExists => {
            object_store::Error::AlreadyExists { path: source.to_string(), source: source.into() }
        }
        ErrorKind::NotFound => {
            object_store::Error::NotFound { path: source.to_string(), source: source.into() }
        }
        _ => object_store::Error::Generic { store: NAME, source: source.into() },
    }
}

/// The same error with the path in its text.
fn at(path: &FsPath) -> impl FnOnce(io::Error) -> io::Error {
    move |source| io::Error::new(source.kind(), format!("{}: {source}", path.display()))
}

impl Disk {
    fn sync_file(&self, file: &File, path: &FsPath) -> io::Result<()> {
        if faults::is_mutant(Mutant::FileWithoutSync) {
            return Ok(());
        }
        let synced = file.sync_all().and_then(|()| tell(|witness| witness.synced(path)));
        self.count(synced, &self.file_syncs)
    }

    fn sync_folder(&self, folder: &FsPath) -> io::Result<()> {
        let file = File::open(folder).map_err(at(folder))?;
        if faults::is_mutant(Mutant::FolderWithoutSync) {
            return Ok(());
        }
        let synced = file.sync_all().and_then(|()| tell(|witness| witness.folder_synced(folder)));
        self.count(synced, &self.folder_syncs).map_err(at(folder))
    }

    fn count(&self, synced: io::Result<()>, counter: &AtomicU64) -> io::Result<()> {
        synced.inspect_err(|_| self.failed.store(true, Ordering::Release))?;
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn make_base(&self, base: &FsPath) -> io::Result<()> {
        let missing: Vec<_> = base.ancestors().take_while(|folder| !folder.exists()).collect();
        fs::create_dir_all(base).map_err(at(base))?;
        for folder in &missing {
            tell(|witness| witness.names(folder, folder))?;
        }
        for parent in missing.iter().filter_map(|folder| folder.parent()) {
            self.sync_folder(parent)?;
        }
        self.kept().insert(base.to_path_buf());
        Ok(())
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a folder and sees to it that its entry, and those above it, survive a power cut. Also
    /// when it exists: a killed predecessor may have made it and not synced.
    fn keep_folder(&self, folder: &FsPath) -> io::Result<()> {
        if self.kept().contains(folder) {
            return Ok(());
        }
        let parent = folder.parent().ok_or_else(|| io::Error::from(ErrorKind::InvalidInput))?;
        if !folder.exists() || self.kept().iter().any(|kept| folder.starts_with(kept)) {
            self.keep_folder(parent)?;
        }
        match fs::create_dir(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(at(folder)(error));
            }
            Err(_) => {}
            Ok(()) => tell(|witness| witness.names(folder, folder))?,
        }
        self.sync_folder(parent)?;
        self.kept().insert(folder.to_path_buf());
        Ok(())
    }

    fn put(&self, path: &FsPath, payload: &PutPayload, mode: &PutMode) -> io::Result<()> {
        let folder = path.parent().ok_or_else(|| io::Error::from(ErrorKind::InvalidInput))?;
        self.keep_folder(folder)?;
        let (mut file, staged) = stage(path)?;
        let placed = payload
            .iter()
            .try_for_each(|part| file.write_all(part))
            .and_then(|()| self.sync_file(&file, &staged))
            .and_then(|()| {
                faults::pass("sinks:place", Side::Before);
                tell(|witness| witness.names(&staged, path))?;
                match mode {
                    PutMode::Create => fs::hard_link(&staged, path),
                    _ => fs::rename(&staged, path),
                }
            })
            .map_err(at(path));
        faults::pass("sinks:place", Side::After);
        let result = placed.and_then(|()| self.sync_folder(folder));
        if result.is_err() || matches!(mode, PutMode::Create) {
            // What stays behind is hidden from listings by its name, and small.
            let _ = fs::remove_file(&staged);
        }
        result
    }
}

/// A new file beside `path`. A name that ends in `#<digits>` is left out of listings.
fn stage(path: &FsPath) -> io::Result<(File, PathBuf)> {
    let mut staged = path.as_os_str().to_owned();
    staged.push(format!("#{}", uuid::Uuid::new_v4().as_u64_pair().0));
    let staged = PathBuf::from(staged);
    tell(|witness| witness.creates(&staged)).map_err(at(&staged))?;
    let file =
        OpenOptions::new().write(true).create_new(true).open(&staged).map_err(at(&staged))?;
    Ok((file, staged))
}

#[async_trait]
impl ObjectStore for DurableStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        if matches!(opts.mode, PutMode::Update(_)) || !opts.attributes.is_empty() {
            return self.inner.put_opts(location, payload, opts).await;
        }
        let path = self.inner.path_to_filesystem(location)?;
        self.blocking(move |disk| disk.put(&path, &payload, &opts.mode)).await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let path = self.inner.path_to_filesystem(location)?;
        let folder = path.parent().map(FsPath::to_path_buf).unwrap_or_default();
        self.blocking(move |disk| disk.keep_folder(&folder)).await?;
        let upload = self.inner.put_multipart_opts(location, opts).await?;
        Ok(Box::new(DurableUpload { upload, store: self.clone(), path }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        // Not synced: a file that comes back after a power cut is one that no commit names.
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        match prefix {
            Some(prefix) if prefix.filename() == Some("_delta_log") => {
                self.list_log(prefix.clone(), offset.clone())
            }
            _ => self.inner.list_with_offset(prefix, offset),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.keep_parent(to).await?;
        self.inner.copy_opts(from, to, options).await?;
        self.settle_file(to).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.keep_parent(to).await?;
        self.inner.rename_opts(from, to, options).await?;
        self.settle_file(to).await
    }
}

impl DurableStore {
    async fn keep_parent(&self, location: &Path) -> Result<()> {
        let path = self.inner.path_to_filesystem(location)?;
        self.blocking(move |disk| path.parent().map_or(Ok(()), |folder| disk.keep_folder(folder)))
            .await
    }

    async fn settle_file(&self, location: &Path) -> Result<()> {
        let path = self.inner.path_to_filesystem(location)?;
        self.blocking(move |disk| settle_file(disk, &path)).await
    }

    /// The log files after `offset`. The inner store looks at every file of the folder, which
    /// whoever opens a table with ten thousand commits would pay for.
    fn list_log(&self, prefix: Path, offset: Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let folder = self.inner.path_to_filesystem(&prefix);
        stream::once(async move {
            let folder = folder?;
            tokio::task::spawn_blocking(move || list_log(&folder, &prefix, &offset))
                .await
                .map_err(|source| object_store::Error::JoinError { source })?
                .map_err(generic)
        })
        .map(|listed| match listed {
            Ok(files) => stream::iter(files).map(Ok).boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        })
        .flatten()
        .boxed()
    }
}

fn settle_file(disk: &Disk, path: &FsPath) -> io::Result<()> {
    let file = File::open(path).map_err(at(path))?;
    disk.sync_file(&file, path)?;
    path.parent().map_or(Ok(()), |folder| disk.sync_folder(folder))
}

fn list_log(folder: &FsPath, prefix: &Path, offset: &Path) -> io::Result<Vec<ObjectMeta>> {
    let mut files = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(files),
        entries => entries.map_err(at(folder))?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.contains('#')) else { continue };
        let location = prefix.clone().join(name);
        if location <= *offset {
            continue;
        }
        match entry.metadata() {
            Ok(found) if found.is_file() => files.push(ObjectMeta {
                location,
                last_modified: found.modified()?.into(),
                size: found.len(),
                e_tag: None,
                version: None,
            }),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            // A folder, or a file that was tidied away since.
            _ => {}
        }
    }
    files.sort_unstable_by(|a, b| a.location.cmp(&b.location));
    Ok(files)
}

/// A multipart upload that syncs the file once it is complete.
#[derive(Debug)]
struct DurableUpload {
    upload: Box<dyn MultipartUpload>,
    store: DurableStore,
    path: PathBuf,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.upload.complete().await?;
        let path = self.path.clone();
        let settle = move |disk: &Disk| {
            tell(|witness| witness.creates(&path).and_then(|()| witness.names(&path, &path)))?;
            settle_file(disk, &path)
        };
        self.store.blocking(settle).await?;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}

impl std::fmt::Display for DurableStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{NAME}({})", self.inner)
    }
}

#[cfg(test)]
mod tests;
