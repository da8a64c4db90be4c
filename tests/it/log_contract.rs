//! What both logs promise, as one suite that each of them runs: the embedded log on a folder of its
//! own, the Kafka log on topics of its own at the real broker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ringlake_ingest::DataLock;
use ringlake_ingest::log::{
    EmbeddedLog, EmbeddedSettings, KafkaLog, KafkaReader, KafkaSettings, Log, LogError, LogReader,
    MAX_EVENT_BYTES, Membership, NewRecord, Polled,
};
use ringlake_transform::{LogPartition, Positions, RawEvent, Resolution, SYSTEMS};

use crate::harness::kafka;
use crate::harness::wait::PATIENCE;

/// Where a log lies; it outlives the log that is opened on it.
pub enum Place {
    Embedded(tempfile::TempDir),
    Kafka(KafkaSettings),
}

/// A log and how to read it.
pub struct Opened {
    pub log: Arc<dyn Log>,
    embedded: Option<Arc<EmbeddedLog>>,
    kafka: Option<KafkaSettings>,
}

pub type Read = Vec<(LogPartition, RawEvent)>;

impl Place {
    fn embedded() -> Self {
        Self::Embedded(tempfile::tempdir().unwrap())
    }

    pub fn kafka() -> Self {
        let topic_prefix = kafka::topic_prefix();
        Self::Kafka(KafkaSettings {
            brokers: kafka::shared(),
            group: format!("{topic_prefix}write"),
            topic_prefix,
            partitions: 3,
            ..KafkaSettings::default()
        })
    }

    pub async fn open(&self) -> Opened {
        match self {
            Self::Embedded(folder) => {
                let lock = Arc::new(DataLock::acquire(folder.path()).unwrap());
                let log = EmbeddedLog::open(&lock, EmbeddedSettings::default()).unwrap();
                let log = Arc::new(log);
                Opened { log: log.clone(), embedded: Some(log), kafka: None }
            }
            Self::Kafka(settings) => {
                let log = KafkaLog::connect(settings.clone()).await.unwrap();
                Opened { log: Arc::new(log), embedded: None, kafka: Some(settings.clone()) }
            }
        }
    }
}

impl Opened {
    pub async fn reader(&self) -> Box<dyn LogReader> {
        match (&self.embedded, &self.kafka) {
            (Some(log), _) => Box::new(log.reader()),
            (_, Some(settings)) => {
                Box::new(KafkaReader::connect(settings.clone(), Membership::Group).await.unwrap())
            }
            _ => unreachable!("a log is of one kind"),
        }
    }

    /// Reads `count` events behind the positions, and finds that there are no more.
    async fn read(&self, positions: &Positions, count: usize) -> Read {
        let mut reader = self.reader().await;
        let events = read(reader.as_mut(), positions, count).await;
        assert_eq!(events.len(), count, "more came than was appended");
        if count > 0 {
            let more = reader.next(1 << 20, Duration::from_millis(100)).await.unwrap();
            assert!(matches!(more, Polled::Idle), "more came than was appended");
        }
        events
    }
}

/// Answers assignments with these positions and collects until `count` events have come.
pub async fn read(reader: &mut dyn LogReader, positions: &Positions, count: usize) -> Read {
    let start = Instant::now();
    let mut events = Vec::new();
    let mut started = false;
    while events.len() < count || !started {
        assert!(start.elapsed() < PATIENCE, "only {} of {count} events came", events.len());
        match reader.next(1 << 20, Duration::from_millis(500)).await.unwrap() {
            Polled::Events(batches) => {
                for batch in batches {
                    assert_eq!(batch.range.first, batch.events.first().unwrap().offset);
                    assert_eq!(batch.range.last, batch.events.last().unwrap().offset);
                    assert!(batch.partition.topic.ends_with(batch.system.name()));
                    let partition = batch.partition;
                    events.extend(batch.events.into_iter().map(|event| (partition.clone(), event)));
                }
            }
            Polled::Assigned(_) => {
                reader.start(positions).await.unwrap();
                started = true;
            }
            Polled::Revoked(_) | Polled::Idle => {}
        }
    }
    events
}

