//! Flattening alone, one core: all fields of each system's fixtures into Arrow, beside what
//! `serde_json` needs to parse the same bytes into a `Value`.
//!
//! `cargo bench -p ringlake-transform` prints a line a system, `-- NAME` that system's alone. Read the
//! ratio: both run in turn on the same bytes, so it holds on a busy machine where a single time does
//! not. A payload that is a form becomes a `Value` as the object of its parameters.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ringlake_transform::systems::Request;
use ringlake_transform::{
    Flattener, LogPartition, OffsetRange, RawBatch, RawEvent, SYSTEMS, System,
};
use serde_json::Value;

const EVENTS: usize = 2_000;
/// 2026-01-01T00:00:00Z.
const FIRST_RECEIPT: i64 = 1_767_225_600_000_000;
const ROUNDS: usize = 7;

struct Payload {
    route: Option<Arc<str>>,
    body: Bytes,
}

/// Compact payloads of a system's fixtures, as vendors send them.
fn payloads(system: &dyn System) -> Vec<Payload> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(system.name());
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|path| !path.to_string_lossy().ends_with(".rows.ndjson"));
    paths.sort();
    let payload = |path: &std::path::PathBuf| {
        let bytes = fs::read(path).unwrap();
        let compact = serde_json::from_slice(&bytes).map(|value: Value| value.to_string());
        let body = compact.map_or(bytes.trim_ascii().to_vec(), String::into_bytes);
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let body =
            system.split(&Request { body: body.into(), ..Request::default() }).remove(0).body;
        Payload { route: Some(stem.into()), body }
    };
    paths.iter().map(payload).collect()
}

fn parse_value(body: &[u8]) -> Value {
    if body.first() == Some(&b'{') {
        return serde_json::from_slice(body).unwrap();
    }
    form_urlencoded::parse(body)
        .map(|(name, value)| (name.into_owned(), Value::from(value)))
        .collect()
}

fn batch(system: &'static dyn System, payloads: &[Payload], first: i64) -> RawBatch {
    // A payload comes again just beyond the window, so that no event is a repeat; and the last of all
    // comes before 2106, where the memory of repeats ends.
    let apart = system.repeat_window() / payloads.len() as i64 + 10_000_000;
    let event = |n: usize| {
        let payload = &payloads[(first as usize + n) % payloads.len()];
        RawEvent {
            resolution: None,
            offset: first + n as i64,
            received_at: FIRST_RECEIPT + (first + n as i64) * apart,
            route: payload.route.clone(),
            body: payload.body.clone(),
            damaged: false,
        }
    };
    RawBatch {
        partition: LogPartition::new(system.name(), 0),
        system,
        range: OffsetRange::new(first, first + EVENTS as i64 - 1),
        events: (0..EVENTS).map(event).collect(),
    }
}

fn parse_values(batch: &RawBatch) -> Duration {
    let begun = Instant::now();
    for event in &batch.events {
        black_box(parse_value(&event.body));
    }
    begun.elapsed()
}

fn main() {
    println!(
        "{:<12} {:>9} {:>11} {:>12} {:>8}",
        "system", "MB/s", "events/s", "Value MB/s", "ratio"
    );
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    for system in SYSTEMS.iter().copied().filter(|system| is_wanted(system.name())) {
        let payloads = payloads(system);
        let mut flattener = Flattener::default();
        let (mut flat, mut value) = (Duration::MAX, Duration::MAX);
        let mut bytes = 0;
        for round in 0..ROUNDS {
            let batch = batch(system, &payloads, (round * EVENTS) as i64);
            bytes = batch.body_bytes();
            value = value.min(parse_values(&batch));
            let begun = Instant::now();
            let rows = black_box(flattener.flatten(vec![batch]));
            flat = flat.min(begun.elapsed());
            assert_eq!(rows.counts.written, EVENTS as u64, "{}", system.name());
        }
        let speed = |time: Duration| bytes as f64 / time.as_secs_f64() / 1e6;
        let events = EVENTS as f64 / flat.as_secs_f64();
        let ratio = value.as_secs_f64() / flat.as_secs_f64();
        println!(
            "{:<12} {:>9.0} {:>11.0} {:>12.0} {:>8.2}",
            system.name(),
            speed(flat),
            events,
            speed(value),
            ratio
        );
    }
}
