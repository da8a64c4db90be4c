//! The door over a real socket, with an embedded log behind it; what it refuses is in [`refused`].

#![allow(clippy::too_many_lines)] // Tables of cases are long.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use ringlake_transform::{Positions, RawEvent, SYSTEMS, System, systems};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::refusal::Refusal;
use super::*;
use crate::lock::DataLock;
use crate::log::embedded::tests::on_a_disk_that_fills;
use crate::log::{EmbeddedLog, EmbeddedSettings, LogReader, Polled};
use crate::tokens::TOKENS_FILE;

mod refused;

const EVENT: &str = r#"{"event":"onCallCreate","data":{"call":{"id":1}}}"#;

/// A door that is open, on a data folder of its own.
struct Open {
    address: SocketAddr,
    log: Arc<EmbeddedLog>,
    tokens: Arc<Tokens>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    client: Client<HttpConnector, Full<bytes::Bytes>>,
    ready: Arc<AtomicBool>,
    _dir: tempfile::TempDir,
}

struct Answer {
    status: u16,
    retry_after: Option<String>,
    allow: Option<String>,
    body: Value,
}

async fn open(settings: DoorSettings) -> Open {
    let dir = tempfile::tempdir().unwrap();
    let lock = Arc::new(DataLock::acquire(dir.path()).unwrap());
    let log = EmbeddedLog::open(&lock, EmbeddedSettings::default()).unwrap();
    open_with(settings, dir, log).await
}

async fn open_with(settings: DoorSettings, dir: tempfile::TempDir, log: EmbeddedLog) -> Open {
    open_signed(settings, dir, log, BTreeMap::new()).await
}

async fn open_signed(
    settings: DoorSettings,
    dir: tempfile::TempDir,
    log: EmbeddedLog,
    secrets: BTreeMap<String, String>,
) -> Open {
    let log = Arc::new(log);
    let tokens = Tokens::load_or_create(dir.path().join(TOKENS_FILE), BTreeMap::new()).unwrap();
    let tokens = Arc::new(tokens);
    let registry = Registry::new();
    let ready = Arc::new(AtomicBool::new(true));
    let asked = ready.clone();
    let parts = DoorParts {
        log: log.clone(),
        tokens: tokens.clone(),
        secrets,
        metrics: Metrics::new(&registry).unwrap(),
        registry,
        ready: Arc::new(move || match asked.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err("the writer has stopped".into()),
        }),
        tls: None,
    };
    let settings = DoorSettings { listen: "127.0.0.1:0".into(), ..settings };
    let door = Door::bind(settings, parts).await.unwrap();
    let stop = CancellationToken::new();
    let address = door.address();
    let serving = tokio::spawn(door.serve(stop.clone()));
    let client = Client::builder(TokioExecutor::new()).build_http();
    Open { address, log, tokens, stop, serving, client, ready, _dir: dir }
}

