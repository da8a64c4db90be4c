//! The one thread that writes the embedded log.
//!
//! Group commit: it takes everything that waits, writes it in one transaction, syncs once, and then
//! answers all. Nothing is answered with success before the sync has returned.
//!
//! While it syncs, the next group gathers by itself. If that were all, senders that wait for their
//! answers would fall into two halves, each waiting through the other's sync. So the thread waits a
//! moment ([`GATHER`]) for as many requests as the last group and those that came meanwhile: those it
//! has just answered mostly send again. A lone sender never waits for this.
//!
//! When a write fails, everyone in that group hears so, the file is opened anew, and until a write
//! has succeeded again the thread tries one every [`TICK`], so that the log recovers without traffic.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use ringlake_transform::faults::{self, Mutant, Side};
use ringlake_transform::{Micros, Positions};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::damage;
use super::shared::Shared;
use super::store::Store;
use crate::error::LogError;
use crate::log::{NewRecord, now};

/// How often the thread looks up when nothing is to be written.
const TICK: Duration = Duration::from_millis(200);
/// How long a group may wait for those that are expected. A sync takes several times as long.
const GATHER: Duration = Duration::from_millis(2);
/// One transaction takes at most about this much, so that nobody waits long for others' bytes.
const GROUP_BYTES: usize = 16 << 20;
const GROUP_REQUESTS: usize = 4_096;
/// How far a mutant that writes behind its answers is behind.
const WRITE_BEHIND: Duration = Duration::from_millis(20);
/// Records that one transaction removes: trimming must not hold up the appends.
const TRIM_RECORDS: usize = 10_000;

/// A request to the thread.
pub(super) enum Job {
    Append(Append),
    /// Remove what lies behind these positions and is older than `keep`, and shrink the file.
    Trim {
        positions: Positions,
        keep: Duration,
        done: oneshot::Sender<Result<u64, LogError>>,
    },
}

