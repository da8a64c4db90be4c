//! When a batch is closed, and that partitions change hands only after what was read of them is
//! committed. That nothing is lost or doubled is for the end-to-end tests.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use prometheus::Registry;
use ringlake_ingest::Marks;
use ringlake_sinks::SinkSettings;
use ringlake_transform::{LogPartition, OffsetRange, Positions, RawEvent, SYSTEMS};

use super::*;

fn gathered(bytes: usize, age: Duration) -> Gathered {
    Gathered { batches: Vec::new(), bytes, since: Instant::now().checked_sub(age) }
}

#[test]
fn a_batch_is_closed_by_size_or_by_age() {
    let flush = FlushSettings { interval: Duration::from_secs(60), max_bytes: 100 };
    assert!(!Gathered::default().is_due(flush), "nothing waits for nothing");
    assert!(!gathered(99, Duration::from_secs(1)).is_due(flush));
    assert!(gathered(100, Duration::from_secs(1)).is_due(flush));
    assert!(gathered(1, Duration::from_secs(61)).is_due(flush));
}

/// A log that does what it was told, and writes down what it hears.
struct Scripted {
    script: VecDeque<Polled>,
    heard: Arc<Mutex<Vec<String>>>,
    done: CancellationToken,
}

fn partition() -> LogPartition {
    LogPartition::new("test", 3)
}

fn events(first: i64, last: i64) -> Polled {
    let event = |offset| RawEvent {
        offset,
        received_at: 1_772_000_000_000_000 + offset,
        route: None,
        resolution: None,
        body: format!("no event {offset}").into(),
        damaged: false,
    };
    Polled::Events(vec![RawBatch {
        partition: partition(),
        system: SYSTEMS[0],
        range: OffsetRange::new(first, last),
        events: (first..=last).map(event).collect(),
    }])
}

impl Scripted {
    fn hear(&self, what: &str, positions: &Positions) {
        let position = positions.get(&partition());
        self.heard.lock().unwrap().push(format!("{what} {position:?}"));
    }
}

#[async_trait]
impl LogReader for Scripted {
    async fn next(&mut self, _: usize, wait: Duration) -> Result<Polled, LogError> {
        match self.script.pop_front() {
            Some(Polled::Revoked(all)) => {
                self.heard.lock().unwrap().push("revoke".to_owned());
                Ok(Polled::Revoked(all))
            }
            Some(polled) => Ok(polled),
            None => {
                self.done.cancel();
                tokio::time::timeout(wait, std::future::pending::<()>()).await.unwrap_err();
                Ok(Polled::Idle)
            }
        }
    }

    fn expect(&mut self, _: Marks) {}

    async fn start(&mut self, positions: &Positions) -> Result<(), LogError> {
        self.hear("start", positions);
        Ok(())
    }

    async fn release(&mut self, positions: &Positions) -> Result<(), LogError> {
        self.hear("release", positions);
        Ok(())
    }
}

#[tokio::test]
async fn partitions_change_hands_only_when_they_are_committed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("tables").display().to_string();
    let sink = Sink::open(SinkSettings::new(root)).await.unwrap();
    let assigned = || Polled::Assigned(vec![partition()]);
    let script =
        [assigned(), events(0, 4), Polled::Revoked(vec![partition()]), assigned(), events(9, 9)];
    let (heard, stop) = (Arc::new(Mutex::new(Vec::new())), CancellationToken::new());
    let reader = Scripted { script: script.into(), heard: heard.clone(), done: stop.clone() };
    let counts = Counts::new(&Registry::new()).unwrap();
    let committed = counts.committed();
    // Neither size nor age closes a batch here: only the change of hands, and the stop.
    let flush = FlushSettings { interval: Duration::from_secs(3600), max_bytes: usize::MAX };
    let parts = Parts { reader: Box::new(reader), sink, flush, counts, columns: 100 };
    run(parts, stop).await.unwrap();

    let mut told = Vec::new();
    for line in heard.lock().unwrap().iter() {
        // The same position may be told again, and there may be none to tell at first.
        if line != "release None" && !told.contains(line) {
            told.push(line.clone());
        }
    }
    let expected = ["start None", "revoke", "release Some(4)", "start Some(4)", "release Some(9)"];
    assert_eq!(told, expected);
    assert_eq!(committed.borrow().events, 6);
    assert_eq!(committed.borrow().dead_lettered, 6);
}
