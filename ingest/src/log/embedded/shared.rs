//! What the writer thread, the log and its readers share: the open store, and how it fares.
//!
//! After a failed write redb refuses everything until the file is opened anew, so the store sits
//! behind a lock: reading and writing share it, only opening it again takes it alone.

use std::error::Error;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ringlake_transform::Positions;
use tokio::sync::watch;

use super::damage;
use super::store::{Opener, Store, Topic};
use crate::error::LogError;
use crate::log::LogStatus;

pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) topics: Arc<[Topic]>,
    opener: Opener,
    store: RwLock<Option<Store>>,
    /// The last write failed, and none has succeeded since.
    trouble: Mutex<Option<LogError>>,
    /// Counts commits, to wake the readers.
    commits: watch::Sender<u64>,
    released: Mutex<Positions>,
    release_is_new: AtomicBool,
    closed: AtomicBool,
}

impl Shared {
    pub(super) fn open(
        path: PathBuf,
        topics: Arc<[Topic]>,
        opener: Opener,
    ) -> Result<Self, LogError> {
        let store = Store::open(&path, topics.clone(), &opener)?;
        let trouble = store.trouble();
        if let Some(error) = &trouble {
            let (cause, hint) = (error.source().map(ToString::to_string), error.hint());
            tracing::error!(%error, cause, hint, "what is in the log is read, and nothing is added");
        }
        Ok(Self {
            path,
            topics,
            opener,
            store: RwLock::new(Some(store)),
            trouble: Mutex::new(trouble),
            commits: watch::Sender::new(0),
            released: Mutex::new(Positions::default()),
            release_is_new: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        })
    }

    /// Calls `f` with the store, or says why there is none.
    pub(super) fn with<T>(
        &self,
        f: impl FnOnce(&Store) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        match store.as_ref() {
            Some(store) => f(store),
            None => Err(self.trouble().unwrap_or(LogError::Closed)),
        }
    }

    /// Calls `f` with the store for itself alone.
    pub(super) fn with_mut<T>(&self, f: impl FnOnce(&mut Store) -> T) -> Option<T> {
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        store.as_mut().map(f)
    }

    /// Closes the file and opens it again, by which redb recovers it.
    pub(super) fn reopen(&self) -> Result<(), LogError> {
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        // The file has to be closed before it can be opened.
        drop(store.take());
        *store = Some(Store::open(&self.path, self.topics.clone(), &self.opener)?);
        Ok(())
    }

    pub(super) fn is_open(&self) -> bool {
        self.store.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The end: nothing is written or read any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        drop(self.store.write().unwrap_or_else(PoisonError::into_inner).take());
        self.wake_readers();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn trouble(&self) -> Option<LogError> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers how the last write went; returns what was remembered before.
    pub(super) fn set_trouble(&self, trouble: Option<LogError>) -> Option<LogError> {
        std::mem::replace(
            &mut *self.trouble.lock().unwrap_or_else(PoisonError::into_inner),
            trouble,
        )
    }

    pub(super) fn wake_readers(&self) {
        self.commits.send_modify(|count| *count += 1);
    }

    pub(super) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    pub(super) fn release(&self, positions: &Positions) {
        let mut released = self.released.lock().unwrap_or_else(PoisonError::into_inner);
        for (partition, last) in positions.iter() {
            if self.topics.iter().any(|topic| topic.partition == *partition) {
                released.advance(partition.clone(), last);
            }
        }
        self.release_is_new.store(true, Ordering::Release);
    }

    pub(super) fn released(&self) -> Positions {
        self.released.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether `release` was called since this was last asked.
    pub(super) fn take_release(&self) -> bool {
        self.release_is_new.swap(false, Ordering::AcqRel)
    }

    pub(super) fn status(&self) -> Result<LogStatus, LogError> {
        let released = self.released();
        self.with(|store| {
            damage::guarded(|| store.status(&released))
                .map_err(|error| damage::named(&self.path, error))
        })
    }
}
