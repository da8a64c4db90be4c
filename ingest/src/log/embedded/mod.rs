//! The embedded log: one file, `<data>/log/events.redb`, fsynced in group commits.
//!
//! It is the default, so that one process needs nothing else. Every topic has the one partition 0,
//! with offsets from 0 that have no gaps and are never given twice. Opening it needs the
//! [`DataLock`] of the folder: two processes can never write one file.
//!
//! `release` trims: what lies behind the tables' position goes once it is older than the retention,
//! which is there so that a table can be rebuilt. The file's free space is used again; it goes back
//! to the disk only by [`EmbeddedLog::trim`].

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use redb::Database;
use ringlake_transform::Positions;
use ringlake_transform::faults::{self, Side};
use tokio::sync::{Semaphore, oneshot};

use crate::error::LogError;
use crate::lock::{DataLock, make_folder, sync_folder};
use crate::log::{Log, LogStatus, MAX_EVENT_BYTES, NewRecord, TOPIC_PREFIX, Topics};

mod damage;
mod length;
mod reader;
mod record;
mod shared;
mod store;
#[cfg(test)]
pub(crate) mod tests;
mod witnessed;
mod writer;

pub use reader::EmbeddedReader;
use shared::Shared;
use store::{Opener, Topic};
use writer::{Append, Job, Writer};

/// Settings of the embedded log; each has a default that fits one machine.
#[derive(Clone, Debug)]
pub struct EmbeddedSettings {
    /// How long a record is kept after the tables have it.
    pub keep: Duration,
    /// Memory for the file's pages.
    pub cache_bytes: usize,
    /// Requests and bytes that may wait for the disk; beyond that appends are refused as busy.
    pub waiting_requests: usize,
    pub waiting_bytes: usize,
    /// The largest body of one event.
    pub max_event_bytes: usize,
}

impl Default for EmbeddedSettings {
    fn default() -> Self {
        Self {
            keep: Duration::from_secs(72 * 3600),
            cache_bytes: 32 << 20,
            waiting_requests: 4_096,
            waiting_bytes: 64 << 20,
            max_event_bytes: MAX_EVENT_BYTES,
        }
    }
}

/// The embedded log, open in this process. Dropping it writes what was queued and closes the file.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    settings: EmbeddedSettings,
    /// None only while it is being dropped: the thread ends when this does.
    jobs: Option<SyncSender<Job>>,
    room: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
    // Outlives the file, so it stands last.
    _lock: Arc<DataLock>,
}

impl EmbeddedLog {
    /// Opens the log of a data folder, and makes it where there is none. Reads the disk; after a
    /// crash the file is brought in order first.
    pub fn open(lock: &Arc<DataLock>, settings: EmbeddedSettings) -> Result<Self, LogError> {
        let cache = settings.cache_bytes;
        let opener: Opener = Arc::new(move |path| {
            let mut builder = Database::builder();
            builder.set_cache_size(cache);
            builder.set_repair_callback(|repair| {
                tracing::info!(done = repair.progress(), "bringing the log in order after a crash");
            });
            match witnessed::is_needed() {
                true => witnessed::open(&builder, path),
                false => builder.create(path),
            }
        });
        Self::open_with(lock, settings, opener)
    }

    fn open_with(
        lock: &Arc<DataLock>,
        settings: EmbeddedSettings,
        opener: Opener,
    ) -> Result<Self, LogError> {
        let folder = lock.folder().join("log");
        let fail = |error| LogError::storage(&folder, error);
        make_folder(&folder).map_err(fail)?;
        let topics = Topic::all(&Topics::new(TOPIC_PREFIX)).into();
        let shared = Arc::new(Shared::open(folder.join("events.redb"), topics, opener)?);
        // A new file is safe only when its entry in the folder is, and the folder's in the one above.
        faults::pass("ingest:create", Side::Before);
        sync_folder(&folder).map_err(fail)?;
        sync_folder(lock.folder()).map_err(fail)?;
        faults::pass("ingest:create", Side::After);
        let (jobs, waiting) = sync_channel(settings.waiting_requests.max(1));
        let writer = Writer::new(shared.clone(), waiting, settings.keep);
        let thread = std::thread::Builder::new()
            .name("ringlake-log".into())
            .spawn(move || writer.run())
            .map_err(fail)?;
        Ok(Self {
            shared,
            room: Arc::new(Semaphore::new(room(settings.waiting_bytes))),
            settings,
            jobs: Some(jobs),
            thread: Some(thread),
            _lock: lock.clone(),
        })
    }

    /// A reader of all topics. Several may read side by side; only one should release.
    pub fn reader(&self) -> EmbeddedReader {
        EmbeddedReader::new(self.shared.clone())
    }

    /// Removes at once what lies behind these positions and is older than `keep`, and shrinks the
    /// file. Returns how many records went. Appends wait meanwhile.
    pub async fn trim(&self, positions: &Positions, keep: Duration) -> Result<u64, LogError> {
        let (done, answer) = oneshot::channel();
        self.send(Job::Trim { positions: positions.clone(), keep, done })?;
        answer.await.map_err(|_| LogError::Closed)?
    }

    fn send(&self, job: Job) -> Result<(), LogError> {
        match self.jobs.as_ref().ok_or(LogError::Closed)?.try_send(job) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(LogError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(LogError::Closed),
        }
    }
}

/// The semaphore counts in `u32`.
fn room(bytes: usize) -> usize {
    bytes.clamp(1, u32::MAX as usize >> 3)
}

#[async_trait]
impl Log for EmbeddedLog {
    async fn append(&self, records: Vec<NewRecord>) -> Result<(), LogError> {
        if records.is_empty() {
            return Ok(());
        }
        let limit = self.settings.max_event_bytes;
        if let Some(large) = records.iter().find(|record| record.body.len() > limit) {
            return Err(LogError::TooLarge { bytes: large.body.len(), limit });
        }
        let bytes = records.iter().map(|record| record.body.len()).sum::<usize>();
        // A request larger than the whole room goes alone.
        let share =
            u32::try_from(bytes.clamp(1, room(self.settings.waiting_bytes))).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(share).map_err(|_| LogError::Busy)?;
        let (done, answer) = oneshot::channel();
        self.send(Job::Append(Append { records, bytes, room, done }))?;
        answer.await.map_err(|_| LogError::Closed)?
    }

    async fn ready(&self) -> Result<(), LogError> {
        if self.shared.is_closed() {
            return Err(LogError::Closed);
        }
        self.shared.trouble().map_or(Ok(()), Err)
    }

    async fn status(&self) -> Result<LogStatus, LogError> {
        reader::blocking(&self.shared, Shared::status).await
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // It ends after at most one more commit; only a panic could make this an error.
            let _ = thread.join();
        }
    }
}
