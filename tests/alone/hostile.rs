//! An honest sender among hostile ones: whatever they do, it is answered 200, and in time.
//!
//! All attacks run at once, over real sockets, from one other process on the same two cores. Each is paced
//! so that it is the door that is tested and not who gets the processor.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::harness::events;
use crate::harness::http;
use crate::harness::process::{Place, Server};
use crate::harness::tables;
use crate::harness::wait::wait_until;

/// Requests of the honest sender, one every 10 ms.
const REQUESTS: usize = 600;
const EVERY: Duration = Duration::from_millis(10);
const BOUND: Duration = Duration::from_millis(250);
/// Connections that say nothing, more than twice as many as the door has places.
const IDLE: usize = 10_000;
const MEMORY_MIB: u64 = 512;

/// Between two steps of a slow sender, and before a sender that was cut off comes back.
const SLOW: Duration = Duration::from_millis(500);
const BACK: Duration = Duration::from_secs(10);
/// Between two requests of those that send one after the other.
const NEXT: Duration = Duration::from_millis(50);
/// Rounds of [`REQUESTS`] at most. The machine may be busy with something else in one of them; a door that
/// lets its honest sender wait does so in all.
const ROUNDS: usize = 3;

#[derive(Clone)]
struct Target {
    address: SocketAddr,
    /// The path with the valid token: the attackers know it, which makes it harder.
    path: String,
    opened: Arc<AtomicUsize>,
    /// How often each attack was answered as it should be: oversized heads, compressed bodies, wrong
    /// tokens.
    answered: Arc<[AtomicUsize; 3]>,
}

#[test]
fn an_honest_sender_is_answered_in_time_whatever_others_do() {
    let _alone = crate::alone();
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    assert!(files > 12_000, "this test needs 12,000 open files, and may have {files} (ulimit -Hn)");
    let place = Place::new();
    let server = place.serve(&["serve"]);
    let path = place.route("freshcaller");
    report("alone", &honest(&server, &path, 0));

    let target = Target {
        address: server.address,
        path: path.clone(),
        opened: Arc::default(),
        answered: Arc::default(),
    };
    let runtime = Runtime::new().unwrap();
    let attacks = runtime.spawn(attack(target.clone()));
    wait_until("all the silent connections to be there", || {
        target.opened.load(Ordering::Relaxed) >= IDLE
    });
    let (mut rounds, mut in_time) = (0, false);
    while rounds < ROUNDS && !in_time {
        rounds += 1;
        let times = honest(&server, &path, rounds * REQUESTS);
        report("attacked", &times);
        in_time = share(&times, 0.99) < BOUND;
    }
    attacks.abort();
    runtime.shutdown_timeout(Duration::from_secs(5));

    assert!(in_time, "p99 was above {BOUND:?} in every round");
    let memory = server.running.peak_memory_mib();
    assert!(memory < MEMORY_MIB, "the server took {memory} MiB");
    for (answered, attack) in
        target.answered.iter().zip(["large head", "compressed", "wrong token"])
    {
        assert!(answered.load(Ordering::Relaxed) > 0, "no {attack} was refused as it should be");
    }
    wait_until("what the honest sender sent to be written", || {
        tables::events_written(&place) == (1 + rounds) * REQUESTS
    });
}

/// Sends [`REQUESTS`] events that are all different, every other one over a connection of its own and the
/// rest over one that is kept, and returns how long the answers took.
fn honest(server: &Server, path: &str, first: usize) -> Vec<Duration> {
    let mut kept = Kept::open(server.address);
    let start = Instant::now();
    let mut times = Vec::with_capacity(REQUESTS);
    for n in 0..REQUESTS {
        let due = EVERY * u32::try_from(n).unwrap();
        wait_until_due(start, due);
        let body = event(first + n);
        let asked = Instant::now();
        let status = match n % 2 {
            0 => server.post(path, &body).status,
            _ => kept.post(path, &body),
        };
        times.push(asked.elapsed());
        assert_eq!(status, 200, "request {n}");
    }
    times.sort_unstable();
    times
}

fn event(number: usize) -> String {
    let event = events::fixture("freshcaller/onCallCreate.json");
    let mut event: serde_json::Value = serde_json::from_slice(&event).unwrap();
    event["data"]["call"]["id"] = serde_json::json!(1_000_000 + number);
    event.to_string()
}

