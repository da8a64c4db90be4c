//! Sends webhooks over a fixed number of connections, as fast as they are answered or at a given rate, and
//! says how long the answers took: `cargo bench --bench load -- http://127.0.0.1:8640/webhooks/freshcaller/TOKEN`.
//!
//! Each connection waits for its answer before it sends the next request, so the latency is what a vendor
//! would see. At a rate each request has a time at which it is due, and its latency counts from then: one
//! that has to wait for a free connection is not made to look quick. No event is sent twice. It must never
//! target anything but the loopback interface.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const USAGE: &str =
    "load URL [CONNECTIONS [SECONDS [REQUESTS_A_SECOND, 0 as fast as may be [EVENTS_A_REQUEST]]]]";

struct Target {
    address: SocketAddr,
    path: String,
    next: AtomicU64,
    start: Instant,
    time: Duration,
    /// Between two requests; none if they are sent as they are answered.
    pace: Option<Duration>,
    /// Events of a request.
    together: u64,
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    latencies: Vec<Duration>,
    refused: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let Some(url) = arguments.first() else { return println!("{USAGE}") };
    let number =
        |index: usize, default| arguments.get(index).map_or(default, |a| a.parse().expect(USAGE));
    let (connections, rate) = (number(1, 64), number(3, 0));
    let target = Arc::new(Target {
        time: Duration::from_secs(number(2, 10)),
        pace: (rate > 0).then(|| Duration::from_secs(1) / u32::try_from(rate).expect(USAGE)),
        together: number(4, 1),
        ..target(url)
    });
    let tasks: Vec<_> = (0..connections).map(|_| tokio::spawn(sender(target.clone()))).collect();
    let mut all = Seen::default();
    for task in tasks {
        let seen = task.await.unwrap();
        all.latencies.extend(seen.latencies);
        all.refused += seen.refused;
    }
    report(all, connections, target.start.elapsed());
}

fn target(url: &str) -> Target {
    let rest = url.strip_prefix("http://").expect(USAGE);
    let (authority, path) = rest.split_once('/').expect(USAGE);
    let address: SocketAddr = authority.parse().expect("an address and a port");
    assert!(address.ip().is_loopback(), "only this machine is a target");
    Target {
        address,
        path: format!("/{path}"),
        next: AtomicU64::new(0),
        start: Instant::now(),
        time: Duration::ZERO,
        pace: None,
        together: 1,
    }
}

impl Target {
    /// The next request's number, and when it is due; none when the time is over.
    fn next(&self) -> Option<(u64, Instant)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let due = match self.pace {
            Some(pace) => self.start + Duration::from_nanos(pace.as_nanos() as u64 * number),
            None => Instant::now(),
        };
        (due < self.start + self.time).then_some((number, due))
    }

    fn body(&self, number: u64) -> String {
        let first = number * self.together + 1;
        let events: Vec<String> = (first..first + self.together).map(event).collect();
        if self.together == 1 { events.concat() } else { format!("[{}]", events.join(",")) }
    }
}

async fn sender(target: Arc<Target>) -> Seen {
    let stream = TcpStream::connect(target.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut seen = Seen::default();
    while let Some((number, due)) = target.next() {
        let body = target.body(number);
        if target.pace.is_some() {
            tokio::time::sleep_until(due.into()).await;
        }
        if post(&mut requests, &target, body).await {
            seen.latencies.push(due.elapsed());
        } else {
            seen.refused += 1;
        }
    }
    seen
}

async fn post(requests: &mut SendRequest<Full<Bytes>>, target: &Target, body: String) -> bool {
    requests.ready().await.unwrap();
    let request = Request::builder()
        .method(Method::POST)
        .uri(&target.path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    let answer = requests.send_request(request).await.unwrap();
    let good = answer.status() == 200;
    answer.into_body().collect().await.unwrap();
    good
}

/// A call of its own with two legs, as large as real ones (about 1.4 kB).
fn event(number: u64) -> String {
    let leg = |id: u64, kind: &str| {
        format!(
            r#"{{"id":{id},"call_id":{number},"caller_id":7994085,"caller_number":"+12025550143","caller_name":null,"participant_id":{id},"participant_type":"{kind}","connection_type":1,"call_status":4,"duration":125,"duration_unit":"seconds","cost":0.026,"cost_unit":"usd","enqueued_time":null,"created_time":"2026-03-10T11:28:05.000Z","updated_time":"2026-03-10T11:30:12.000Z"}}"#
        )
    };
    format!(
        r#"{{"account_id":"82918","domain":"example.freshcaller.com","event":"onCallUpdate","timestamp":1773142212,"region":"US","data":{{"call":{{"id":{number},"direction":1,"parent_call_id":null,"root_call_id":null,"phone_number_id":46851,"phone_number":"+12025550100","assigned_agent_id":694,"assigned_team_id":null,"assigned_call_queue_id":null,"assigned_ivr_id":null,"bill_duration":180,"bill_duration_unit":"seconds","call_notes":null,"recording":null,"integrated_resources":[],"created_time":"2026-03-10T11:28:05.000Z","updated_time":"2026-03-10T11:30:12.000Z","participants":[{},{}]}},"changes":{{"model_changes":{{"bill_duration":[null,180]}}}}}}}}"#,
        leg(number * 2, "Customer"),
        leg(number * 2 + 1, "Agent")
    )
}

fn report(mut all: Seen, connections: u64, elapsed: Duration) {
    all.latencies.sort_unstable();
    let answered = all.latencies.len();
    let share = |share: f64| {
        let rank = (answered as f64 * share).ceil() as usize;
        all.latencies.get(rank.saturating_sub(1)).map_or(0.0, |l| l.as_secs_f64() * 1000.0)
    };
    println!(
        "{connections} connections, {:.1} s: {:.0} requests/s, p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms, {} refused",
        elapsed.as_secs_f64(),
        answered as f64 / elapsed.as_secs_f64(),
        share(0.50),
        share(0.99),
        share(1.0),
        all.refused
    );
}
