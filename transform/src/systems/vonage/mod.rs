//! Vonage Contact Center: CloudEvents 1.0 of channels and agents (its Webhooks API, event types).
//!
//! Durations are differences of `data.timestamp`, when a state began; `time` is when the notice was
//! sent, half a second later. Notices may be repeated and come in any order.

use bytes::Bytes;

use super::{Request, SplitEvent, System, Unverified, freshworks};
use crate::error::{Rejection, Stage};
use crate::event::{Micros, RawEvent};
use crate::flatten::{Head, Output};
use crate::json::{JsonKind, Tape, Value, split_events};
use crate::rows::{RowWriter, push_json_string};
use crate::tables::{AGENT_EVENTS, CHANNEL_EVENTS};
use crate::values;

mod signature;

pub struct Vonage;

const SYSTEM: &str = "vonage";

/// The phases a channel can change to.
const PHASES: &[&str] = &[
    "alerted",
    "connected",
    "connectionfailed",
    "disconnected",
    "ended",
    "held",
    "interrupted",
    "parked",
    "resumed",
    "retrieved",
    "unparked",
    "wrapstarted",
];

/// In place of a column: the member is an object, which is written by itself.
const NESTED: &str = "";
/// In place of a column: the member is the event's time, if it is one that can be.
const TIME: &str = "event_time";

impl System for Vonage {
    fn name(&self) -> &'static str {
        SYSTEM
    }

    fn title(&self) -> &'static str {
        "Vonage Contact Center"
    }

    fn accepts(&self, content_type: &str) -> bool {
        content_type.starts_with("application/cloudevents") || freshworks::accepts(content_type)
    }

    fn split(&self, request: &Request<'_>) -> Vec<SplitEvent> {
        match structured(request) {
            Some(body) => split_events(&body, entity),
            None => split_events(&request.body, entity),
        }
    }

    fn signs(&self) -> bool {
        true
    }

    fn verify(&self, request: &Request<'_>, secret: &str, now: Micros) -> Result<(), Unverified> {
        let token = request.header(signature::HEADER);
        let token = token.ok_or(Unverified("there is no Vonage-Signature header"))?;
        signature::verify(token, &request.body, secret, now)
    }

    fn flatten(&self, event: &RawEvent, out: &mut Output<'_>) -> Result<(), Rejection> {
        out.with_tape(|tape, out| read(event, tape, out))
    }
}

fn read(event: &RawEvent, tape: &mut Tape, out: &mut Output<'_>) -> Result<(), Rejection> {
    let document =
        tape.parse(&event.body).map_err(|error| freshworks::parse_error(&error, &event.body))?;
    let root = document.root();
    let name = text(root, "type").ok_or_else(|| {
        Rejection::new(Stage::Recognise, "no-event-name", "the body has no \"type\"")
    })?;
    match kind(name) {
        Some((Kind::Channel(phase), version)) => channel(root, name, phase, version, out),
        Some((Kind::Presence, version)) => presence(root, name, version, out),
        None => Err(Rejection::new(
            Stage::Recognise,
            "unknown-event",
            format!(
                "unknown event {name:?}; this version knows channel.… and agent.presencechanged"
            ),
        )),
    }
}

/// The structured form of an event that came in binary mode: its attributes are `ce-` headers, its
/// body is `data` (CloudEvents 1.0, HTTP protocol binding). The body's bytes stay as they are.
fn structured(request: &Request<'_>) -> Option<Bytes> {
    request.header("ce-type")?;
    let body = request.body.trim_ascii();
    let mut event = String::from("{");
    for (name, value) in request.headers {
        if let Some(attribute) = name.strip_prefix("ce-") {
            push_json_string(&mut event, attribute);
            event.push(':');
            push_json_string(&mut event, value);
            event.push(',');
        }
    }
    event.push_str("\"data\":");
    let mut bytes = event.into_bytes();
    bytes.extend_from_slice(if body.is_empty() { b"null" } else { body });
    bytes.push(b'}');
    Some(bytes.into())
}

enum Kind<'t> {
    Channel(&'t str),
    Presence,
}

/// `channel.held.v1` taken apart; any version is taken, since versions so far have the same body.
fn kind(name: &str) -> Option<(Kind<'_>, &str)> {
    let (subject, rest) = name.split_once('.')?;
    let (what, version) = rest.split_once('.').unwrap_or((rest, ""));
    match subject {
        "channel" if PHASES.contains(&what) => Some((Kind::Channel(what), version)),
        "agent" if what == "presencechanged" => Some((Kind::Presence, version)),
        _ => None,
    }
}

fn text<'t>(object: Value<'t>, member: &str) -> Option<&'t str> {
    object.get(member)?.scalar_text()
}

fn entity(root: Value<'_>) -> Option<String> {
    let data = root.get("data")?;
    let interaction = data.get("channel").and_then(|channel| text(channel, "interactionId"));
    let agent = data.get("user").and_then(|user| text(user, "agentId"));
    interaction.map(|id| format!("call:{id}")).or_else(|| agent.map(|id| format!("agent:{id}")))
}

