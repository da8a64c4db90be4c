//! Tests of what only the embedded log has: its limits and its trimming; a damaged file is in [`damage`]. What
//! both logs promise is in `tests/it/log_contract.rs`.

use std::fs::OpenOptions;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use redb::StorageBackend;
use redb::backends::FileBackend;
use ringlake_transform::{RawBatch, SYSTEMS};

use super::*;
use crate::log::{LogReader, Polled};

mod damage;

/// A file on a disk that can be full.
#[derive(Debug)]
struct FullDisk {
    file: FileBackend,
    full: Arc<AtomicBool>,
}

impl FullDisk {
    fn check(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }
}

impl StorageBackend for FullDisk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.file.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        self.file.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.file.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

/// An embedded log whose disk is full while the flag is set; also for the tests of the door.
pub(crate) fn on_a_disk_that_fills(folder: &std::path::Path) -> (EmbeddedLog, Arc<AtomicBool>) {
    let full = Arc::new(AtomicBool::new(false));
    let flag = full.clone();
    let opener: Opener = Arc::new(move |path| {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let file = FileBackend::new(file)?;
        Database::builder().create_with_backend(FullDisk { file, full: flag.clone() })
    });
    let lock = Arc::new(DataLock::acquire(folder).unwrap());
    (EmbeddedLog::open_with(&lock, EmbeddedSettings::default(), opener).unwrap(), full)
}

fn open(folder: &std::path::Path, settings: EmbeddedSettings) -> EmbeddedLog {
    EmbeddedLog::open(&Arc::new(DataLock::acquire(folder).unwrap()), settings).unwrap()
}

