//! What only the log over Kafka meets: other producers, gaps, rebalances, brokers that go away, and
//! records that are gone before they were read.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use ringlake_ingest::log::{
    KafkaLog, KafkaReader, KafkaSettings, Log, LogError, LogReader, Mark, Marks, Membership,
    NewRecord, Polled,
};
use ringlake_transform::{LogPartition, Positions, SYSTEMS};

use crate::harness::kafka::{self, Broker};
use crate::harness::wait::PATIENCE;
use crate::log_contract::{Place, last_positions, read, record};

fn settings() -> KafkaSettings {
    match Place::kafka() {
        Place::Kafka(settings) => settings,
        Place::Embedded(_) => unreachable!("it was made for Kafka"),
    }
}

fn topic(settings: &KafkaSettings, system: usize) -> String {
    format!("{}{}", settings.topic_prefix, SYSTEMS[system].name())
}

async fn reader(settings: &KafkaSettings) -> KafkaReader {
    KafkaReader::connect(settings.clone(), Membership::Group).await.unwrap()
}

/// Runs `kcat` with this input.
fn pipe(input: &str, arguments: &[&str]) {
    let mut kcat = kafka::kcat().args(arguments).stdin(Stdio::piped()).spawn().unwrap();
    kcat.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(kcat.wait().unwrap().success(), "kcat {arguments:?}");
}

