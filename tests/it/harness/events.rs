//! The events that the tests send: every fixture, and simulated working days.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::http::{self, Response};
use super::process::Place;

/// One event as a vendor would send it.
#[derive(Clone, Debug)]
pub struct Event {
    pub system: String,
    pub route: Option<String>,
    pub body: String,
    /// The envelope it came in, where it came in one.
    received_at: Option<Value>,
}

/// The folder of the payloads.
pub fn fixture_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// One fixture's bytes.
pub fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixture_folder().join(name)).unwrap()
}

/// Every fixture that is one JSON payload.
pub fn fixtures() -> Vec<Event> {
    let mut events = Vec::new();
    for folder in sorted(&fixture_folder()) {
        for file in sorted(&folder) {
            if file.extension().is_some_and(|end| end == "json") {
                let value: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
                events.push(Event {
                    system: folder.file_name().unwrap().to_str().unwrap().to_owned(),
                    route: None,
                    body: value.to_string(),
                    received_at: None,
                });
            }
        }
    }
    assert!(events.len() > 20, "only {} fixtures", events.len());
    events
}

/// An event that no system knows: it becomes a dead letter.
pub fn unknown() -> Event {
    Event {
        system: "freshcaller".to_owned(),
        route: None,
        body: json!({"account_id": "1", "event": "onTeaTime", "timestamp": 1, "data": {}})
            .to_string(),
        received_at: None,
    }
}

/// `count` simulated events of all systems, the same for the same seed.
pub fn simulated(place: &Place, seed: u64, count: usize) -> Vec<Event> {
    let (seed, calls) = (seed.to_string(), (count / 2).max(100).to_string());
    let text = place.ok(&["simulate", "--seed", &seed, "--calls", &calls, "--repeats", "0"]);
    let events: Vec<Event> = text.lines().take(count).map(Event::from_envelope).collect();
    assert_eq!(events.len(), count);
    events
}

/// The events as `ringlake import --enveloped` reads them.
pub fn envelopes<'a>(events: impl IntoIterator<Item = &'a Event>) -> String {
    events.into_iter().map(|event| event.envelope().to_string() + "\n").collect()
}

impl Event {
    fn from_envelope(line: &str) -> Self {
        let envelope: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| envelope.get(key).and_then(Value::as_str).map(str::to_owned);
        Self {
            system: text("system").unwrap(),
            route: text("route"),
            body: text("body").unwrap(),
            received_at: envelope.get("received_at").cloned(),
        }
    }

    fn envelope(&self) -> Value {
        let mut envelope = json!({ "system": self.system, "body": self.body });
        if let Some(route) = &self.route {
            envelope["route"] = json!(route);
        }
        if let Some(received_at) = &self.received_at {
            envelope["received_at"] = received_at.clone();
        }
        envelope
    }

    /// The event as it looks when it comes by no route of ours.
    pub fn without_route(mut self) -> Self {
        self.route = None;
        self
    }
}

/// Requests of up to 20 events each, every request of one system and route.
pub fn requests(events: &[Event]) -> Vec<Vec<Event>> {
    let mut requests: Vec<Vec<Event>> = Vec::new();
    let mut open: std::collections::BTreeMap<_, Vec<Event>> = Default::default();
    for event in events {
        let waiting = open.entry((event.system.clone(), event.route.clone())).or_default();
        waiting.push(event.clone());
        if waiting.len() == 20 {
            requests.push(std::mem::take(waiting));
        }
    }
    requests.extend(open.into_values().filter(|rest| !rest.is_empty()));
    requests
}

/// Posts requests with the tokens of one place.
pub struct Sender {
    tokens: std::collections::BTreeMap<String, String>,
}

impl Sender {
    pub fn new(place: &Place) -> Self {
        let systems = ["freshcaller", "freshsales", "vonage", "voipnow"];
        let tokens = systems.map(|system| (system.to_owned(), place.token(system)));
        Self { tokens: tokens.into() }
    }

    pub fn post(&self, to: std::net::SocketAddr, request: &[Event]) -> std::io::Result<Response> {
        let Event { system, route, .. } = &request[0];
        let path = match route {
            Some(route) => format!("/webhooks/{system}/{route}"),
            None => format!("/webhooks/{system}"),
        };
        let bodies: Vec<&str> = request.iter().map(|event| event.body.as_str()).collect();
        let bearer = format!("Bearer {}", self.tokens[system]);
        let headers = [("content-type", "application/json"), ("authorization", &bearer)];
        http::post(to, &path, &headers, format!("[{}]", bodies.join(",")).as_bytes())
    }
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}
