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
