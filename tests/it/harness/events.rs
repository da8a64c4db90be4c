//! The events that the tests send: every fixture, and simulated working days.

use std::collections::BTreeMap;
use std::net::SocketAddr;
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

/// Every fixture, each by the route it names where its system has routes. The rows beside a payload
/// are what another suite expects of it.
pub fn fixtures() -> Vec<Event> {
    let mut events = Vec::new();
    for folder in sorted(&fixture_folder()) {
        let payload = |file: &PathBuf| file.extension().is_some_and(|end| end != "ndjson");
        for file in sorted(&folder).into_iter().filter(payload) {
            let text = std::fs::read_to_string(&file).unwrap();
            let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
            // On one line, as an import needs it.
            let body = serde_json::from_str(&text)
                .map_or(text.trim().to_owned(), |value: Value| value.to_string());
            let system = name(&folder);
            let route = (system == "voipnow").then(|| name(&file));
            events.push(Event { system, route, body, received_at: None });
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

/// `count` different simulated events of all systems, the same for the same seed.
pub fn simulated(place: &Place, seed: u64, count: usize) -> Vec<Event> {
    simulated_with(place, seed, count, &["--repeats", "0"])
}

/// `count` simulated events; `more` are further flags of `ringlake simulate`.
pub fn simulated_with(place: &Place, seed: u64, count: usize, more: &[&str]) -> Vec<Event> {
    let (seed, limit) = (seed.to_string(), count.to_string());
    let arguments = ["simulate", "--date", "2026-03-09", "--seed", &seed, "--limit", &limit];
    let text = place.ok(&[&arguments[..], more].concat());
    let events: Vec<Event> = text.lines().map(Event::from_envelope).collect();
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

    fn is_form(&self) -> bool {
        !self.body.starts_with('{')
    }

    /// The event as it looks when it comes by no route of ours.
    pub fn without_route(mut self) -> Self {
        self.route = None;
        self
    }
}

/// Requests of up to 20 events each, every request of one system and route. Events that are a form,
/// not JSON, go alone.
pub fn requests(events: &[Event]) -> Vec<Vec<Event>> {
    let mut requests: Vec<Vec<Event>> = Vec::new();
    let mut open: BTreeMap<_, Vec<Event>> = BTreeMap::new();
    for event in events {
        let waiting = open.entry((&event.system, &event.route, event.is_form())).or_default();
        waiting.push(event.clone());
        if waiting.len() == 20 || event.is_form() {
            requests.push(std::mem::take(waiting));
        }
    }
    requests.extend(open.into_values().filter(|rest| !rest.is_empty()));
    requests
}

/// Posts requests with the tokens of one place.
pub struct Sender {
    tokens: BTreeMap<String, String>,
}

impl Sender {
    pub fn new(place: &Place) -> Self {
        let systems = ["freshcaller", "freshsales", "vonage", "voipnow"];
        let tokens = systems.map(|system| (system.to_owned(), place.token(system)));
        Self { tokens: tokens.into() }
    }

    pub fn post(&self, to: SocketAddr, request: &[Event]) -> std::io::Result<Response> {
        let event = &request[0];
        let route = event.route.as_ref().map(|route| format!("/{route}")).unwrap_or_default();
        let path = format!("/webhooks/{}{route}", event.system);
        let bodies: Vec<&str> = request.iter().map(|event| event.body.as_str()).collect();
        let (media_type, body) = match event.is_form() {
            true => ("application/x-www-form-urlencoded", bodies[0].to_owned()),
            false => ("application/json", format!("[{}]", bodies.join(","))),
        };
        let bearer = format!("Bearer {}", self.tokens[&event.system]);
        let headers = [("content-type", media_type), ("authorization", &bearer)];
        http::post(to, &path, &headers, body.as_bytes())
    }
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}