/// Calls `next` until it gives something else than `Idle`.
async fn news(reader: &mut KafkaReader) -> Result<Polled, LogError> {
    let start = Instant::now();
    loop {
        match reader.next(1 << 20, Duration::from_millis(200)).await {
            Ok(Polled::Idle) => assert!(start.elapsed() < PATIENCE, "nothing came"),
            other => return other,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_other_producers_are_taken_as_they_are() {
    let settings = settings();
    let mut reader = reader(&settings).await;
    let topic = topic(&settings, 1);
    kafka::produce(&settings.brokers, &topic, &["{\"plain\": 1}", "not json at all"]);
    // A key with no value: what a compacted topic calls a deletion.
    pipe("k;", &["-P", "-b", &settings.brokers, "-t", &topic, "-K", ";", "-Z"]);

    let before = now();
    let events = read(&mut reader, &Positions::default(), 3).await;
    let mut bodies: Vec<_> = events.iter().map(|(_, event)| event.body.clone()).collect();
    bodies.sort();
    assert_eq!(bodies, [&b""[..], b"not json at all", b"{\"plain\": 1}"]);
    for (_, event) in &events {
        assert_eq!(event.route, None);
        assert!((before - event.received_at).abs() < 600_000_000, "the record's own time counts");
    }
}

/// Producers choose their own compression. What this build cannot unpack must not be skipped.
#[tokio::test(flavor = "multi_thread")]
async fn compressed_records_are_read_or_refused_by_name() {
    let settings = KafkaSettings { partitions: 1, ..settings() };
    let mut reader = reader(&settings).await;
    let topic = topic(&settings, 0);
    let produce = |codec: &str| {
        let body = format!("{codec}-{:0500}", 7);
        pipe(&body, &["-P", "-b", &settings.brokers, "-t", &topic, "-z", codec]);
    };
    let known = ["none", "lz4", "snappy", "gzip"];
    for codec in known {
        produce(codec);
    }
    let events = read(&mut reader, &Positions::default(), known.len()).await;
    for ((_, event), codec) in events.iter().zip(known) {
        assert!(event.body.starts_with(format!("{codec}-000").as_bytes()), "{codec}");
    }
    produce("zstd");
    let error = news(&mut reader).await.err().expect("zstd is not compiled in");
    assert_eq!(
        error.to_string(),
        format!(
            "records in kafka at {} are compressed in a way that this build cannot unpack",
            settings.brokers
        )
    );
    assert!(news(&mut reader).await.is_err(), "nothing may be skipped");
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap()
}

/// Transactions leave markers that take an offset each, and aborted records that must not be read.
#[tokio::test(flavor = "multi_thread")]
async fn gaps_in_the_offsets_are_no_trouble() {
    let settings = KafkaSettings { partitions: 1, ..settings() };
    let mut reader = reader(&settings).await;
    let topic = topic(&settings, 0);
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", &settings.brokers)
        .set("transactional.id", &settings.group)
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    for n in 0..6 {
        producer.begin_transaction().unwrap();
        let body = n.to_string();
        producer.send(BaseRecord::<(), str>::to(&topic).payload(&body)).unwrap();
        producer.flush(PATIENCE).unwrap();
        match n % 3 {
            2 => producer.abort_transaction(PATIENCE).unwrap(),
            _ => producer.commit_transaction(PATIENCE).unwrap(),
        }
    }
    let events = read(&mut reader, &Positions::default(), 4).await;
    let bodies: Vec<&[u8]> = events.iter().map(|(_, event)| event.body.as_ref()).collect();
    assert_eq!(bodies, [b"0", b"1", b"3", b"4"]);
    let offsets: Vec<i64> = events.iter().map(|(_, event)| event.offset).collect();
    assert_eq!(offsets, [0, 2, 6, 8]);
    // From a position in front of a gap it goes on behind it.
    reader.start(&last_positions(&events[..2].to_vec())).await.unwrap();
    let Polled::Events(batches) = news(&mut reader).await.unwrap() else { panic!() };
    assert_eq!(batches[0].range.first, 6);
}

/// Two readers share the partitions; each event is read by one of them, from the position that the
/// first one had reached.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_reader_takes_over_where_the_tables_are() {
    let settings = settings();
    let log = KafkaLog::connect(settings.clone()).await.unwrap();
    let send = async |range: std::ops::Range<usize>| {
        let records = range.map(|n| record(n % 4, &format!("k{n}"), format!("{n}")));
        log.append(records.collect()).await.unwrap();
    };
    send(0..200).await;
    let mut first = reader(&settings).await;
    let held = last_positions(&read(&mut first, &Positions::default(), 200).await);

    let mut second = reader(&settings).await;
    let start = Instant::now();
    let mut revoked = false;
    let (mut of_first, mut of_second) = (Vec::new(), Vec::new());
    while of_first.is_empty() || of_second.is_empty() {
        assert!(start.elapsed() < PATIENCE, "no rebalance: {of_first:?} {of_second:?}");
        for (reader, parts) in [(&mut first, &mut of_first), (&mut second, &mut of_second)] {
            match reader.next(1 << 20, Duration::from_millis(100)).await.unwrap() {
                Polled::Assigned(assigned) => {
                    reader.start(&held).await.unwrap();
                    *parts = assigned;
                }
                Polled::Revoked(_) => {
                    revoked = true;
                    parts.clear();
                }
                Polled::Events(batches) => panic!("read again: {}", batches[0].partition),
                Polled::Idle => {}
            }
        }
    }
    assert!(revoked);
    let all: BTreeSet<&LogPartition> = of_first.iter().chain(&of_second).collect();
    assert_eq!((all.len(), of_first.len() + of_second.len()), (12, 12));

    send(200..400).await;
    let mut bodies = BTreeSet::new();
    let mut count = 0;
    while count < 200 {
        assert!(start.elapsed() < PATIENCE, "only {count} events came");
        for reader in [&mut first, &mut second] {
            let polled = reader.next(1 << 20, Duration::from_millis(100)).await.unwrap();
            if let Polled::Events(batches) = polled {
                for event in batches.into_iter().flat_map(|batch| batch.events) {
                    bodies.insert(event.body);
                    count += 1;
                }
            }
        }
    }
    assert_eq!((count, bodies.len()), (200, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_leaves_hands_its_partitions_on() {
    let settings = settings();
    let mut first = reader(&settings).await;
    read(&mut first, &Positions::default(), 0).await;
    drop(first);
    let mut second = reader(&settings).await;
    let Polled::Assigned(parts) = news(&mut second).await.unwrap() else { panic!() };
    assert_eq!(parts.len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_alone_sees_everything_and_disturbs_nobody() {
    let settings = settings();
    let log = KafkaLog::connect(settings.clone()).await.unwrap();
    log.append((0..20).map(|n| record(n % 4, "k", n.to_string())).collect()).await.unwrap();
    let mut member = reader(&settings).await;
    read(&mut member, &Positions::default(), 20).await;
    let mut alone = KafkaReader::connect(settings.clone(), Membership::Alone).await.unwrap();
    assert_eq!(read(&mut alone, &Positions::default(), 20).await.len(), 20);
    let polled = member.next(1 << 20, Duration::from_secs(1)).await.unwrap();
    assert!(matches!(polled, Polled::Idle));
}

/// Retention passed the reader while it was away: what is gone must not be skipped in silence.
#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_gone_are_named() {
    let settings = KafkaSettings { partitions: 1, ..settings() };
    let log = KafkaLog::connect(settings.clone()).await.unwrap();
    log.append((0..10).map(|n| record(0, "k", n.to_string())).collect()).await.unwrap();
    let partition = LogPartition::new(topic(&settings, 0), 0);
    let mut reader = reader(&settings).await;
    read(&mut reader, &Positions::default(), 10).await;

    kafka::delete_before(&settings.brokers, &partition.topic, 0, 6).await;
    let at = |position| -> Positions { [(partition.clone(), position)].into_iter().collect() };
    reader.start(&at(5)).await.unwrap();
    let error = reader.start(&at(4)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the tables hold {partition} up to offset 4, but the log has offsets 6 to 9 there")
    );
    // Without a position, as for a rebuild, it begins with what there is.
    reader.start(&Positions::default()).await.unwrap();
    let Polled::Events(batches) = news(&mut reader).await.unwrap() else { panic!() };
    assert_eq!(batches[0].range.first, 6);
}

/// The topic was deleted and made anew, and holds more by now than the tables had of the old one: nothing
/// but its records tells.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_anew_is_recognised_though_it_has_grown_past() {
    let settings = KafkaSettings { partitions: 1, ..settings() };
    let log = KafkaLog::connect(settings.clone()).await.unwrap();
    let at = |time: i64| NewRecord { received_at: time, ..record(0, "k", time.to_string()) };
    log.append((0..5).map(at).collect()).await.unwrap();
    let mut first = reader(&settings).await;
    let events = read(&mut first, &Positions::default(), 5).await;
    let (partition, marked) = &events[3];
    let held: Positions = [(partition.clone(), 3)].into_iter().collect();
    let mark = Mark { offset: marked.offset, received_at: marked.received_at };
    let marks: Marks = [(partition.clone(), mark)].into_iter().collect();
    first.expect(marks.clone());
    first.start(&held).await.unwrap();
    let Polled::Events(batches) = news(&mut first).await.unwrap() else { panic!() };
    assert_eq!(batches[0].range.first, 4, "the same log is read on, and the mark not handed out");
    drop(first);
    drop(log);

    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &settings.brokers).create().unwrap();
    admin.delete_topics(&[&partition.topic], &AdminOptions::new()).await.unwrap();
    let start = Instant::now();
    loop {
        let log = KafkaLog::connect(settings.clone()).await.unwrap();
        if log.append((100..110).map(at).collect()).await.is_ok() {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "the topic was not made anew");
    }
    let mut second = reader(&settings).await;
    let error = loop {
        match news(&mut second).await {
            Ok(Polled::Assigned(_)) => {
                second.expect(marks.clone());
                second.start(&held).await.unwrap();
            }
            Ok(Polled::Events(_)) => panic!("the new log was taken for the old one"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(
        error.to_string(),
        format!(
            "{partition} is not the log that the tables were written from: at offset 3 it has another record"
        )
    );
    assert!(error.hint().contains("made anew"), "{}", error.hint());
    assert!(matches!(news(&mut second).await, Ok(Polled::Assigned(_))), "nothing more is read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_goes_away_is_waited_for() {
    let mut broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let settings = KafkaSettings {
        brokers: broker.address(),
        delivery_timeout: Duration::from_secs(3),
        ..settings()
    };
    let log = KafkaLog::connect(settings.clone()).await.unwrap();
    log.append(vec![record(0, "k", "before")]).await.unwrap();
    let mut reader = reader(&settings).await;
    let first = read(&mut reader, &Positions::default(), 1).await;
    assert_eq!(first[0].1.body.as_ref(), b"before");

    broker.kill();
    let start = Instant::now();
    let error = log.append(vec![record(0, "k", "during")]).await.unwrap_err();
    assert!(error.is_temporary(), "{error}");
    assert!(start.elapsed() < Duration::from_secs(9), "a vendor would have given up");
    assert!(log.ready().await.is_err());
    let polled = reader.next(1 << 20, Duration::from_millis(500)).await;
    assert!(matches!(polled, Ok(Polled::Idle)), "a reader waits");

    let mut broker = tokio::task::spawn_blocking(move || {
        broker.restart();
        broker
    })
    .await
    .unwrap();
    let start = Instant::now();
    while let Err(error) = log.append(vec![record(0, "k", "after")]).await {
        assert!(start.elapsed() < PATIENCE, "{error}");
    }
    let mut bodies = Vec::new();
    while bodies.last().is_none_or(|body: &bytes::Bytes| body.as_ref() != b"after") {
        assert!(start.elapsed() < PATIENCE, "the reader did not go on");
        // It may lose its place in the group meanwhile and get it again.
        match news(&mut reader).await.unwrap() {
            Polled::Assigned(_) => reader.start(&last_positions(&first)).await.unwrap(),
            Polled::Events(batches) => {
                bodies.extend(batches.into_iter().flat_map(|b| b.events).map(|event| event.body));
            }
            Polled::Revoked(_) | Polled::Idle => {}
        }
    }
    assert!(bodies.iter().all(|body| body.as_ref() != b"before"), "read twice");
    broker.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_comes_later_is_found() {
    let broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let address = broker.address();
    let mut broker = tokio::task::spawn_blocking(move || {
        let mut broker = broker;
        broker.kill();
        broker
    })
    .await
    .unwrap();
    let settings =
        KafkaSettings { brokers: address, delivery_timeout: Duration::from_secs(1), ..settings() };
    let log = KafkaLog::connect(settings.clone()).await.unwrap();
    let mut reader = reader(&settings).await;
    assert!(log.append(vec![record(0, "k", "early")]).await.is_err());
    let broker = tokio::task::spawn_blocking(move || {
        broker.restart();
        broker
    })
    .await
    .unwrap();
    let start = Instant::now();
    while let Err(error) = log.append(vec![record(0, "k", "late")]).await {
        assert!(start.elapsed() < PATIENCE, "{error}");
    }
    let events = read(&mut reader, &Positions::default(), 1).await;
    assert!(["early", "late"].map(str::as_bytes).contains(&events[0].1.body.as_ref()));
    drop(broker);
}
