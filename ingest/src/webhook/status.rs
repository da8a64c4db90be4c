//! What the door tells about itself: health, readiness, metrics, and a small page for people.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response, StatusCode};
use prometheus::TextEncoder;
use prometheus::proto::MetricFamily;
use ringlake_transform::SYSTEMS;
use serde_json::json;
use tokio::sync::Mutex;

use super::Shared;
use super::refusal::json_response;

/// How old the log's figures may be: they are asked for by anybody, and cost a question to the log.
const FRESH: Duration = Duration::from_secs(5);
const ASK: Duration = Duration::from_secs(2);

/// When the log was last asked for its figures.
#[derive(Default)]
pub(super) struct Known(Mutex<Option<Instant>>);

/// Columns of the page: heading, and how the counter's name ends. Each crate counts its own part.
const COLUMNS: &[(&str, &str)] = &[
    ("received", "_received_events_total"),
    ("written", "_written_events_total"),
    ("dead-lettered", "_dead_lettered_events_total"),
    ("repeated", "_repeated_events_total"),
];

/// The process lives.
pub(super) async fn healthz() -> Response<Body> {
    json_response(StatusCode::OK, &json!({ "status": "alive" }))
}

/// Whether events would be kept now.
pub(super) async fn readyz(State(shared): State<Arc<Shared>>) -> Response<Body> {
    match not_ready(&shared).await {
        None => json_response(StatusCode::OK, &json!({ "status": "ready" })),
        Some((error, hint)) => {
            json_response(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": error, "hint": hint }))
        }
    }
}

async fn not_ready(shared: &Shared) -> Option<(String, String)> {
    if let Err(error) = shared.parts.log.ready().await {
        return Some((error.to_string(), error.hint()));
    }
    let reason = (shared.parts.ready)().err()?;
    Some((reason, "the process's own log says more".into()))
}

/// Prometheus' text format.
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Response<Body> {
    refresh(&shared).await;
    match TextEncoder::new().encode_to_string(&shared.parts.registry.gather()) {
        Ok(text) => text_response("text/plain; version=0.0.4", text),
        Err(error) => json_response(
            StatusCode::INTERNAL_SERVER_ERROR,
            &json!({ "error": error.to_string(), "hint": "this is a mistake of ringlake; please report it" }),
        ),
    }
}

/// Brings the log's gauges up to date, where it answers soon.
async fn refresh(shared: &Shared) {
    let mut asked = shared.known.0.lock().await;
    if asked.is_some_and(|at| at.elapsed() < FRESH) {
        return;
    }
    *asked = Some(Instant::now());
    if let Ok(Ok(status)) = tokio::time::timeout(ASK, shared.parts.log.status()).await {
        shared.parts.metrics.log(&status);
    }
}

pub(super) async fn page(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let trouble = not_ready(&shared).await.map(|(error, _)| error);
    let page = render(&shared.parts.registry.gather(), trouble.as_deref());
    text_response("text/html; charset=utf-8", page)
}

fn text_response(content_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn render(families: &[MetricFamily], trouble: Option<&str>) -> String {
    let mut page = String::from(
        "<!doctype html><meta charset=utf-8><title>Ringlake</title>\
         <style>body{font:16px system-ui;margin:2em}td,th{padding:.3em 1em;text-align:right}\
         td:first-child,th:first-child{text-align:left}</style><h1>Ringlake</h1>",
    );
    let state =
        trouble.map_or_else(|| "ready".to_owned(), |why| format!("not ready: {}", escape(why)));
    let headings: String = COLUMNS.iter().map(|(name, _)| format!("<th>{name}")).collect();
    // Writing to a string cannot fail.
    let _ = write!(page, "<p>{state}</p><table><tr><th>system{headings}");
    for system in SYSTEMS {
        let _ = write!(page, "<tr><td>{}", escape(system.title()));
        for (_, suffix) in COLUMNS {
            let count = count(families, suffix, system.name());
            let _ = write!(page, "<td>{}", count.map_or("–".to_owned(), |n| n.to_string()));
        }
    }
    page.push_str(
        "</table><p>Events since the start of this process; <a href=/metrics>metrics</a></p>",
    );
    page
}

/// A system's counter; none where this process does not count that.
fn count(families: &[MetricFamily], suffix: &str, system: &str) -> Option<u64> {
    let family = families.iter().find(|family| family.name().ends_with(suffix))?;
    let of_system = family.get_metric().iter().find(|metric| {
        metric.get_label().iter().any(|label| label.name() == "system" && label.value() == system)
    });
    of_system.map(|metric| metric.get_counter().get_value() as u64)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use prometheus::Registry;

    #[test]
    fn the_page_shows_the_counts_and_the_trouble() {
        let registry = Registry::new();
        Metrics::new(&registry).unwrap().kept("voipnow", 42, 0, 0, 0.1);
        let page = render(&registry.gather(), Some("no <disk>"));
        assert!(page.contains("not ready: no &lt;disk>"));
        assert!(page.contains("<th>received<th>written<th>dead-lettered<th>repeated"));
        assert!(page.contains("<td>42<td>–<td>–<td>–"), "{page}");
    }
}
