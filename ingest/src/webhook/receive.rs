//! One request, from its head to its answer.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use ringlake_transform::systems::{self, SplitEvent};
use ringlake_transform::{Micros, System};
use serde_json::json;

use super::guests::Guest;
use super::refusal::{Refusal, json_response};
use super::{Shared, body};
use crate::error::LogError;
use crate::log::{NewRecord, now};
use crate::tokens::TokenId;

/// A body of at least this size is taken apart where it holds up no other request.
const LARGE_BODY: usize = 256 * 1024;
/// More events than this in one request are refused: each costs memory beside its bytes.
const MAX_EVENTS: usize = 20_000;

/// What the path names.
struct Target<'a> {
    system: &'static dyn System,
    route: Option<&'static str>,
    token: Option<&'a str>,
}

/// What became of the events of a request that was accepted.
struct Kept {
    accepted: u64,
    unreadable: u64,
}

pub(super) async fn not_found() -> Response<Body> {
    Refusal::NotFound.response()
}

/// `/webhooks/{system}`, then optionally a route, then optionally the token.
pub(super) async fn receive(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let (system, outcome) = match target(head.uri.path()) {
        Ok(target) => (target.system.name(), admit(&shared, &target, &head, body).await),
        Err(refusal) => ("unknown", Err(refusal)),
    };
    match outcome {
        Ok(kept) => {
            shared.parts.metrics.request(system, "accepted");
            accepted(&kept)
        }
        Err(refusal) => {
            shared.parts.metrics.request(system, refusal.outcome());
            tracing::debug!(system, outcome = refusal.outcome(), "refused a request");
            refusal.response()
        }
    }
}

fn accepted(kept: &Kept) -> Response<Body> {
    let body = match kept.unreadable {
        0 => json!({ "accepted": kept.accepted }),
        unreadable => json!({ "accepted": kept.accepted, "dead_lettered": unreadable }),
    };
    json_response(StatusCode::OK, &body)
}

fn target(path: &str) -> Result<Target<'_>, Refusal> {
    let mut parts =
        path.trim_start_matches("/webhooks/").split('/').filter(|part| !part.is_empty());
    let name = parts.next().unwrap_or_default();
    let system = systems::by_name(name).map_err(|_| Refusal::UnknownSystem)?;
    let route_of = |part: &str| system.routes().iter().copied().find(|route| *route == part);
    let (route, token) = match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => (None, None),
        (Some(part), None, _) => match route_of(part) {
            Some(route) => (Some(route), None),
            None => (None, Some(part)),
        },
        (Some(route), Some(token), None) => {
            (Some(route_of(route).ok_or(Refusal::UnknownRoute(system))?), Some(token))
        }
        _ => return Err(Refusal::UnknownRoute(system)),
    };
    Ok(Target { system, route, token })
}

/// The checks in the order that the module's head gives, then the log.
async fn admit(
    shared: &Shared,
    target: &Target<'_>,
    head: &Parts,
    body: Body,
) -> Result<Kept, Refusal> {
    let system = target.system;
    let by_get = head.method == Method::GET && system.sends_get();
    if !by_get && head.method != Method::POST {
        return Err(Refusal::Method(system));
    }
    let token = token_of(shared, target, &head.headers).ok_or(Refusal::Unauthorized)?;
    let _busy = head.extensions.get::<Arc<Guest>>().map(Guest::busy);
    shared.limits.take(token).map_err(|wait| Refusal::Limited { system, wait })?;
    let mut share = shared.rooms.enter(system)?;
    let media_type = media_type(&head.headers);
    if !by_get {
        check_type(system, &head.headers, media_type.as_deref())?;
    }
    let received_at = now();
    let settings = &shared.settings;
    let (limit, time) = (settings.max_body_bytes, settings.body_timeout);
    let body = body::read(body, &head.headers, &mut share, limit, time).await?;
    let query = if by_get { head.uri.query().unwrap_or_default() } else { "" };
    let headers = &text_headers(&head.headers);
    let request = systems::Request { query, content_type: media_type.as_deref(), headers, body };
    let apart = || -> Result<Vec<SplitEvent>, Refusal> {
        check_signature(shared, system, &request, received_at)?;
        Ok(system.split(&request))
    };
    let events = match request.body.len() {
        ..LARGE_BODY => apart()?,
        _ => tokio::task::block_in_place(apart)?,
    };
    keep(shared, target, received_at, events).await
}

