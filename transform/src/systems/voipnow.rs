//! VoipNow: Call Events, sent as the query of a GET or the form of a POST
//! (wiki.4psa.com, Developer Guide, "Call Events").
//!
//! No parameter tells what happened: the route does, one URL for each event, or else `CallStatus` and
//! `CallFlow`. No parameter tells when: the receipt counts. So equal parameters at one route are a
//! repeat only within ten minutes.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Request, SplitEvent, System, freshworks};
use crate::error::{Rejection, Stage};
use crate::event::{Micros, RawEvent};
use crate::flatten::{Head, Output};
use crate::json::{JsonKind, Tape, split_events};
use crate::repeats::content_key;
use crate::rows::RowWriter;
use crate::tables::CALLS;

pub struct VoipNow;

const SYSTEM: &str = "voipnow";
const ROUTES: &[&str] = &["dial-in", "dial-out", "answer", "hangup"];
const TEN_MINUTES: Micros = 10 * 60 * 1_000_000;

/// Parameters in lower case, and their column. The older documentation prints `CallerIDNam`.
const COLUMNS: &[(&str, &str)] = &[
    ("callid", "call_id"),
    ("callstatus", "status"),
    ("calleridnum", "caller_number"),
    ("calleridname", "caller_name"),
    ("calleridnam", "caller_name"),
    ("calleddid", "called_did"),
    ("calledextension", "called_extension"),
    ("callerextension", "caller_extension"),
    ("callednumber", "called_number"),
];

impl System for VoipNow {
    fn name(&self) -> &'static str {
        SYSTEM
    }

    fn title(&self) -> &'static str {
        "VoipNow"
    }

    fn routes(&self) -> &'static [&'static str] {
        ROUTES
    }

    fn sends_get(&self) -> bool {
        true
    }

    fn accepts(&self, content_type: &str) -> bool {
        content_type == "application/x-www-form-urlencoded" || freshworks::accepts(content_type)
    }

    /// The form and the URL's query together, since whoever set the URL up may have added parameters.
    fn split(&self, request: &Request<'_>) -> Vec<SplitEvent> {
        let body = request.body.trim_ascii();
        if body.first().is_some_and(|first| matches!(first, b'{' | b'[')) {
            return split_events(&request.body, |root| {
                let id = root.members().find(|(key, _)| key.eq_ignore_ascii_case("CallID"))?.1;
                id.scalar_text().map(|id| format!("call:{id}"))
            });
        }
        let mut form = body.to_vec();
        if !request.query.is_empty() {
            if !form.is_empty() {
                form.push(b'&');
            }
            form.extend_from_slice(request.query.as_bytes());
        }
        if form.is_empty() {
            return Vec::new();
        }
        let parameters = Parameters::form(&form);
        let id = parameters.get("callid").map(|id| format!("call:{id}"));
        vec![SplitEvent { readable: id.is_some(), key: id, body: Bytes::from(form) }]
    }

    fn flatten(&self, event: &RawEvent, out: &mut Output<'_>) -> Result<(), Rejection> {
        let mut tape = Tape::default();
        let parameters = Parameters::read(&event.body, &mut tape)?;
        let id = parameters
            .get("callid")
            .filter(|id| !id.is_empty())
            .ok_or_else(|| Rejection::new(Stage::Flatten, "no-id", "the event has no CallID"))?;
        let phase = phase(event.route.as_deref(), &parameters);
        let key = key(event.route.as_deref(), &parameters);
        let head = Head {
            system: SYSTEM,
            account_id: account(&parameters),
            event_type: phase,
            event_time: None,
            event_key: &key,
        };
        debug_assert!(!id.is_empty());
        if out.begin(&head) {
            let at = out.event_time();
            row(&mut out.row(&CALLS), phase, at, &parameters);
        }
        Ok(())
    }

    fn repeat_window(&self) -> Micros {
        TEN_MINUTES
    }
}

/// The parameters of one event, in the order sent.
struct Parameters<'e>(Vec<(Cow<'e, str>, Cow<'e, str>)>);

impl<'e> Parameters<'e> {
    fn form(body: &'e [u8]) -> Self {
        Self(form_urlencoded::parse(body).collect())
    }

