//! Everything in one process over the embedded log: killed while it receives, started again, and what
//! it had not acknowledged sent again. Every event is in the tables once.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::events::{self, Event, Sender};
use crate::harness::process::Place;
use crate::harness::tables;
use crate::harness::wait::{wait_for, wait_until};

const EVENTS: usize = 10_000;
const SENDERS: usize = 4;

#[test]
fn every_event_is_written_once_though_the_server_is_killed_twice() {
    let place = Place::new();
    let mut server = place.serve(&["serve"]);
    let address = server.address;
    let sender = Sender::new(&place);
    let mut sent = events::fixtures();
    // Some of them twice, as networks do: those are one row.
    sent.extend(events::simulated_with(&place, 3, EVENTS, &["--repeats", "2"]));
    let expected = tables::reference(&sent);
    let requests = events::requests(&sent);
    let (waiting, acknowledged) = (Mutex::new(requests.iter()), AtomicUsize::new(0));

    std::thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                while let Some(request) = next(&waiting) {
                    send_until_acknowledged(&sender, address, request);
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for share in [4, 2] {
            wait_until("some requests to be acknowledged", || {
                acknowledged.load(Ordering::Relaxed) >= requests.len() / share
            });
            server.running.kill();
            server = place.serve_at(address, &["serve"]);
        }
    });

    let all = tables::events_in(&expected);
    assert!(all < sent.len(), "there were no repeats among them");
    tables::wait_written(&place, all);
    assert_eq!(server.running.stop(), Some(0), "the server stops when asked to");
    tables::positions(&place);
    tables::assert_same(&tables::contents(&place), &expected);
}

/// Its parent has ended, or what read its messages has: it says what it does to nobody, and does it.
#[test]
fn a_server_that_nobody_reads_writes_events_and_stops_when_told_to() {
    let place = Place::new();
    let server = place.serve_unheard(&["serve", "--log", "debug"]);
    let sent = events::fixtures();
    let sender = Sender::new(&place);
    for request in events::requests(&sent) {
        send_until_acknowledged(&sender, server.address, &request);
    }
    tables::wait_written(&place, tables::events_in(&tables::reference(&sent)));
    assert_eq!(server.running.stop(), Some(0));
}

/// The keys that a repeat is known by are read back from files that were written anew.
#[test]
fn a_repeat_is_known_after_the_files_were_put_together() {
    let place = Place::new().with("RINGLAKE_FLUSH_MAX_BYTES", "16 KiB");
    let mut sent = events::fixtures();
    sent.extend(events::simulated(&place, 4, 400));
    // Without a time of its own an event is a repeat for ten minutes only.
    sent.retain(|event| event.system != "voipnow");
    let sender = Sender::new(&place);
    let post_all = |address| {
        events::requests(&sent)
            .iter()
            .for_each(|request| send_until_acknowledged(&sender, address, request));
    };
    let server = place.serve(&["serve"]);
    post_all(server.address);
    let expected = tables::reference(&sent);
    let all = tables::events_in(&expected);
    tables::wait_written(&place, all);
    assert_eq!(server.running.stop(), Some(0));

    let before = commits(&place);
    place.ok(&["compact"]);
    assert!(commits(&place) > before, "nothing was put together");

    let server = place.serve(&["serve"]);
    post_all(server.address);
    let last = events::unknown();
    send_until_acknowledged(&sender, server.address, std::slice::from_ref(&last));
    tables::wait_written(&place, all + 1);
    assert_eq!(server.running.stop(), Some(0));
    sent.push(last);
    tables::assert_same(&tables::contents(&place), &tables::reference(&sent));
}

fn commits(place: &Place) -> usize {
    std::fs::read_dir(place.data().join("tables/calls/_delta_log")).unwrap().count()
}

fn next<'a>(waiting: &Mutex<std::slice::Iter<'a, Vec<Event>>>) -> Option<&'a Vec<Event>> {
    waiting.lock().unwrap().next()
}

/// As a vendor does it: whatever is not 200 is sent again.
fn send_until_acknowledged(sender: &Sender, address: SocketAddr, request: &[Event]) {
    let answer = wait_for("an acknowledgement", || {
        sender.post(address, request).ok().filter(|answer| answer.status == 200)
    });
    assert_eq!(answer.json()["accepted"], request.len());
}