fn record(system: usize, body: &str) -> NewRecord {
    NewRecord {
        system: SYSTEMS[system],
        key: None,
        route: None,
        resolution: None,
        received_at: crate::log::now(),
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

async fn read_all(log: &EmbeddedLog) -> Vec<RawBatch> {
    let mut reader = log.reader();
    reader.start(&Positions::default()).await.unwrap();
    let mut batches = Vec::new();
    while let Polled::Events(events) = reader.next(1 << 20, Duration::ZERO).await.unwrap() {
        batches.extend(events);
    }
    batches
}

fn bodies(batches: &[RawBatch]) -> Vec<String> {
    let events = batches.iter().flat_map(|batch| &batch.events);
    events.map(|event| String::from_utf8(event.body.to_vec()).unwrap()).collect()
}

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !done().await {
        assert!(start.elapsed() < Duration::from_secs(20), "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fails_the_append_and_the_log_recovers_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (log, full) = on_a_disk_that_fills(dir.path());
    log.append(vec![record(0, "before")]).await.unwrap();

    full.store(true, Ordering::SeqCst);
    let error = log.append(vec![record(0, "during")]).await.unwrap_err();
    assert!(matches!(error, LogError::Storage { .. }), "{error:?}");
    assert!(log.ready().await.is_err());
    assert!(log.append(vec![record(0, "still")]).await.is_err());
    let mut reader = log.reader();
    // What is in the log may be unreadable for now; it is no error and no wrong answer.
    assert!(matches!(
        reader.next(1000, Duration::ZERO).await.unwrap(),
        Polled::Assigned(parts) if parts.len() == SYSTEMS.len()
    ));

    full.store(false, Ordering::SeqCst);
    until("recovery", async || log.ready().await.is_ok()).await;
    log.append(vec![record(0, "after")]).await.unwrap();
    let batches = read_all(&log).await;
    let bodies = bodies(&batches);
    assert_eq!(bodies.first().map(String::as_str), Some("before"));
    assert_eq!(bodies.last().map(String::as_str), Some("after"));
    drop(log);
    let log = open(dir.path(), EmbeddedSettings::default());
    assert_eq!(self::bodies(&read_all(&log).await), bodies);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_too_much_waits_it_is_busy_and_keeps_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let settings = EmbeddedSettings { waiting_bytes: 10, ..EmbeddedSettings::default() };
    let log = open(dir.path(), settings);
    let held = log.room.clone().try_acquire_many_owned(5).unwrap();
    let error = log.append(vec![record(0, "123456")]).await.unwrap_err();
    assert!(matches!(error, LogError::Busy));
    drop(held);
    log.append(vec![record(0, "larger than all the room there is")]).await.unwrap();
    assert_eq!(read_all(&log).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_its_retention_and_never_gives_an_offset_twice() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), EmbeddedSettings::default());
    for body in ["a", "b", "c"] {
        log.append(vec![record(1, body)]).await.unwrap();
    }
    let positions =
        read_all(&log).await.iter().map(|b| (b.partition.clone(), b.range.last)).collect();
    let hour = Duration::from_secs(3600);
    assert_eq!(log.trim(&positions, hour).await.unwrap(), 0);
    assert_eq!(log.trim(&positions, Duration::ZERO).await.unwrap(), 3);
    let status = log.status().await.unwrap();
    let sales = &status.partitions[1];
    assert_eq!((sales.first, sales.next, sales.bytes), (3, 3, Some(0)));
    drop(log);

    let log = open(dir.path(), EmbeddedSettings::default());
    log.append(vec![record(1, "d")]).await.unwrap();
    let batches = read_all(&log).await;
    assert_eq!(batches[0].range.first, 3);
    assert_eq!(bodies(&batches), ["d"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn release_trims_only_behind_the_position() {
    let dir = tempfile::tempdir().unwrap();
    let settings = EmbeddedSettings { keep: Duration::ZERO, ..EmbeddedSettings::default() };
    let log = open(dir.path(), settings);
    log.append((0..10).map(|n| record(0, &n.to_string())).collect()).await.unwrap();
    let mut reader = log.reader();
    let partition = log.status().await.unwrap().partitions[0].partition.clone();
    reader.release(&[(partition, 6)].into_iter().collect()).await.unwrap();
    until("trim", async || log.status().await.unwrap().partitions[0].first == 7).await;
    assert_eq!(log.status().await.unwrap().partitions[0].lag(), Some(3));
    assert_eq!(bodies(&read_all(&log).await), ["7", "8", "9"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_the_log_cannot_serve_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), EmbeddedSettings::default());
    log.append((0..5).map(|n| record(0, &n.to_string())).collect()).await.unwrap();
    let partition = log.status().await.unwrap().partitions[0].partition.clone();
    let at = |position| -> Positions { [(partition.clone(), position)].into_iter().collect() };
    let mut reader = log.reader();
    for fine in [-1, 0, 4] {
        reader.start(&at(fine)).await.unwrap();
    }
    let error = reader.start(&at(5)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the tables hold ringlake.freshcaller/0 up to offset 5, but the log has offsets 0 to 4 there"
    );
    log.trim(&at(2), Duration::ZERO).await.unwrap();
    reader.start(&at(2)).await.unwrap();
    assert!(matches!(
        reader.start(&at(1)).await,
        Err(LogError::OutOfRange { position: 1, first: 3, .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_share_a_batch_and_none_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), EmbeddedSettings::default());
    for system in [0, 1, 3] {
        let body = "x".repeat(100);
        log.append((0..50).map(|_| record(system, &body)).collect()).await.unwrap();
    }
    let mut reader = log.reader();
    reader.start(&Positions::default()).await.unwrap();
    let Polled::Events(batches) = reader.next(3000, Duration::ZERO).await.unwrap() else {
        panic!()
    };
    assert_eq!(batches.iter().map(|batch| batch.events.len()).collect::<Vec<_>>(), [10, 10, 10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_log_ends_its_readers() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), EmbeddedSettings::default());
    let mut reader = log.reader();
    reader.start(&Positions::default()).await.unwrap();
    let reading =
        tokio::spawn(async move { reader.next(1000, Duration::from_secs(60)).await.err() });
    tokio::task::yield_now().await;
    drop(log);
    assert!(matches!(reading.await.unwrap(), Some(LogError::Closed)));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_log_than_the_tables_were_written_from_is_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), EmbeddedSettings::default());
    log.append((0..5).map(|n| record(0, &n.to_string())).collect()).await.unwrap();
    let events = read_all(&log).await;
    let partition = log.status().await.unwrap().partitions[0].partition.clone();
    let positions: Positions = [(partition.clone(), 3)].into_iter().collect();
    let mut reader = log.reader();
    let held = events[0].events[3].received_at;
    for (received_at, fits) in [(held, true), (held + 1, false)] {
        let mark = crate::log::Mark { offset: 3, received_at };
        reader.expect([(partition.clone(), mark)].into_iter().collect());
        let started = reader.start(&positions).await;
        assert_eq!(started.is_ok(), fits);
        assert!(fits || matches!(started, Err(LogError::Another { offset: 3, .. })));
    }
}