    fn read(body: &'e [u8], tape: &'e mut Tape) -> Result<Self, Rejection> {
        let trimmed = body.trim_ascii();
        if trimmed.is_empty() {
            return Err(Rejection::new(Stage::Decode, "empty", "the event has no parameters"));
        }
        if trimmed.first() != Some(&b'{') {
            return Ok(Self::form(trimmed));
        }
        let document =
            tape.parse(trimmed).map_err(|error| freshworks::parse_error(&error, body))?;
        let members = document.root().members().filter(|(_, value)| value.kind() != JsonKind::Null);
        let text = |(key, value): (&'e str, crate::json::Value<'e>)| {
            (Cow::from(key), Cow::from(value.scalar_text().unwrap_or(value.raw())))
        };
        Ok(Self(members.filter(|(key, _)| *key != "iparams").map(text).collect()))
    }

    /// A parameter by its lower-case name.
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_ref())
    }
}

/// What happened, by route, by the parameter that a derivative product sends, or by inference.
fn phase(route: Option<&str>, parameters: &Parameters<'_>) -> &'static str {
    let told = route.or_else(|| parameters.get("eventtype"));
    if let Some(phase) =
        ROUTES.iter().find(|phase| told.is_some_and(|t| t.eq_ignore_ascii_case(phase)))
    {
        return phase;
    }
    let is =
        |name, value: &str| parameters.get(name).is_some_and(|v| v.eq_ignore_ascii_case(value));
    match (is("callstatus", "CALLING"), is("callflow", "OUT")) {
        (true, false) => "dial-in",
        (true, true) => "dial-out",
        (false, _) => "hangup",
    }
}

/// A hash of the route and the parameters, in whatever order they were sent.
fn key(route: Option<&str>, parameters: &Parameters<'_>) -> String {
    let mut pairs: Vec<(&str, &str)> =
        parameters.0.iter().map(|(key, value)| (key.as_ref(), value.as_ref())).collect();
    pairs.sort_unstable();
    let mut parts = vec![route.unwrap_or_default()];
    parts.extend(pairs.into_iter().flat_map(|(key, value)| [key, value]));
    content_key(&parts)
}

/// The organisation's prefix of an extended extension number, `yyyy` of `yyyy*zzz`.
fn account<'p>(parameters: &'p Parameters<'_>) -> Option<&'p str> {
    extension(parameters)?.split_once('*').map(|(account, _)| account)
}

fn is_outgoing(parameters: &Parameters<'_>) -> Option<bool> {
    let flow = parameters.get("callflow")?;
    match () {
        () if flow.eq_ignore_ascii_case("OUT") => Some(true),
        () if flow.eq_ignore_ascii_case("IN") => Some(false),
        () => None,
    }
}

/// The extension whose event it is: the called one of a call that comes in, else the calling one.
fn extension<'p>(parameters: &'p Parameters<'_>) -> Option<&'p str> {
    let (caller, called) = (parameters.get("callerextension"), parameters.get("calledextension"));
    match is_outgoing(parameters) {
        Some(true) => caller,
        Some(false) => called,
        None => called.or(caller),
    }
    .filter(|extension| !extension.is_empty())
}

fn row(row: &mut RowWriter<'_>, phase: &'static str, at: Micros, parameters: &Parameters<'_>) {
    row.text("phase", phase);
    let mut taken: Vec<&str> = Vec::new();
    for (name, value) in &parameters.0 {
        let lower = name.to_ascii_lowercase();
        let column = COLUMNS.iter().find(|(parameter, _)| *parameter == lower).map(|(_, c)| *c);
        match column.filter(|column| !taken.contains(column)) {
            Some(column) => {
                taken.push(column);
                row.text(column, value);
            }
            None if lower == "callflow" && is_outgoing(parameters).is_some() => {}
            None => row.extra_text(name, value),
        }
    }
    let get = |name| parameters.get(name).filter(|value| !value.is_empty());
    row.some_text("extension", extension(parameters)).some_text("agent_id", extension(parameters));
    match is_outgoing(parameters) {
        Some(true) => {
            row.text("direction", "outgoing")
                .some_text("number", get("calleridnum"))
                .some_text("customer_number", get("callednumber"));
        }
        Some(false) => {
            row.text("direction", "incoming")
                .some_text("number", get("calleddid"))
                .some_text("customer_number", get("calleridnum"))
                .some_text("customer_name", get("calleridname").or_else(|| get("calleridnam")));
        }
        None => {}
    }
    match phase {
        "answer" => row.time("answered_at", at),
        "hangup" => row.time("ended_at", at),
        _ => row.time("started_at", at),
    };
}