/// Begins the event; its id is unique together with its source (CloudEvents 1.0), and the type is
/// added because the vendor's own samples use one id for many.
fn begin(root: Value<'_>, name: &str, data: Value<'_>, out: &mut Output<'_>) -> Option<Begun> {
    let part = |member| text(root, member).unwrap_or_default();
    let key = match text(root, "id") {
        Some(id) => [part("source"), ":", id, ":", name].concat(),
        None => crate::repeats::content_key(&[name, part("time"), data.raw()]),
    };
    let began = data.get("timestamp").and_then(values::time_of);
    let event_time = began.or_else(|| root.get("time").and_then(values::time_of));
    let head =
        Head { system: SYSTEM, account_id: None, event_type: name, event_time, event_key: &key };
    out.begin(&head).then(|| Begun { tells_time: began == Some(out.event_time()) })
}

/// An event that is no repeat.
#[derive(Clone, Copy)]
struct Begun {
    /// Whether `data.timestamp` is the event's time, and so has a column.
    tells_time: bool,
}

fn member<'t>(data: Value<'t>, name: &str, event: &str) -> Result<Value<'t>, Rejection> {
    data.get_some(name).ok_or_else(|| {
        Rejection::new(Stage::Flatten, "no-id", format!("the {event} event has no \"data.{name}\""))
    })
}

fn data_of<'t>(root: Value<'t>, event: &str) -> Result<Value<'t>, Rejection> {
    root.get_some("data").ok_or_else(|| {
        Rejection::new(Stage::Flatten, "no-data", format!("the {event} event has no \"data\""))
    })
}

fn channel(
    root: Value<'_>,
    name: &str,
    phase: &str,
    version: &str,
    out: &mut Output<'_>,
) -> Result<(), Rejection> {
    let data = data_of(root, name)?;
    let channel = member(data, "channel", name)?;
    member(channel, "channelId", name)?;
    let Some(begun) = begin(root, name, data, out) else { return Ok(()) };
    let mut row = out.row(&CHANNEL_EVENTS);
    row.text("phase", phase).text("version", version);
    envelope(root, &mut row);
    each(
        &mut row,
        begun,
        channel,
        "channel",
        &[
            ("interactionId", "interaction_id"),
            ("conversationId", "conversation_id"),
            ("channelId", "channel_id"),
            ("party", NESTED),
        ],
    );
    if let Some(party) = channel.get_some("party") {
        each(
            &mut row,
            begun,
            party,
            "party",
            &[("role", "party_role"), ("agentId", "agent_id"), ("userId", "user_id")],
        );
    }
    each(
        &mut row,
        begun,
        data,
        "data",
        &[("channel", NESTED), ("timestamp", TIME), ("reason", "reason")],
    );
    Ok(())
}

fn presence(
    root: Value<'_>,
    name: &str,
    version: &str,
    out: &mut Output<'_>,
) -> Result<(), Rejection> {
    let data = data_of(root, name)?;
    let user = member(data, "user", name)?;
    let Some(begun) = begin(root, name, data, out) else { return Ok(()) };
    let mut row = out.row(&AGENT_EVENTS);
    row.text("version", version);
    envelope(root, &mut row);
    each(&mut row, begun, user, "user", &[("agentId", "agent_id"), ("userId", "user_id")]);
    if let Some(presence) = data.get_some("presence") {
        each(
            &mut row,
            begun,
            presence,
            "presence",
            &[("presenceId", "presence_id"), ("description", "presence"), ("category", NESTED)],
        );
        if let Some(category) = presence.get_some("category") {
            each(
                &mut row,
                begun,
                category,
                "category",
                &[
                    ("type", "category"),
                    ("description", "category_name"),
                    ("subcategory", "subcategory"),
                ],
            );
        }
    }
    each(
        &mut row,
        begun,
        data,
        "data",
        &[("user", NESTED), ("presence", NESTED), ("timestamp", TIME)],
    );
    Ok(())
}

fn envelope(root: Value<'_>, row: &mut RowWriter<'_>) {
    for (key, value) in root.last_first() {
        match key {
            "type" | "data" | "iparams" => {}
            // Of the key, with its source.
            "id" if value.scalar_text().is_some() => {}
            // What makes it a CloudEvent, and nothing else.
            "specversion" if value.as_str() == Some("1.0") => {}
            "datacontenttype" if value.as_str() == Some("application/json") => {}
            "time" => _ = row.put("notified_at", key, value),
            "source" | "subject" => _ = row.put(key, key, value),
            _ if value.is_null() => {}
            _ => row.extra(key, value),
        }
    }
}

/// Members of an object to their columns. What has none, or is not what it should be, is kept as
/// `<path>.<member>`.
fn each(
    row: &mut RowWriter<'_>,
    begun: Begun,
    object: Value<'_>,
    path: &str,
    columns: &[(&str, &str)],
) {
    let mut time_is_told = !begun.tells_time;
    for (key, value) in object.last_first() {
        match columns.iter().find(|(member, _)| *member == key) {
            Some((_, NESTED)) if value.kind() == JsonKind::Object => {}
            // Of repeated members the last, which counts.
            Some((_, TIME)) if !std::mem::replace(&mut time_is_told, true) => {}
            Some((_, column)) if !matches!(*column, NESTED | TIME) => {
                row.put_member(column, path, key, value);
            }
            _ if value.is_null() || key == "iparams" => {}
            _ => row.extra(&format!("{path}.{key}"), value),
        }
    }
}