/// Those headers that are text; hyper's names are lower case already.
fn text_headers(headers: &HeaderMap) -> Vec<(&str, &str)> {
    headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect()
}

/// Over the raw body, where the vendor signs and its secret is known.
fn check_signature(
    shared: &Shared,
    system: &'static dyn System,
    request: &systems::Request<'_>,
    now: Micros,
) -> Result<(), Refusal> {
    let Some(secret) = shared.parts.secrets.get(system.name()).filter(|_| system.signs()) else {
        return Ok(());
    };
    system.verify(request, secret, now).map_err(Refusal::Unverified)
}

/// The valid token that the header or the path brings.
fn token_of(shared: &Shared, target: &Target<'_>, headers: &HeaderMap) -> Option<TokenId> {
    let name = target.system.name();
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    // Both are always compared, so that the time tells nothing about which was sent.
    let by_header = shared.parts.tokens.find(name, bearer.unwrap_or_default());
    let by_path = shared.parts.tokens.find(name, target.token.unwrap_or_default());
    by_header.or(by_path)
}

/// The media type, lower case and without parameters.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().unwrap_or("unreadable");
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    (!media_type.is_empty()).then_some(media_type)
}

fn check_type(
    system: &'static dyn System,
    headers: &HeaderMap,
    media_type: Option<&str>,
) -> Result<(), Refusal> {
    if media_type.is_some_and(|media_type| !system.accepts(media_type)) {
        return Err(Refusal::MediaType(system));
    }
    let plain = |encoding: &HeaderValue| encoding.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(CONTENT_ENCODING).iter().all(plain) {
        return Err(Refusal::Encoded);
    }
    Ok(())
}

/// Hands the events to the log and waits until they are durable.
async fn keep(
    shared: &Shared,
    target: &Target<'_>,
    received_at: Micros,
    events: Vec<SplitEvent>,
) -> Result<Kept, Refusal> {
    let limit = shared.settings.max_event_bytes;
    if events.is_empty() {
        return Err(Refusal::Empty);
    }
    if events.len() > MAX_EVENTS {
        return Err(Refusal::TooMany { limit: MAX_EVENTS });
    }
    if events.iter().any(|event| event.body.len() > limit) {
        return Err(Refusal::EventTooLarge { limit });
    }
    let bytes: usize = events.iter().map(|event| event.body.len()).sum();
    let unreadable = events.iter().filter(|event| !event.readable).count() as u64;
    let kept = Kept { accepted: events.len() as u64 - unreadable, unreadable };
    let route = target.route.map(Into::into);
    let record = |event: SplitEvent| NewRecord {
        system: target.system,
        key: event.key,
        route: route.clone(),
        received_at,
        body: event.body,
        resolution: None,
    };
    let records = events.into_iter().map(record).collect();
    let start = Instant::now();
    append(shared, records).await?;
    let seconds = start.elapsed().as_secs_f64();
    let events = kept.accepted + kept.unreadable;
    shared.parts.metrics.kept(target.system.name(), events, unreadable, bytes as u64, seconds);
    Ok(kept)
}

async fn append(shared: &Shared, records: Vec<NewRecord>) -> Result<(), LogError> {
    let after = shared.settings.append_timeout;
    match tokio::time::timeout(after, shared.parts.log.append(records)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(LogError::TimedOut { after }),
    }
}
