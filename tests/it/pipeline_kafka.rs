//! The two halves over a real Kafka: HTTP and another producer in, the writer killed twice, and every
//! event in the tables once.

use std::collections::HashSet;

use crate::harness::events::{self, Event, Sender};
use crate::harness::process::{Place, Running};
use crate::harness::wait::wait_until;
use crate::harness::{kafka, tables};

const POSTED: usize = 10_000;
const PRODUCED: usize = 2_000;

#[test]
fn every_event_is_written_once_though_the_writer_is_killed_twice() {
    let (broker, prefix) = (kafka::shared(), kafka::topic_prefix());
    let place = || {
        Place::new()
            .with("RINGLAKE_LOG_KAFKA_TOPIC_PREFIX", &prefix)
            .with("RINGLAKE_LOG_KAFKA_GROUP", &prefix)
    };
    // Small batches, so that there are many to be killed between.
    let tables = place()
        .with("RINGLAKE_FLUSH_MAX_BYTES", "512 KiB")
        // How long the group waits for a member that is dead.
        .with("RINGLAKE_LOG_KAFKA_OPTIONS_SESSION_TIMEOUT_MS", "10000");
    let door = place();
    let ingest = door.serve(&["ingest", "--kafka", &broker]);
    let start_writer = || tables.start("write", tables.command(&["write", "--kafka", &broker]));
    let sender = Sender::new(&door);

    let mut posted = events::fixtures();
    posted.extend(events::simulated(&door, 1, POSTED));
    // Without a route nothing tells VoipNow's answer from its hangup: it would be taken for a repeat.
    let mut produced = events::simulated(&door, 2, PRODUCED);
    produced.retain(|event| event.route.as_deref() != Some("answer"));
    let produced: Vec<Event> = produced.into_iter().map(Event::without_route).collect();

    let mut writer = start_writer();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for request in events::requests(&posted) {
                let answer = sender.post(ingest.address, &request).unwrap();
                assert_eq!(answer.status, 200, "{answer:?}");
                assert_eq!(answer.json()["accepted"], request.len());
            }
        });
        scope.spawn(|| produce(&broker, &prefix, &produced));
        for batches in [1, 6] {
            wait_until("the writer to write", || tables::batches(&tables) >= batches);
            writer.kill();
            writer = start_writer();
        }
    });

    let expected = log_positions(&broker, &prefix);
    assert_eq!(expected.len(), posted.len() + produced.len(), "records in the topics");
    let all = expected.len();
    tables::wait_written(&tables, all);
    assert_eq!(writer.stop(), Some(0), "the writer stops when asked to");

    assert_eq!(tables::positions(&tables), expected);
    posted.extend(produced);
    tables::assert_same(&tables::contents(&tables), &tables::reference(&posted));
}

/// How often the writers were given partitions.
fn handed_out(writer: &Running) -> usize {
    writer.messages().matches("the group handed out partitions").count()
}

fn calls(place: &Place, seed: u64, count: usize) -> Vec<Event> {
    events::simulated_with(place, seed, count, &["--repeats", "0", "--system", "freshcaller"])
}

fn bodies(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.body.as_str()).collect()
}

