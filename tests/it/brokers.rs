//! Brokers that fail in ways that leave a sender in doubt: one of three dies, and one answers too late.
//!
//! In both cases a record may lie in the log although its sender was told that it does not, and lie there
//! twice once it has sent it again. Nothing that was acknowledged may be missing, and each event makes one
//! row.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ringlake_ingest::log::{KafkaLog, KafkaReader, KafkaSettings, Log, Membership, NewRecord};
use ringlake_transform::systems::by_name;
use ringlake_transform::{Flattener, LogPartition, OffsetRange, Positions, RawBatch, RawEvent};

use crate::harness::kafka::{self, Broker};
use crate::harness::wait::PATIENCE;
use crate::log_contract::{Read, read};

fn settings(brokers: String, replication: i32) -> KafkaSettings {
    let topic_prefix = kafka::topic_prefix();
    KafkaSettings {
        brokers,
        group: format!("{topic_prefix}write"),
        topic_prefix,
        partitions: 3,
        replication,
        delivery_timeout: Duration::from_secs(2),
        ..KafkaSettings::default()
    }
}

/// An event of a system that sends an id.
fn agent(number: usize) -> NewRecord {
    let body = include_str!("../fixtures/vonage/agent.presencechanged.v0.json");
    let body = body.replace("2VejGqWZPqHXHVNcfUPUO8IASAp", &format!("event-{number}"));
    NewRecord {
        system: by_name("vonage").unwrap(),
        key: Some(number.to_string()),
        route: None,
        resolution: None,
        received_at: 1_775_000_000_000_001,
        body: body.into(),
    }
}

/// Sends it as a vendor does: again, until it is taken.
async fn send(log: &KafkaLog, number: usize) {
    let start = Instant::now();
    while let Err(error) = log.append(vec![agent(number)]).await {
        assert!(error.is_temporary() && start.elapsed() < PATIENCE, "{error}");
    }
}

/// All that the topics have, in the order of each partition.
async fn everything(settings: &KafkaSettings, log: &KafkaLog) -> Read {
    let start = Instant::now();
    let status = loop {
        match log.status().await {
            Ok(status) => break status,
            Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
        }
    };
    let count =
        status.partitions.iter().map(|partition| partition.next - partition.first).sum::<i64>();
    let mut reader = KafkaReader::connect(settings.clone(), Membership::Alone).await.unwrap();
    read(&mut reader, &Positions::default(), usize::try_from(count).unwrap()).await
}

/// How many rows and repeats the records make.
fn rows_and_repeats(records: &Read) -> (u64, u64) {
    let mut partitions: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (partition, event) in records {
        partitions.entry(partition.clone()).or_default().push(event.clone());
    }
    let system = by_name("vonage").unwrap();
    let batch = |(partition, events): (LogPartition, Vec<RawEvent>)| {
        let (first, last) = (events.first().unwrap(), events.last().unwrap());
        let range = OffsetRange::new(first.offset, last.offset);
        RawBatch { partition, system, range, events }
    };
    let counts = Flattener::default().flatten(partitions.into_iter().map(batch).collect()).counts;
    assert_eq!(counts.dead_lettered, 0);
    (counts.written, counts.repeated)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_brokers_dies_and_nothing_is_lost() {
    let mut brokers = tokio::task::spawn_blocking(Broker::start_three).await.unwrap();
    let addresses: Vec<String> = brokers.iter().map(Broker::address).collect();
    let settings = settings(addresses.join(","), 3);
    let log = KafkaLog::connect(settings.clone()).await.unwrap();
    const EVENTS: usize = 300;
    for number in 0..EVENTS {
        // It leads one partition of three.
        if number == EVENTS / 3 {
            brokers.remove(0).kill();
        }
        send(&log, number).await;
    }
    let records = everything(&settings, &log).await;
    let bodies: BTreeSet<_> = records.iter().map(|(_, event)| event.body.clone()).collect();
    assert_eq!(bodies, (0..EVENTS).map(|number| agent(number).body).collect());
    let (rows, repeats) = rows_and_repeats(&records);
    assert_eq!((rows as usize, repeats as usize), (EVENTS, records.len() - EVENTS));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_after_its_time_was_over_makes_one_row() {
    let broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let settings = settings(broker.address(), 1);
    let log = KafkaLog::connect(settings.clone()).await.unwrap();
    send(&log, 0).await;
    send(&log, 0).await;
    broker.pause();
    let error = log.append(vec![agent(1)]).await.unwrap_err();
    assert!(error.is_temporary(), "{error}");
    broker.resume();
    // What it was sent before lies in its socket.
    let start = Instant::now();
    while everything(&settings, &log).await.len() < 3 {
        assert!(start.elapsed() < PATIENCE, "the record was not stored after all");
    }
    send(&log, 1).await;
    let records = everything(&settings, &log).await;
    let (rows, repeats) = rows_and_repeats(&records);
    assert!(repeats >= 2, "the first was sent twice, the second stored twice");
    assert_eq!((rows, repeats as usize), (2, records.len() - 2));
}