/// A connection that is kept open between requests, as a pool does: opened again when it was closed
/// while it was silent, and never when a request was under way.
struct Kept {
    address: SocketAddr,
    stream: TcpStream,
}

impl Kept {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { address, stream }
    }

    fn post(&mut self, path: &str, body: &str) -> u16 {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        while !answer.ends_with(b"}") {
            let read = self.stream.read(&mut piece).unwrap();
            assert!(read > 0, "a sender that is known was cut off: {}", self.address);
            answer.extend_from_slice(&piece[..read]);
        }
        let text = String::from_utf8_lossy(&answer);
        text.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

fn share(sorted: &[Duration], share: f64) -> Duration {
    sorted[((sorted.len() as f64 * share).ceil() as usize - 1).min(sorted.len() - 1)]
}

fn report(what: &str, sorted: &[Duration]) {
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|part| share(sorted, part));
    println!("honest sender, {what}: p50 {p50:?}, p99 {p99:?}, max {max:?}");
}

/// All attacks, until this is dropped.
async fn attack(target: Target) {
    let mut all = JoinSet::new();
    for n in 0..IDLE {
        all.spawn(say_nothing(target.clone(), n));
    }
    for n in 0..400 {
        all.spawn(trickle_a_head(target.clone(), n));
        all.spawn(trickle_a_body(target.clone(), n));
    }
    for n in 0..4 {
        all.spawn(send_large_heads(target.clone(), n));
        all.spawn(send_compressed_bodies(target.clone(), n));
        all.spawn(guess_tokens(target.clone(), n));
        all.spawn(send_half_requests(target.clone(), n));
    }
    while all.join_next().await.is_some() {}
}

/// From another address of the loopback interface each, as far as there are some: there are not enough
/// ports for so many connections between two addresses.
async fn connect(target: &Target, n: usize) -> Option<tokio::net::TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    if cfg!(target_os = "linux") {
        let last = u8::try_from(2 + n % 50).unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).ok()?;
    }
    socket.connect(target.address).await.ok()
}

async fn say_nothing(target: Target, n: usize) {
    wait_a_turn(Duration::from_micros(200 * n as u64)).await;
    let mut first = true;
    loop {
        if let Some(mut stream) = connect(&target, n).await {
            if std::mem::take(&mut first) {
                target.opened.fetch_add(1, Ordering::Relaxed);
            }
            let _ = stream.read(&mut [0; 64]).await;
        }
        wait_a_turn(BACK).await;
    }
}

async fn trickle_a_head(target: Target, n: usize) {
    loop {
        if let Some(mut stream) = connect(&target, n).await {
            let mut piece: &[u8] = b"POST /webhooks/freshcaller HTTP/1.1\r\n";
            while stream.write_all(piece).await.is_ok() {
                piece = b"x-a: b\r\n";
                tokio::time::sleep(SLOW).await;
            }
        }
        wait_a_turn(BACK).await;
    }
}

async fn trickle_a_body(target: Target, n: usize) {
    let head =
        format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: 5000000\r\n\r\n", target.path);
    loop {
        if let Some(mut stream) = connect(&target, n).await {
            let mut piece = head.as_bytes();
            while stream.write_all(piece).await.is_ok() {
                piece = b" ";
                // An answer means that the time for the body is over.
                if tokio::time::timeout(SLOW, stream.read(&mut [0; 64])).await.is_ok() {
                    break;
                }
            }
        }
        wait_a_turn(BACK).await;
    }
}

async fn send_large_heads(target: Target, n: usize) {
    let head =
        format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-large: {}\r\n\r\n", "x".repeat(200_000));
    again(&target, n, head.as_bytes(), 0, "431").await;
}

/// A megabyte of zeros shrinks a thousandfold; here the small body itself is enough, since it must not
/// even be looked at.
async fn send_compressed_bodies(target: Target, n: usize) {
    let body = "\u{1f}\u{8b}".repeat(400);
    let request = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n{body}",
        target.path,
        body.len()
    );
    again(&target, n, request.as_bytes(), 1, "415").await;
}

async fn guess_tokens(target: Target, n: usize) {
    let request =
        "POST /webhooks/freshcaller/guess HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
    again(&target, n, request.as_bytes(), 2, "401").await;
}

