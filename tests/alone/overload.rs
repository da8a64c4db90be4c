//! More than there is room for: who sends too much is told when to come back, and others do not notice.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::events::{self, Sender};
use crate::harness::http::Response;
use crate::harness::process::Place;
use crate::harness::tables;
use crate::harness::wait::{wait_for, wait_until};

fn told_when(answer: &Response) -> u64 {
    answer.header("retry-after").unwrap_or_else(|| panic!("{answer:?}")).parse().unwrap()
}

#[test]
fn a_token_that_sends_too_often_is_told_when_to_come_back_and_others_are_served() {
    let _alone = crate::alone();
    let place = Place::new().with("RINGLAKE_LIMITS_RATE", "5");
    let server = place.serve(&["serve"]);
    let sender = Sender::new(&place);
    let all = events::simulated(&place, 9, 400);
    let of = |system: &str| all.iter().filter(|event| event.system == system).collect::<Vec<_>>();
    let (flood, honest) = (of("freshcaller"), of("vonage"));
    let mut written = 0;
    let mut limited = 0;
    std::thread::scope(|scope| {
        let (sender, address) = (&sender, server.address);
        let flooding = scope.spawn(move || {
            let mut outcome = (0, 0);
            for event in flood.iter().take(100) {
                let answer = sender.post(address, &[(*event).clone()]).unwrap();
                match answer.status {
                    200 => outcome.0 += 1,
                    429 => {
                        assert_eq!(told_when(&answer), 1, "{answer:?}");
                        outcome.1 += 1;
                    }
                    _ => panic!("{answer:?}"),
                }
            }
            outcome
        });
        for event in honest.iter().take(5) {
            assert_eq!(sender.post(address, &[(*event).clone()]).unwrap().status, 200);
            written += 1;
        }
        let (accepted, refused) = flooding.join().unwrap();
        written += accepted;
        limited += refused;
    });
    assert!(limited > 0, "100 requests in a row passed a limit of 5 a second");
    wait_until("what was accepted to be written", || tables::events_written(&place) == written);
}

#[test]
fn a_system_that_fills_its_room_is_told_so_and_others_are_served() {
    let _alone = crate::alone();
    let place = Place::new();
    let server = place.serve(&["serve"]);
    let (flooded, other) = (place.route("freshcaller"), place.route("vonage"));
    // Each holds nearly 8 MiB of the 16 that are this system's, and does not end.
    let length = 8_000_000;
    let head = format!(
        "POST {flooded} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    let hold = |_| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        // One that comes while those before it still hold theirs is refused, and may be cut off.
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(&vec![b' '; length - 100_000]);
        stream
    };
    let event = events::fixture("freshcaller/onCallCreate.json");
    let filler = format!("[{}]", vec![String::from_utf8_lossy(&event); 4_000].join(","));
    // What was sent may not have been read when the first filler comes; and where the disk takes ten
    // seconds for that one, it is cut off by then.
    let (refused, holding) = wait_for("the room to be full", || {
        let holding: Vec<TcpStream> = (0..2).map(hold).collect();
        let mut answers = (0..2).map(|_| server.post(&flooded, &filler));
        answers.find(|answer| answer.status != 200).map(|refused| (refused, holding))
    });
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(told_when(&refused), 1);
    let unaffected = events::fixture("vonage/channel.ended.v0.json");
    assert_eq!(server.post(&other, unaffected).status, 200);

    drop(holding);
    wait_for("the room to be free again", || {
        (server.post(&flooded, &filler).status == 200).then_some(())
    });
    assert!(server.running.peak_memory_mib() < 512);
}

#[test]
fn a_slow_body_does_not_keep_its_room() {
    let _alone = crate::alone();
    let place = Place::new();
    let server = place.serve(&["serve"]);
    let route = place.route("freshcaller");
    let head =
        format!("POST {route} HTTP/1.1\r\nhost: x\r\ncontent-length: 8000000\r\n\r\n[{{\"a\":");
    let mut slow = TcpStream::connect(server.address).unwrap();
    slow.write_all(head.as_bytes()).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}