impl Open {
    fn token(&self, system: &str) -> String {
        self.tokens.token(system).unwrap().unwrap()
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request =
            hyper::Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body.to_owned())).unwrap();
        let response = self.client.request(request).await.unwrap();
        let header = |name| {
            let value = response.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let (status, retry_after, allow) =
            (response.status().as_u16(), header("retry-after"), header("allow"));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into()));
        Answer { status, retry_after, allow, body }
    }

    async fn post(&self, system: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {}", self.token(system));
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        self.send("POST", &format!("/webhooks/{system}"), &headers, body).await
    }

    async fn wait_until_ready(&self) {
        let start = Instant::now();
        while self.send("GET", "/readyz", &[], "").await.status != 200 {
            assert!(start.elapsed() < Duration::from_secs(20), "it did not recover");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Everything the log holds, by system.
    async fn kept(&self) -> Vec<(&'static str, RawEvent)> {
        let mut reader = self.log.reader();
        reader.start(&Positions::default()).await.unwrap();
        let mut kept = Vec::new();
        while let Polled::Events(batches) = reader.next(1 << 20, Duration::ZERO).await.unwrap() {
            for batch in batches {
                kept.extend(batch.events.into_iter().map(|event| (batch.system.name(), event)));
            }
        }
        kept
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_in_the_log_when_its_sender_hears_200() {
    let door = open(DoorSettings::default()).await;
    let answer = door.post("freshcaller", EVENT).await;
    assert_eq!((answer.status, answer.body), (200, json!({ "accepted": 1 })));
    let kept = door.kept().await;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].0, "freshcaller");
    assert_eq!(kept[0].1.body, EVENT.as_bytes());
    assert!((crate::log::now() - kept[0].1.received_at).abs() < 60_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_may_be_the_last_part_of_the_path() {
    let door = open(DoorSettings::default()).await;
    for system in SYSTEMS {
        let path = format!("/webhooks/{}/{}", system.name(), door.token(system.name()));
        let answer = door.send("POST", &path, &[], EVENT).await;
        assert_eq!(answer.status, 200, "{}: {}", system.name(), answer.body);
    }
    assert_eq!(door.kept().await.len(), SYSTEMS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_sends_by_get_and_by_route_is_understood() {
    let door = open(DoorSettings::default()).await;
    let Some(system) = SYSTEMS.iter().find(|system| system.sends_get()) else { return };
    let token = door.token(system.name());
    for route in system.routes() {
        let path =
            format!("/webhooks/{}/{route}/{token}?CallID=1&Extension={route}", system.name());
        let answer = door.send("GET", &path, &[], "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let routes: Vec<_> = door.kept().await.into_iter().map(|(_, event)| event.route).collect();
    let routes: Vec<&str> = routes.iter().map(|route| route.as_deref().unwrap()).collect();
    assert_eq!(routes, system.routes());
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_belong_to_an_event_are_kept_with_it() {
    let door = open(DoorSettings::default()).await;
    let bearer = format!("Bearer {}", door.token("vonage"));
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("ce-type", "channel.ended.v1"),
        ("ce-id", "e-1"),
    ];
    let answer = door.send("POST", "/webhooks/vonage", &headers, "{\"a\":1}").await;
    assert_eq!((answer.status, answer.body), (200, json!({ "accepted": 1 })));
    let (_, event) = door.kept().await.remove(0);
    let body: Value = serde_json::from_slice(&event.body).unwrap();
    assert_eq!(body, json!({ "type": "channel.ended.v1", "id": "e-1", "data": { "a": 1 } }));
    assert!(!String::from_utf8_lossy(&event.body).contains("Bearer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_log_disk_is_503_and_then_it_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let (log, full) = on_a_disk_that_fills(dir.path());
    let door = open_with(DoorSettings::default(), dir, log).await;
    assert_eq!(door.post("freshcaller", EVENT).await.status, 200);
    assert_eq!(door.send("GET", "/readyz", &[], "").await.status, 200);

    full.store(true, Ordering::SeqCst);
    let answer = door.post("freshcaller", EVENT).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.retry_after.as_deref(), Some("5"));
    assert_eq!(answer.body["error"], "the events could not be made durable");
    let ready = door.send("GET", "/readyz", &[], "").await;
    assert_eq!(ready.status, 503);
    assert!(ready.body["error"].as_str().unwrap().contains("events.redb"), "{}", ready.body);
    assert_eq!(door.send("GET", "/healthz", &[], "").await.status, 200);

    full.store(false, Ordering::SeqCst);
    door.wait_until_ready().await;
    assert_eq!(door.post("freshcaller", EVENT).await.status, 200);
    assert!(door.kept().await.len() >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn tells_its_health_its_metrics_and_its_counts() {
    let door = open(DoorSettings::default()).await;
    door.post("freshcaller", EVENT).await;
    door.post("vonage", "").await;
    let metrics = door.send("GET", "/metrics", &[], "").await.body;
    let metrics = metrics.as_str().unwrap();
    for line in [
        "ringlake_ingest_received_events_total{system=\"freshcaller\"} 1",
        "ringlake_ingest_webhook_requests_total{outcome=\"empty\",system=\"vonage\"} 1",
        "ringlake_ingest_append_seconds_count 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is missing in\n{metrics}");
    }
    assert!(
        metrics
            .contains("ringlake_ingest_log_bytes{partition=\"0\",topic=\"ringlake.freshcaller\"}")
    );
    let page = door.send("GET", "/", &[], "").await.body;
    assert!(page.as_str().unwrap().contains("<td>1<td>"), "{page}");
    door.ready.store(false, Ordering::SeqCst);
    let ready = door.send("GET", "/readyz", &[], "").await;
    assert_eq!((ready.status, &ready.body["error"]), (503, &json!("the writer has stopped")));
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_lets_requests_under_way_end() {
    let door = open(DoorSettings::default()).await;
    let mut slow = TcpStream::connect(door.address).await.unwrap();
    let token = door.token("freshcaller");
    let head = format!(
        "POST /webhooks/freshcaller/{token} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        EVENT.len()
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut asked = [0; 25];
    slow.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");

    door.stop.cancel();
    slow.write_all(EVENT.as_bytes()).await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("{\"accepted\":1}"), "{answer}");
    tokio::time::timeout(Duration::from_secs(5), door.serving).await.unwrap().unwrap();
    assert!(TcpStream::connect(door.address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_senders_at_once_lose_nothing() {
    let door = Arc::new(open(DoorSettings::default()).await);
    let senders = (0..32).map(|sender| {
        let door = door.clone();
        tokio::spawn(async move {
            for n in 0..20 {
                let body = json!({ "sender": sender, "n": n }).to_string();
                assert_eq!(door.post("freshcaller", &body).await.status, 200);
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.unwrap();
    }
    let kept = door.kept().await;
    let distinct: std::collections::BTreeSet<_> =
        kept.iter().map(|(_, e)| e.body.clone()).collect();
    assert_eq!((kept.len(), distinct.len()), (640, 640));
}
