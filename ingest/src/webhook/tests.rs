//! The door over a real socket, with an embedded log behind it.

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
async fn what_is_wrong_with_a_request_is_said() {
    let door = open(DoorSettings::default()).await;
    let bearer = format!("Bearer {}", door.token("freshcaller"));
    let json = ("content-type", "application/json");
    let auth = ("authorization", bearer.as_str());
    let wrong = ("authorization", "Bearer wrong");
    let basic = ("authorization", "Basic wrong");
    let picture = ("content-type", "image/png");
    let zipped = ("content-encoding", "gzip");
    type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, u16, &'a str);
    let cases: &[Case<'_>] = &[
        (
            "POST",
            "/webhooks/nobody",
            &[auth],
            EVENT,
            404,
            "unknown system; there are freshcaller, freshsales, vonage, voipnow",
        ),
        ("POST", "/elsewhere", &[auth], EVENT, 404, "nothing is here"),
        (
            "POST",
            "/webhooks/freshcaller/a/b",
            &[auth],
            EVENT,
            404,
            "freshcaller has no further routes",
        ),
        ("GET", "/webhooks/freshcaller", &[auth], "", 405, "freshcaller takes POST"),
        ("DELETE", "/webhooks/voipnow", &[auth], "", 405, "voipnow takes POST and GET"),
        ("POST", "/webhooks/freshcaller", &[], EVENT, 401, "the token is missing or wrong"),
        ("POST", "/webhooks/freshcaller", &[wrong], EVENT, 401, "the token is missing or wrong"),
        ("POST", "/webhooks/freshcaller", &[basic], EVENT, 401, "the token is missing or wrong"),
        ("POST", "/webhooks/freshcaller/wrong", &[], EVENT, 401, "the token is missing or wrong"),
        ("POST", "/webhooks/vonage", &[auth], EVENT, 401, "the token is missing or wrong"),
        (
            "POST",
            "/webhooks/freshcaller",
            &[auth, picture],
            EVENT,
            415,
            "this content type cannot be an event of freshcaller",
        ),
        (
            "POST",
            "/webhooks/freshcaller",
            &[auth, json, zipped],
            EVENT,
            415,
            "a compressed body is not taken",
        ),
        (
            "POST",
            "/webhooks/freshcaller",
            &[auth, json],
            "",
            400,
            "there is no event in the request",
        ),
    ];
    for (method, path, headers, body, status, error) in cases {
        let answer = door.send(method, path, headers, body).await;
        assert_eq!(answer.status, *status, "{method} {path}: {}", answer.body);
        assert_eq!(answer.body["error"], *error, "{method} {path}");
        assert!(answer.body["hint"].as_str().is_some_and(|hint| !hint.is_empty()));
    }
    let answer = door.send("GET", "/webhooks/freshcaller", &[auth], "").await;
    assert_eq!(answer.allow.as_deref(), Some("POST"));
    assert!(door.kept().await.is_empty(), "nothing refused may be kept");
}

#[test]
fn each_text_is_as_it_should_be() {
    let plain: &dyn System = SYSTEMS[0];
    let routed = SYSTEMS.iter().copied().find(|system| !system.routes().is_empty()).unwrap();
    let second = Duration::from_secs(1);
    let refusals: Vec<(Refusal, u16, &str, &str)> = vec![
        (
            Refusal::NotFound,
            404,
            "nothing is here",
            "webhooks go to /webhooks/{system}, followed by the token",
        ),
        (
            Refusal::UnknownSystem,
            404,
            "unknown system; there are freshcaller, freshsales, vonage, voipnow",
            "send to /webhooks/{system} with one of these names",
        ),
        (
            Refusal::UnknownRoute(plain),
            404,
            "freshcaller has no further routes",
            "send to /webhooks/freshcaller, followed by the token",
        ),
        (
            Refusal::UnknownRoute(routed),
            404,
            "unknown route of voipnow; there are dial-in, dial-out, answer, hangup",
            "send to /webhooks/voipnow/{route}, followed by the token",
        ),
        (
            Refusal::Method(plain),
            405,
            "freshcaller takes POST",
            "set this method in the vendor's settings",
        ),
        (
            Refusal::Unauthorized,
            401,
            "the token is missing or wrong",
            "send the token as 'Authorization: Bearer TOKEN' or as the last part of the path; 'ringlake tokens' shows it",
        ),
        (
            Refusal::Limited { system: plain, wait: second },
            429,
            "too many requests for freshcaller",
            "send it again after the time in Retry-After, or raise limits.rate in ringlake.toml",
        ),
        (
            Refusal::Unverified(systems::Unverified("it has expired")),
            401,
            "the signature is refused: it has expired",
            "see that the vendor's settings and ringlake have the same secret for these webhooks",
        ),
        (
            Refusal::Encoded,
            415,
            "a compressed body is not taken",
            "send it without Content-Encoding",
        ),
        (
            Refusal::TooLarge { limit: 10 },
            413,
            "the body is larger than 10 bytes",
            "send fewer events in a request, or raise limits.max_body in ringlake.toml",
        ),
        (
            Refusal::EventTooLarge { limit: 10 },
            413,
            "an event is larger than 10 bytes",
            "leave attachments out of the event; larger ones do not fit a log record",
        ),
        (
            Refusal::TooMany { limit: 10 },
            413,
            "there are more than 10 events in the request",
            "send fewer events in a request",
        ),
        (
            Refusal::Slow { after: second },
            408,
            "the body did not arrive within 1 s",
            "send it again; if it fails again, look at the network between",
        ),
        (
            Refusal::Broken,
            400,
            "the body ended before it was complete",
            "send it again; if it fails again, look at the network between",
        ),
        (
            Refusal::Empty,
            400,
            "there is no event in the request",
            "send one event, a JSON array of events, or one event a line",
        ),
        (
            Refusal::Unavailable(LogError::Busy),
            503,
            "more requests are waiting than can be kept",
            "send it again after the time in Retry-After; nothing is wrong with the request",
        ),
        (
            Refusal::Unavailable(LogError::Closed),
            503,
            "the events could not be made durable",
            "send it again after the time in Retry-After; nothing is wrong with the request",
        ),
    ];
    for (refusal, status, error, hint) in refusals {
        let response = refusal.response();
        assert_eq!(response.status().as_u16(), status);
        let retry = response.headers().contains_key("retry-after");
        assert_eq!(retry, status == 429 || status == 503, "{error}");
        assert!(crate::metrics::OUTCOMES.contains(&refusal.outcome()));
        let body = futures::executor::block_on(response.into_body().collect()).unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body, json!({ "error": error, "hint": hint }));
    }
}

