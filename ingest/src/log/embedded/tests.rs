//! Tests of what only the embedded log has: the file's recovery, its limits and its trimming. What
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

/// A power cut while the file grows leaves any length between the old one and the new.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_growing_when_the_power_was_cut_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), EmbeddedSettings::default());
    log.append(vec![record(0, "before")]).await.unwrap();
    let file = dir.path().join("log/events.redb");
    let (running, length) = (std::fs::read(&file).unwrap(), file.metadata().unwrap().len());
    drop(log);
    let stopped = std::fs::read(&file).unwrap();
    for (bytes, longer) in [(&running, 1), (&running, 2_195), (&stopped, 4_095), (&running, 4_096)]
    {
        std::fs::write(&file, bytes).unwrap();
        OpenOptions::new().write(true).open(&file).unwrap().set_len(length + longer).unwrap();
        let log = open(dir.path(), EmbeddedSettings::default());
        log.append(vec![record(0, "after")]).await.unwrap();
        assert_eq!(bodies(&read_all(&log).await), ["before", "after"], "{longer} bytes more");
        drop(log);
        let log = open(dir.path(), EmbeddedSettings::default());
        assert_eq!(bodies(&read_all(&log).await), ["before", "after"], "{longer} bytes more");
    }
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
async fn a_damaged_record_is_told_from_the_rest_which_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), EmbeddedSettings::default());
    let marked = "find-this-body-in-the-file";
    log.append(vec![record(0, "good")]).await.unwrap();
    log.append(vec![record(0, marked)]).await.unwrap();
    log.append(vec![record(0, "behind")]).await.unwrap();
    drop(log);
    let path = dir.path().join("log/events.redb");
    let mut file = std::fs::read(&path).unwrap();
    let places: Vec<usize> = file
        .windows(marked.len())
        .enumerate()
        .filter(|(_, w)| *w == marked.as_bytes())
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty());
    for at in places {
        file[at] ^= 1;
    }
    std::fs::write(&path, file).unwrap();
    let log = open(dir.path(), EmbeddedSettings::default());
    let mut reader = log.reader();
    reader.start(&Positions::default()).await.unwrap();
    let Polled::Events(batches) = reader.next(1000, Duration::ZERO).await.unwrap() else {
        panic!()
    };
    let events: Vec<_> = batches.into_iter().flat_map(|batch| batch.events).collect();
    let damaged: Vec<bool> = events.iter().map(|event| event.damaged).collect();
    assert_eq!(damaged, [false, true, false], "the rest is read");
    assert_eq!((events[0].body.as_ref(), events[2].body.as_ref()), (&b"good"[..], &b"behind"[..]));
    assert!(
        String::from_utf8_lossy(&events[1].body).contains("ind-this-body"),
        "its bytes are kept"
    );
    assert_eq!(events[1].offset, 1);
}

fn numbered(number: usize) -> String {
    format!("body-{number:06}-{}", "x".repeat(700))
}

/// A closed log of 300 records; returns its file.
async fn filled(folder: &std::path::Path) -> std::path::PathBuf {
    let log = open(folder, EmbeddedSettings::default());
    for group in 0..30 {
        let records = (group * 10..group * 10 + 10).map(|n| record(0, &numbered(n)));
        log.append(records.collect()).await.unwrap();
    }
    folder.join("log/events.redb")
}

/// Overwrites each page that has this record, also where an older version of the page lies.
fn spoil(path: &std::path::Path, number: usize) {
    let mut file = std::fs::read(path).unwrap();
    let marked = format!("body-{number:06}");
    let found = file.windows(marked.len()).enumerate().filter(|(_, w)| *w == marked.as_bytes());
    let pages: Vec<usize> = found.map(|(at, _)| at / 4096 * 4096).collect();
    assert!(!pages.is_empty());
    for page in pages {
        file[page..page + 4096].fill(0xa5);
    }
    std::fs::write(path, file).unwrap();
}

/// Reads all 300; returns which of them are damaged. Those that are not are what was written.
async fn damaged(log: &EmbeddedLog) -> Vec<usize> {
    let events: Vec<_> = read_all(log).await.into_iter().flat_map(|batch| batch.events).collect();
    let offsets: Vec<i64> = events.iter().map(|event| event.offset).collect();
    assert_eq!(offsets[..300], (0..300).collect::<Vec<i64>>(), "each is told of");
    for (number, event) in events[..300].iter().enumerate().filter(|(_, event)| !event.damaged) {
        assert_eq!(event.body.as_ref(), numbered(number).as_bytes());
    }
    events.iter().enumerate().filter(|(_, event)| event.damaged).map(|(n, _)| n).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn around_a_page_of_garbage_the_rest_is_read_and_written_and_trimmed() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path()).await;
    spoil(&path, 150);
    for _ in 0..2 {
        let log = open(dir.path(), EmbeddedSettings::default());
        let lost = damaged(&log).await;
        assert!(lost.contains(&150) && lost.len() < 30, "{lost:?}");
        log.ready().await.unwrap();
        log.append(vec![record(0, "more")]).await.unwrap();
        assert_eq!(bodies(&read_all(&log).await).last().unwrap(), "more");
        // Nothing is removed near it, and what is in front of it stays readable.
        let partition = log.status().await.unwrap().partitions[0].partition.clone();
        let all: Positions = [(partition, 200)].into_iter().collect();
        assert_eq!(log.trim(&all, Duration::ZERO).await.unwrap_or(0), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_its_end_damaged_a_log_is_read_and_takes_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path()).await;
    spoil(&path, 299);
    for _ in 0..2 {
        let log = open(dir.path(), EmbeddedSettings::default());
        let error = log.ready().await.unwrap_err();
        assert_eq!(error.to_string(), format!("{} is damaged", path.display()));
        let error = log.append(vec![record(0, "more")]).await.unwrap_err();
        assert!(matches!(error, LogError::Broken { .. }), "{error:?}");
        let lost = damaged(&log).await;
        assert!(lost.contains(&299) && lost.len() < 30, "{lost:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_cut_short_or_lost_its_head_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path()).await;
    let whole = std::fs::read(&path).unwrap();
    let mut headless = whole.clone();
    headless[..4096].fill(0xa5);
    let (half, almost) = (&whole[..whole.len() / 8192 * 4096], &whole[..whole.len() - 4096]);
    for found in [half, almost, &headless] {
        std::fs::write(&path, found).unwrap();
        let lock = Arc::new(DataLock::acquire(dir.path()).unwrap());
        let error = EmbeddedLog::open(&lock, EmbeddedSettings::default()).err().unwrap();
        assert!(matches!(error, LogError::Broken { .. }), "{error:?}");
        assert!(!error.is_temporary() && error.hint().contains("from a backup"));
        assert!(std::fs::read(&path).unwrap() == found, "it is evidence");
    }
    std::fs::write(&path, whole).unwrap();
    assert_eq!(damaged(&open(dir.path(), EmbeddedSettings::default())).await, [0; 0]);
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