pub fn record(system: usize, key: &str, body: impl Into<Bytes>) -> NewRecord {
    NewRecord {
        system: SYSTEMS[system],
        key: Some(key.to_owned()),
        route: None,
        resolution: None,
        received_at: 1_775_000_000_000_001,
        body: body.into(),
    }
}

fn bodies(events: &Read) -> Vec<String> {
    events.iter().map(|(_, event)| String::from_utf8(event.body.to_vec()).unwrap()).collect()
}

pub fn last_positions(events: &Read) -> Positions {
    events.iter().map(|(partition, event)| (partition.clone(), event.offset)).collect()
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

async fn what_is_appended_is_read(place: Place) {
    let opened = place.open().await;
    let odd: Vec<u8> = (0..=255).collect();
    let resolution: Resolution = "retry 1775000000000002 import:00/0/7".parse().unwrap();
    let sent = vec![
        NewRecord { route: Some("hangup".into()), ..record(3, "call:1", odd.clone()) },
        NewRecord { key: None, received_at: 7, ..record(0, "", &b"{\"a\": 1}"[..]) },
        record(1, "deal:1", Bytes::new()),
        NewRecord {
            resolution: Some(Arc::new(resolution.clone())),
            ..record(2, "letter", "again")
        },
    ];
    opened.log.append(sent).await.unwrap();
    let events = opened.read(&Positions::default(), 4).await;
    let of = |system: usize| {
        let topic = |(partition, _): &&(LogPartition, RawEvent)| {
            partition.topic.ends_with(SYSTEMS[system].name())
        };
        events.iter().find(topic).map(|(_, event)| event).unwrap()
    };
    assert_eq!(of(3).body, odd);
    assert_eq!(of(3).route.as_deref(), Some("hangup"));
    assert_eq!(of(3).received_at, 1_775_000_000_000_001);
    assert_eq!((of(0).body.as_ref(), of(0).received_at), (&b"{\"a\": 1}"[..], 7));
    assert_eq!(of(0).route, None);
    assert!(of(1).body.is_empty());
    assert_eq!(of(1).resolution, None);
    assert_eq!(of(2).resolution.as_deref(), Some(&resolution));
}

async fn events_of_one_key_stay_in_order(place: Place) {
    let opened = place.open().await;
    for n in 0..20 {
        let records = (0..5).map(|key| record(0, &format!("call:{key}"), format!("{key} {n:02}")));
        opened.log.append(records.collect()).await.unwrap();
    }
    let events = opened.read(&Positions::default(), 100).await;
    let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut partitions: BTreeMap<String, BTreeSet<LogPartition>> = BTreeMap::new();
    for ((partition, _), body) in events.iter().zip(bodies(&events)) {
        let (key, n) = body.split_once(' ').unwrap();
        by_key.entry(key.to_owned()).or_default().push(n.to_owned());
        partitions.entry(key.to_owned()).or_default().insert(partition.clone());
    }
    let expected: Vec<String> = (0..20).map(|n| format!("{n:02}")).collect();
    assert_eq!(by_key.len(), 5);
    assert!(by_key.values().all(|numbers| *numbers == expected), "{by_key:?}");
    assert!(partitions.values().all(|partitions| partitions.len() == 1), "{partitions:?}");
}

async fn offsets_grow_and_survive_a_restart(place: Place) {
    let opened = place.open().await;
    opened.log.append((0..10).map(|n| record(0, "k", n.to_string())).collect()).await.unwrap();
    let before = opened.read(&Positions::default(), 10).await;
    let status = opened.log.status().await.unwrap();
    drop(opened);

    let opened = place.open().await;
    assert_eq!(ends(&opened.log.status().await.unwrap()), ends(&status));
    opened.log.append((10..20).map(|n| record(0, "k", n.to_string())).collect()).await.unwrap();
    let events = opened.read(&Positions::default(), 20).await;
    let offsets: Vec<i64> = events.iter().map(|(_, event)| event.offset).collect();
    assert!(offsets.is_sorted_by(|a, b| a < b), "{offsets:?}");
    assert_eq!(bodies(&events), (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(bodies(&events)[..10], bodies(&before));
}

fn ends(status: &ringlake_ingest::LogStatus) -> Vec<(LogPartition, i64)> {
    let ends = status.partitions.iter().map(|held| (held.partition.clone(), held.next));
    ends.collect()
}

async fn reading_starts_behind_the_position(place: Place) {
    let opened = place.open().await;
    for n in 0..30 {
        let record = record(n % 2, &n.to_string(), format!("{n:02}"));
        opened.log.append(vec![record]).await.unwrap();
    }
    let all = opened.read(&Positions::default(), 30).await;
    let positions = last_positions(&all[..17].to_vec());
    let behind: Vec<String> = {
        let is_behind = |(partition, event): &&(LogPartition, RawEvent)| {
            positions.get(partition).is_none_or(|position| event.offset > position)
        };
        bodies(&all.iter().filter(is_behind).cloned().collect())
    };
    assert!(!behind.is_empty() && behind.len() < 30);
    let read = opened.read(&positions, behind.len()).await;
    assert_eq!(sorted(bodies(&read)), sorted(behind));
    // At the very end there is nothing, and that is no error.
    assert!(opened.read(&last_positions(&all), 0).await.is_empty());
}

async fn a_reader_can_be_started_again(place: Place) {
    let opened = place.open().await;
    opened.log.append((0..5).map(|n| record(0, "k", n.to_string())).collect()).await.unwrap();
    let mut reader = opened.reader().await;
    let first = read(reader.as_mut(), &Positions::default(), 5).await;
    reader.start(&last_positions(&first[..2].to_vec())).await.unwrap();
    let again = read_started(reader.as_mut(), 3).await;
    assert_eq!(bodies(&again), ["2", "3", "4"]);
}

async fn read_started(reader: &mut dyn LogReader, count: usize) -> Read {
    let start = Instant::now();
    let mut events = Vec::new();
    while events.len() < count {
        assert!(start.elapsed() < PATIENCE, "only {} of {count} events came", events.len());
        let Polled::Events(batches) = reader.next(1 << 20, Duration::from_secs(1)).await.unwrap()
        else {
            continue;
        };
        for batch in batches {
            let partition = batch.partition;
            events.extend(batch.events.into_iter().map(|event| (partition.clone(), event)));
        }
    }
    events
}

async fn a_reader_waits_and_is_woken(place: Place) {
    let opened = place.open().await;
    let mut reader = opened.reader().await;
    read(reader.as_mut(), &Positions::default(), 0).await;
    let idle = reader.next(1 << 20, Duration::from_millis(50)).await.unwrap();
    assert!(matches!(idle, Polled::Idle));
    let waiting = tokio::spawn(async move {
        let start = Instant::now();
        let polled = reader.next(1 << 20, PATIENCE).await.unwrap();
        (matches!(polled, Polled::Events(_)), start.elapsed())
    });
    opened.log.append(vec![record(2, "k", "wake up")]).await.unwrap();
    let (woken, after) = waiting.await.unwrap();
    assert!(woken && after < PATIENCE / 2, "woken: {woken}, after {after:?}");
}

async fn a_position_the_log_does_not_have_is_an_error(place: Place) {
    let opened = place.open().await;
    opened.log.append(vec![record(0, "k", "only one")]).await.unwrap();
    let events = opened.read(&Positions::default(), 1).await;
    let (partition, _) = events.first().unwrap();
    let beyond: Positions = [(partition.clone(), 1000)].into_iter().collect();
    let mut reader = opened.reader().await;
    let error = loop {
        if let Polled::Assigned(_) = reader.next(1 << 20, Duration::from_secs(1)).await.unwrap() {
            break reader.start(&beyond).await.unwrap_err();
        }
    };
    assert_eq!(
        error.to_string(),
        format!(
            "the tables hold {partition} up to offset 1000, but the log has offsets 0 to 0 there"
        )
    );
    // Nothing is read until it is started with positions that can be served.
    let polled = reader.next(1 << 20, Duration::from_millis(100)).await.unwrap();
    assert!(matches!(polled, Polled::Assigned(_)));
}

async fn what_is_released_is_known(place: Place) {
    let opened = place.open().await;
    opened.log.append((0..10).map(|n| record(1, "k", n.to_string())).collect()).await.unwrap();
    let mut reader = opened.reader().await;
    let events = read(reader.as_mut(), &Positions::default(), 10).await;
    let (partition, event) = &events[6];
    let positions: Positions = [(partition.clone(), event.offset)].into_iter().collect();
    reader.release(&positions).await.unwrap();
    let start = Instant::now();
    loop {
        // The commit to the broker goes with the polling.
        reader.next(1 << 20, Duration::from_millis(50)).await.unwrap();
        let status = opened.log.status().await.unwrap();
        let held = status.partitions.iter().find(|held| held.partition == *partition).unwrap();
        if held.released == Some(event.offset) {
            assert_eq!(held.lag(), Some(3));
            break;
        }
        assert!(start.elapsed() < PATIENCE, "{held:?}");
    }
    drop(reader);
    // What was released decides nothing: the tables' position does.
    opened.read(&Positions::default(), 10).await;
}

async fn the_largest_event_passes_and_a_larger_one_does_not(place: Place) {
    let opened = place.open().await;
    let noise = |len: usize| -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        };
        (0..len).map(|_| next()).collect()
    };
    let largest = noise(MAX_EVENT_BYTES);
    opened.log.append(vec![record(0, "k", largest.clone())]).await.unwrap();
    let error = opened.log.append(vec![record(0, "k", noise(MAX_EVENT_BYTES + 1))]).await;
    assert!(matches!(error, Err(LogError::TooLarge { .. })));
    let events = opened.read(&Positions::default(), 1).await;
    assert!(events[0].1.body == largest);
}

async fn many_appends_at_once_are_each_kept_once(place: Place) {
    let opened = place.open().await;
    let tasks = (0..50).map(|task| {
        let log = opened.log.clone();
        tokio::spawn(async move {
            for n in 0..20 {
                let record = record(n % SYSTEMS.len(), &task.to_string(), format!("{task} {n}"));
                log.append(vec![record]).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let events = opened.read(&Positions::default(), 1000).await;
    let distinct: BTreeSet<String> = bodies(&events).into_iter().collect();
    assert_eq!(distinct.len(), 1000);
    let places: BTreeSet<_> = events.iter().map(|(at, event)| (at.clone(), event.offset)).collect();
    assert_eq!(places.len(), 1000);
}

async fn a_batch_is_no_larger_than_asked(place: Place) {
    let opened = place.open().await;
    let body = "x".repeat(10_000);
    let records = (0..40).map(|n| record(0, &n.to_string(), body.clone()));
    opened.log.append(records.collect()).await.unwrap();
    let mut reader = opened.reader().await;
    read(reader.as_mut(), &Positions::default(), 0).await;
    let mut events = 0;
    let start = Instant::now();
    while events < 40 {
        assert!(start.elapsed() < PATIENCE);
        let polled = reader.next(25_000, Duration::from_secs(1)).await.unwrap();
        let Polled::Events(batches) = polled else { continue };
        let count: usize = batches.iter().map(|batch| batch.events.len()).sum();
        assert!((1..=3).contains(&count), "{count} events of 10,000 bytes for 25,000");
        events += count;
    }
}

async fn an_open_log_is_ready(place: Place) {
    let opened = place.open().await;
    let start = Instant::now();
    // A new topic has no leader for a moment.
    while let Err(error) = opened.log.ready().await {
        assert!(start.elapsed() < PATIENCE, "{error}");
    }
    opened.log.append(Vec::new()).await.unwrap();
}

macro_rules! contract {
    ($($case:ident),* $(,)?) => {
        mod embedded {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    super::$case(super::Place::embedded()).await;
                }
            )*
        }
        mod kafka_broker {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    super::$case(super::Place::kafka()).await;
                }
            )*
        }
    };
}

contract!(
    what_is_appended_is_read,
    events_of_one_key_stay_in_order,
    offsets_grow_and_survive_a_restart,
    reading_starts_behind_the_position,
    a_reader_can_be_started_again,
    a_reader_waits_and_is_woken,
    a_position_the_log_does_not_have_is_an_error,
    what_is_released_is_known,
    the_largest_event_passes_and_a_larger_one_does_not,
    many_appends_at_once_are_each_kept_once,
    a_batch_is_no_larger_than_asked,
    an_open_log_is_ready,
);
