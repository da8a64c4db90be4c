//! Being told to stop: once, it finishes and commits within ten seconds; twice, it ends at once. Neither
//! loses anything that was acknowledged.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::harness::events::{self, Event, Sender};
use crate::harness::process::{Place, Running, Server};
use crate::harness::tables;
use crate::harness::wait::{wait_for, wait_until};

const SENDERS: usize = 4;

/// Sends events until the door is gone; returns those that were acknowledged.
fn send(
    sender: &Sender,
    address: SocketAddr,
    all: &Mutex<std::slice::Iter<'_, Event>>,
) -> Vec<Event> {
    let mut acknowledged = Vec::new();
    loop {
        let Some(event) = all.lock().unwrap().next().cloned() else { return acknowledged };
        match sender.post(address, std::slice::from_ref(&event)) {
            Ok(answer) if answer.status == 200 => acknowledged.push(event),
            Ok(answer) => assert!([503, 429].contains(&answer.status), "{answer:?}"),
            Err(_) => return acknowledged,
        }
    }
}

fn tell(running: &Running) {
    let told = Command::new("kill").arg(running.pid().to_string()).status().unwrap();
    assert!(told.success());
}

/// Senders at work, a connection that says nothing, and one in the middle of a body; then `stop`.
/// Returns what was acknowledged.
fn stopped_under_load(
    place: &Place,
    server: &mut Server,
    stop: impl Fn(&mut Server),
) -> Vec<Event> {
    let sender = Sender::new(place);
    let address = server.address;
    let _silent = TcpStream::connect(address).unwrap();
    let mut slow = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n[",
        place.route("freshcaller")
    );
    slow.write_all(head.as_bytes()).unwrap();
    let events = events::simulated(place, 11, 30_000);
    let all = Mutex::new(events.iter());
    std::thread::scope(|scope| {
        let senders: Vec<_> =
            (0..SENDERS).map(|_| scope.spawn(|| send(&sender, address, &all))).collect();
        wait_until("some batches to be committed", || tables::batches(place) >= 3);
        stop(server);
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    })
}

#[test]
fn told_once_it_commits_what_it_acknowledged_within_ten_seconds() {
    let _alone = crate::alone();
    let place = Place::new();
    let mut server = place.serve(&["serve"]);
    let acknowledged = stopped_under_load(&place, &mut server, |server| {
        let start = Instant::now();
        tell(&server.running);
        assert_eq!(server.running.wait_end(), Some(0), "it stops in good order");
        println!("stopped within {:?}", start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(10), "it took {:?}", start.elapsed());
    });
    assert!(acknowledged.len() > 100, "{} events", acknowledged.len());
    // With no further start: nothing is left in the log alone.
    assert!(tables::events_written(&place) >= acknowledged.len());
    everything_is_there(&place, &acknowledged);
}

#[test]
fn told_twice_it_ends_at_once_and_the_next_start_writes_the_rest() {
    let _alone = crate::alone();
    let place = Place::new();
    let mut server = place.serve(&["serve"]);
    let acknowledged = stopped_under_load(&place, &mut server, |server| {
        tell(&server.running);
        // The slow body keeps the door from closing, so that there is something to cut short.
        wait_until("the first signal to be heard", || {
            server.running.messages().contains("a second signal stops at once")
        });
        let start = Instant::now();
        tell(&server.running);
        assert_eq!(server.running.wait_end(), Some(1), "it says that it did not finish");
        println!("stopped at once within {:?}", start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(2), "it took {:?}", start.elapsed());
    });
    let _server = place.serve_at(server.address, &["serve"]);
    wait_for("what was acknowledged to be written", || {
        (tables::events_written(&place) >= acknowledged.len()).then_some(())
    });
    everything_is_there(&place, &acknowledged);
}

/// An event that was sent but not answered may be there too; what was answered has to be.
fn everything_is_there(place: &Place, acknowledged: &[Event]) {
    let expected = tables::reference(acknowledged);
    wait_until("every acknowledged event to be there", || {
        let found = tables::contents(place);
        ["calls", "channel_events", "agent_events", "contacts", "deals", "tasks"].iter().all(
            |table| {
                let here: std::collections::HashSet<_> = found[table].iter().collect();
                expected[table].iter().all(|row| here.contains(row))
            },
        )
    });
    tables::positions(place);
}