pub(super) struct Append {
    pub records: Vec<NewRecord>,
    pub bytes: usize,
    /// Its share of the queue's room, given back when the answer is out.
    pub room: OwnedSemaphorePermit,
    pub done: oneshot::Sender<Result<(), LogError>>,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    jobs: Receiver<Job>,
    keep: Duration,
    /// What goes into the next transaction, and its bytes.
    group: Vec<Append>,
    bytes: usize,
    /// How many requests the next group may be expected to have.
    expected: usize,
    /// A job of another kind, for after the group.
    other: Option<Job>,
    more_to_trim: bool,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, jobs: Receiver<Job>, keep: Duration) -> Self {
        Self {
            shared,
            jobs,
            keep,
            group: Vec::new(),
            bytes: 0,
            expected: 0,
            other: None,
            more_to_trim: false,
        }
    }

    /// Serves until the log is dropped; what was queued by then is still written.
    pub(super) fn run(mut self) {
        while self.gather() {
            if self.group.is_empty() {
                self.recover();
            } else {
                self.commit();
            }
            if let Some(job) = self.other.take() {
                self.trim_now(job);
            }
            if self.shared.take_release() || self.more_to_trim {
                self.trim_a_little();
            }
        }
        self.shared.close();
    }

    /// Waits for something to do, and for the group to be complete. False when the log was dropped.
    fn gather(&mut self) -> bool {
        if self.group.is_empty() {
            let wait = if self.more_to_trim { Duration::ZERO } else { TICK };
            match self.jobs.recv_timeout(wait) {
                Ok(job) => self.take(job),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        let deadline = Instant::now() + GATHER;
        while self.has_room() && self.group.len() < self.expected {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(job) = self.jobs.recv_timeout(left) else { break };
            self.take(job);
        }
        self.take_waiting();
        true
    }

    fn has_room(&self) -> bool {
        self.other.is_none() && self.bytes < GROUP_BYTES && self.group.len() < GROUP_REQUESTS
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Append(append) => {
                self.bytes += append.bytes;
                self.group.push(append);
            }
            other => self.other = Some(other),
        }
    }

    fn take_waiting(&mut self) {
        while self.has_room() {
            let Ok(job) = self.jobs.try_recv() else { break };
            self.take(job);
        }
    }

    /// Writes the group and answers everyone in it.
    fn commit(&mut self) {
        let mut group = std::mem::take(&mut self.group);
        self.bytes = 0;
        if faults::is_mutant(Mutant::AnswerBeforeWrite) {
            answer_early(&mut group);
        }
        let records: Vec<&NewRecord> = group.iter().flat_map(|append| &append.records).collect();
        faults::pass("ingest:append", Side::Before);
        let mut result = self.write(|store| store.append(&records));
        faults::pass("ingest:append", Side::After);
        if faults::is_mutant(Mutant::AnswerDespiteError) {
            result = Ok(());
        }
        if result.is_ok() {
            self.shared.wake_readers();
        }
        self.take_waiting();
        self.expected = group.len() + self.group.len();
        for Append { done, room, .. } in group {
            drop(room);
            // A sender that has gone away is answered to nobody.
            let _ = done.send(result.clone());
        }
    }

    /// Runs one write and keeps count of whether writing works.
    fn write<T>(&self, f: impl FnOnce(&Store) -> Result<T, redb::Error>) -> Result<T, LogError> {
        if !self.shared.is_open() {
            self.shared.reopen()?;
        }
        let fail = |error| damage::named(&self.shared.path, error);
        let result = self.shared.with(|store| damage::guarded(|| f(store)).map_err(fail));
        match &result {
            Ok(_) => {
                if self.shared.set_trouble(None).is_some() {
                    tracing::info!(path = %self.shared.path.display(), "the log can be written again");
                }
            }
            Err(error) => self.failed(error),
        }
        result
    }

    fn failed(&self, error: &LogError) {
        if self.shared.set_trouble(Some(error.clone())).is_none() {
            tracing::error!(error = %chain(error), "the log cannot be written; senders get 503");
        }
        if !error.is_temporary() {
            // Opening it again mends no damage, and what can be read of it is read on.
            return;
        }
        if let Err(error) = self.shared.reopen() {
            tracing::debug!(error = %chain(&error), "the log cannot be opened again yet");
            self.shared.set_trouble(Some(error));
        }
    }

    /// Tries a write when the last one failed.
    fn recover(&self) {
        if self.shared.trouble().is_some_and(|trouble| trouble.is_temporary()) {
            // The outcome is remembered by `write`; there is nobody to answer.
            let _ = self.write(Store::probe);
        }
    }

    /// One step of trimming behind what was released.
    fn trim_a_little(&mut self) {
        let mut positions = self.shared.released();
        if faults::is_mutant(Mutant::TrimTooEarly) {
            let all = self.shared.topics.iter().map(|topic| (topic.partition.clone(), i64::MAX));
            positions = all.collect();
        }
        let removed = self.trim(&positions, self.keep);
        self.more_to_trim = removed.is_ok_and(|removed| removed >= TRIM_RECORDS as u64);
    }

    fn trim(&self, positions: &Positions, keep: Duration) -> Result<u64, LogError> {
        let before = older_than(keep);
        faults::pass("ingest:trim", Side::Before);
        let removed = self.write(|store| store.trim(positions, before, TRIM_RECORDS));
        faults::pass("ingest:trim", Side::After);
        removed
    }

    fn trim_now(&self, job: Job) {
        let Job::Trim { positions, keep, done } = job else { return };
        let result = self.trim_all(&positions, keep);
        let _ = done.send(result);
    }

    fn trim_all(&self, positions: &Positions, keep: Duration) -> Result<u64, LogError> {
        let mut total = 0;
        loop {
            let removed = self.trim(positions, keep)?;
            total += removed;
            if removed == 0 {
                break;
            }
        }
        faults::pass("ingest:compact", Side::Before);
        let compacted = self.shared.with_mut(|store| damage::guarded(|| store.compact()));
        faults::pass("ingest:compact", Side::After);
        match compacted {
            Some(Err(error)) => Err(damage::named(&self.shared.path, error)),
            _ => Ok(total),
        }
    }
}

/// Tells everyone in the group that it is written, which it will be a little later.
fn answer_early(group: &mut [Append]) {
    for append in group {
        let (unheard, _) = oneshot::channel();
        let _ = std::mem::replace(&mut append.done, unheard).send(Ok(()));
    }
    std::thread::sleep(WRITE_BEHIND);
}

/// The time before which a record is older than `keep`; with no time to keep, any is.
fn older_than(keep: Duration) -> Micros {
    let keep = Micros::try_from(keep.as_micros()).unwrap_or(Micros::MAX);
    if keep == 0 { Micros::MAX } else { now().saturating_sub(keep) }
}

/// The error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
