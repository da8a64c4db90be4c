//! Writers that come and go while events flow: every event is handed to one of them, once. Under both ways
//! in which Kafka's groups hand partitions over.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ringlake_ingest::log::{
    KafkaLog, KafkaReader, KafkaSettings, Log, LogReader, Membership, Polled,
};
use ringlake_transform::Positions;
use tokio::task::JoinHandle;

use crate::harness::kafka;
use crate::harness::wait::PATIENCE;
use crate::log_contract::record;

/// What the tables would hold: positions and rows change together, as in a commit.
#[derive(Default)]
struct Tables {
    positions: Positions,
    rows: HashMap<Bytes, usize>,
}

/// A writer until it is told to leave: it commits each batch at once.
async fn write(
    settings: KafkaSettings,
    tables: Arc<Mutex<Tables>>,
    assigned: Arc<AtomicUsize>,
    leave: Arc<AtomicBool>,
) {
    let mut reader = KafkaReader::connect(settings, Membership::Group).await.unwrap();
    while !leave.load(Ordering::Relaxed) {
        match reader.next(64 << 10, Duration::from_millis(50)).await.unwrap() {
            Polled::Assigned(_) => {
                assigned.fetch_add(1, Ordering::Relaxed);
                let positions = tables.lock().unwrap().positions.clone();
                reader.start(&positions).await.unwrap();
            }
            Polled::Events(batches) => {
                let mut tables = tables.lock().unwrap();
                for batch in batches {
                    let held = tables.positions.get(&batch.partition);
                    assert!(held.is_none_or(|held| held < batch.range.first), "{held:?}");
                    tables.positions.advance(batch.partition.clone(), batch.range.last);
                    for event in batch.events {
                        *tables.rows.entry(event.body).or_default() += 1;
                    }
                }
            }
            // Everything is committed already.
            Polled::Revoked(_) | Polled::Idle => {}
        }
    }
}

/// Three writers join one after the other, and two of them leave again, while events are sent.
async fn come_and_go(strategy: &str) {
    let topic_prefix = kafka::topic_prefix();
    let settings = KafkaSettings {
        brokers: kafka::shared(),
        group: format!("{topic_prefix}write"),
        topic_prefix,
        partitions: 3,
        options: [("partition.assignment.strategy".to_owned(), strategy.to_owned())].into(),
        ..KafkaSettings::default()
    };
    let log = KafkaLog::connect(settings.clone()).await.unwrap();
    let tables = Arc::new(Mutex::new(Tables::default()));
    let assigned = Arc::new(AtomicUsize::new(0));
    let mut writers: Vec<(Arc<AtomicBool>, JoinHandle<()>)> = Vec::new();
    let start = Instant::now();
    let mut sent = 0;
    for change in 0..5 {
        let seen = assigned.load(Ordering::Relaxed);
        if change < 3 {
            let leave = Arc::new(AtomicBool::new(false));
            let writer = write(settings.clone(), tables.clone(), assigned.clone(), leave.clone());
            writers.push((leave, tokio::spawn(writer)));
        } else {
            let (leave, writer) = writers.remove(0);
            leave.store(true, Ordering::Relaxed);
            writer.await.unwrap();
        }
        while assigned.load(Ordering::Relaxed) == seen {
            assert!(start.elapsed() < PATIENCE, "{strategy}: no rebalance at change {change}");
            let body = |n: usize| record(n % 4, &format!("k{n}"), n.to_string());
            log.append((sent..sent + 50).map(body).collect()).await.unwrap();
            sent += 50;
            assert!(
                writers.iter().all(|(_, writer)| !writer.is_finished()),
                "{strategy}: one failed"
            );
        }
    }
    while tables.lock().unwrap().rows.len() < sent {
        let rows = tables.lock().unwrap().rows.len();
        assert!(start.elapsed() < PATIENCE, "{strategy}: {rows} of {sent} events came");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for (leave, writer) in writers {
        leave.store(true, Ordering::Relaxed);
        writer.await.unwrap();
    }
    let tables = tables.lock().unwrap();
    let twice = tables.rows.values().filter(|count| **count > 1).count();
    assert_eq!((tables.rows.len(), twice), (sent, 0), "{strategy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn eager_writers_come_and_go_and_each_event_is_handed_out_once() {
    come_and_go("range,roundrobin").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cooperative_writers_come_and_go_and_each_event_is_handed_out_once() {
    come_and_go("cooperative-sticky").await;
}
