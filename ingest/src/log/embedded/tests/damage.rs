//! Tests of a log whose file a power cut or the disk has damaged: what is left is read, and nothing is lost in
//! silence.

use super::*;

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