/// HMAC-SHA256 (RFC 2104) for keys of at most 64 bytes.
fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let pad = |byte: u8| -> Vec<u8> {
        (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ byte).collect()
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_secret_is_known_the_signature_counts_too() {
    let dir = tempfile::tempdir().unwrap();
    let lock = Arc::new(DataLock::acquire(dir.path()).unwrap());
    let log = EmbeddedLog::open(&lock, EmbeddedSettings::default()).unwrap();
    let secret = URL_SAFE_NO_PAD.encode([7; 32]);
    let secrets = [("vonage".to_owned(), secret.clone())].into();
    let door = open_signed(DoorSettings::default(), dir, log, secrets).await;
    let path = format!("/webhooks/vonage/{}", door.token("vonage"));
    let answer = door.send("POST", &path, &[], EVENT).await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.body,
        json!({
            "error": "the signature is refused: there is no Vonage-Signature header",
            "hint": "see that the vendor's settings and ringlake have the same secret for these webhooks"
        })
    );

    let hash: String = Sha256::digest(EVENT).iter().map(|byte| format!("{byte:02x}")).collect();
    let now = crate::log::now() / 1_000_000;
    let claims = json!({ "iat": now, "exp": now + 300, "payload_hash": hash }).to_string();
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims));
    let mac = mac(secret.as_bytes(), signed.as_bytes());
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac));
    let signature = [("vonage-signature", token.as_str())];
    assert_eq!(door.send("POST", &path, &signature, EVENT).await.status, 200);
    assert_eq!(door.send("POST", &path, &signature, "{}").await.status, 401);
    // The token is asked for all the same, and other systems are as before.
    assert_eq!(door.send("POST", "/webhooks/vonage", &signature, EVENT).await.status, 401);
    assert_eq!(door.post("freshcaller", EVENT).await.status, 200);
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
async fn a_large_body_is_refused_and_not_buffered() {
    let door = open(DoorSettings { max_body_bytes: 100_000, ..DoorSettings::default() }).await;
    // Announced, and sent all the same: the answer still arrives.
    let answer = door.post("freshcaller", &"x".repeat(20_000_000)).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.body["error"], "the body is larger than 100000 bytes");
    // The connection, or a new one, works on.
    assert_eq!(door.post("freshcaller", EVENT).await.status, 200);

    // In chunks, with no length announced: refused as soon as it passes the limit.
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let token = door.token("freshcaller");
    let head = format!(
        "POST /webhooks/freshcaller/{token} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("{:x}\r\n{}\r\n", 60_000, "x".repeat(60_000));
    for _ in 0..2 {
        stream.write_all(chunk.as_bytes()).await.unwrap();
    }
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_asks_first_is_refused_before_it_sends() {
    let door = open(DoorSettings { max_body_bytes: 1_000, ..DoorSettings::default() }).await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let token = door.token("vonage");
    let head = format!(
        "POST /webhooks/vonage/{token} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 300000000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_senders_are_cut_off() {
    let short = Duration::from_millis(200);
    let settings =
        DoorSettings { head_timeout: short, body_timeout: short, ..DoorSettings::default() };
    let door = open(settings).await;
    let start = Instant::now();

    let mut slow_head = TcpStream::connect(door.address).await.unwrap();
    slow_head.write_all(b"POST /webhooks/vonage HTTP/1.1\r\nhost:").await.unwrap();
    let mut answer = Vec::new();
    slow_head.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{answer:?}");

    let mut slow_body = TcpStream::connect(door.address).await.unwrap();
    let token = door.token("vonage");
    let head = format!(
        "POST /webhooks/vonage/{token} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{{"
    );
    slow_body.write_all(head.as_bytes()).await.unwrap();
    let mut start_of_answer = [0; 12];
    slow_body.read_exact(&mut start_of_answer).await.unwrap();
    assert_eq!(&start_of_answer, b"HTTP/1.1 408");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_limited_and_told_when_to_come_back() {
    let door = open(DoorSettings { requests_per_second: 2, ..DoorSettings::default() }).await;
    let mut refused = None;
    for _ in 0..10 {
        let answer = door.post("freshsales", EVENT).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.status, 200);
    }
    let refused = refused.expect("ten requests at once pass a limit of two a second");
    assert_eq!(refused.retry_after.as_deref(), Some("1"));
    assert_eq!(door.post("freshcaller", EVENT).await.status, 200, "others are not limited");
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
