//! The two halves over a real Kafka: HTTP and another producer in, the writer killed twice, and every
//! event in the tables once.

use std::collections::HashSet;

use crate::harness::events::{self, Event, Sender};
use crate::harness::process::Place;
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