/// Sends the same request on connection after connection, and counts the answers with this status.
async fn again(target: &Target, n: usize, request: &[u8], attack: usize, status: &str) {
    loop {
        if let Some(mut stream) = connect(target, n).await {
            // The answer may come before all was sent.
            let _ = stream.write_all(request).await;
            let mut answer = [0; 12];
            let _ = tokio::time::timeout(BACK, stream.read_exact(&mut answer)).await;
            if answer.ends_with(status.as_bytes()) {
                target.answered[attack].fetch_add(1, Ordering::Relaxed);
            }
        }
        wait_a_turn(NEXT).await;
    }
}

/// Goes away in the middle of a body, again and again.
async fn send_half_requests(target: Target, n: usize) {
    let head =
        format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n[{{", target.path);
    loop {
        if let Some(mut stream) = connect(&target, n).await {
            let _ = stream.write_all(head.as_bytes()).await;
        }
        wait_a_turn(NEXT).await;
    }
}

/// A request whose length two readers would see differently must never let a second one through that is
/// hidden in it: a proxy before us would have taken both for one.
#[test]
fn no_request_is_smuggled_inside_another() {
    let _alone = crate::alone();
    let place = Place::new();
    let server = place.serve(&["serve"]);
    let (outer, inner) = (place.route("freshcaller"), place.route("vonage"));
    let event = r#"{"event":"onCallCreate","data":{"call":{"id":1}}}"#;
    let hidden = format!(
        "POST {inner} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{event}",
        event.len()
    );
    let chunk = format!("{:x}\r\n{event}\r\n0\r\n\r\n", event.len());
    let (short, long) = (event.len(), chunk.len() + hidden.len());
    let te = "transfer-encoding: chunked";
    // What the head says besides, and the body before the hidden request.
    let shapes = [
        (format!("content-length: {long}\r\n{te}"), &chunk),
        (format!("{te}\r\ncontent-length: {long}"), &chunk),
        (format!("content-length: {long}\r\nTransfer-Encoding: xchunked"), &chunk),
        (format!("content-length: {long}\r\n{te} , identity"), &chunk),
        (format!("content-length: {long}\r\ntransfer-encoding : chunked"), &chunk),
        (format!("content-length: {long}\r\n{te}\r\ntransfer-encoding: identity"), &chunk),
        (format!("content-length: {long}\r\ntransfer-encoding:\u{b}chunked"), &chunk),
        (format!("content-length: {long}\r\nx: y\ntransfer-encoding: chunked"), &chunk),
        (format!("content-length: {short}\r\ncontent-length: {}", short + hidden.len()), &chunk),
        (format!("content-length: {short}, {}", short + hidden.len()), &chunk),
        (format!("content-length: +{short}"), &chunk),
        (format!("content-length: 0x{short:x}"), &chunk),
        (format!("content-length: {short}\r\n content-length: 0"), &chunk),
    ];
    for (head, body) in &shapes {
        let request = format!("POST {outer} HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n{body}{hidden}");
        let answers = exchange(server.address, request.as_bytes());
        let statuses: Vec<&str> = answers
            .split("HTTP/1.1 ")
            .skip(1)
            .map(|answer| answer.split(' ').next().unwrap())
            .collect();
        assert!(statuses.len() <= 1, "{head:?}: {answers}");
        assert!(
            statuses.iter().all(|status| ["200", "400"].contains(status)),
            "{head:?}: {answers}"
        );
    }
    let old = format!("POST {outer} HTTP/1.0\r\n{te}\r\n\r\n{chunk}{hidden}");
    exchange(server.address, old.as_bytes());
    let metrics = http::get(server.address, "/metrics").unwrap().body;
    let smuggled = "ringlake_ingest_received_events_total{system=\"vonage\"} 0";
    assert!(metrics.contains(smuggled), "{metrics}");
}

/// Sends all and returns all that comes back until the other side closes.
fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The pace of a load: there is no condition to wait for.
async fn wait_a_turn(pause: Duration) {
    tokio::time::sleep(pause).await;
}

fn wait_until_due(start: Instant, due: Duration) {
    std::thread::sleep(due.saturating_sub(start.elapsed()));
}