/// One event, sent again into the partitions of another writer than the one that has written it.
#[test]
fn a_repeat_is_one_row_though_another_writer_gets_it() {
    let (broker, prefix) = (kafka::shared(), kafka::topic_prefix());
    let place = Place::new()
        .with("RINGLAKE_LOG_KAFKA_TOPIC_PREFIX", &prefix)
        .with("RINGLAKE_LOG_KAFKA_GROUP", &prefix)
        .with("RINGLAKE_LOG_KAFKA_PARTITIONS", "2");
    let start = |name| place.start(name, place.command(&["write", "--kafka", &broker]));
    let topic = format!("{prefix}freshcaller");
    let (sent, later) = (calls(&place, 1, 60), calls(&place, 2, 20));

    let first = start("first");
    wait_until("partitions", || handed_out(&first) > 0);
    kafka::produce_to(&broker, &topic, 0, &bodies(&sent[..40]));
    kafka::produce_to(&broker, &topic, 1, &bodies(&sent[40..]));
    tables::wait_written(&place, sent.len());
    let before = handed_out(&first);
    let second = start("second");
    wait_until("both to have partitions", || {
        handed_out(&second) > 0 && handed_out(&first) > before
    });

    // Either has a partition of the topic. Each gets all repeats, and something new behind them.
    for (partition, new) in [(0, &later[..10]), (1, &later[10..])] {
        kafka::produce_to(&broker, &topic, partition, &bodies(&sent));
        kafka::produce_to(&broker, &topic, partition, &bodies(new));
    }
    let all: Vec<Event> = sent.into_iter().chain(later).collect();
    tables::wait_written(&place, all.len());
    assert_eq!((first.stop(), second.stop()), (Some(0), Some(0)));
    let contents = tables::contents(&place);
    assert_eq!(tables::events_in(&contents), all.len());
    tables::assert_same(&contents, &tables::reference(&all));
    place.ok(&["verify", "--kafka", &broker]);
}

/// The writer stood still while the topic's retention took what it had not read.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_retention_has_passed_names_what_is_gone_and_stops() {
    let (broker, prefix) = (kafka::shared(), kafka::topic_prefix());
    let place = Place::new()
        .with("RINGLAKE_LOG_KAFKA_TOPIC_PREFIX", &prefix)
        .with("RINGLAKE_LOG_KAFKA_GROUP", &prefix)
        .with("RINGLAKE_LOG_KAFKA_PARTITIONS", "1");
    let topic = format!("{prefix}freshcaller");
    let sent = calls(&place, 3, 50);
    let bodies = bodies(&sent);

    let mut writer = place.start("write", place.command(&["write", "--kafka", &broker]));
    wait_until("partitions", || handed_out(&writer) > 0);
    kafka::produce(&broker, &topic, &bodies[..10]);
    tables::wait_written(&place, 10);
    writer.pause();
    // A fetch that was under way brings the first of these at most.
    kafka::produce(&broker, &topic, &bodies[10..11]);
    kafka::produce(&broker, &topic, &bodies[11..]);
    kafka::delete_before(&broker, &topic, 0, 40).await;
    writer.resume();
    assert_eq!(writer.wait_end(), Some(1), "it must not go on");

    let said = writer.messages();
    let named = |position| {
        said.contains(&format!(
            "the tables hold {topic}/0 up to offset {position}, but the log has offsets 40 to 49 there"
        ))
    };
    assert!(named(9) || named(10), "{said}");
    assert!(said.contains("raise the retention of the topic"), "{said}");
    assert!(tables::events_written(&place) <= 11, "nothing from behind the gap");
    // Nor does it after a restart.
    let again = place.run(&["write", "--kafka", &broker]);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.err.contains("but the log has offsets 40 to 49 there"), "{again:?}");
}

fn produce(broker: &str, prefix: &str, events: &[Event]) {
    for events in events.chunks(200) {
        let systems: HashSet<&str> = events.iter().map(|event| event.system.as_str()).collect();
        for system in systems {
            let of_system = events.iter().filter(|event| event.system == system);
            let bodies: Vec<&str> = of_system.map(|event| event.body.as_str()).collect();
            kafka::produce(broker, &format!("{prefix}{system}"), &bodies);
        }
    }
}

fn log_positions(broker: &str, prefix: &str) -> HashSet<(String, i64, i64)> {
    let mut all = HashSet::new();
    for system in ["freshcaller", "freshsales", "vonage", "voipnow"] {
        let topic = format!("{prefix}{system}");
        let positions = kafka::positions(broker, &topic);
        all.extend(positions.into_iter().map(|(p, offset)| (topic.clone(), p, offset)));
    }
    all
}
