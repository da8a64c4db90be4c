//! What the door refuses, and what it then says.

use super::*;

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
