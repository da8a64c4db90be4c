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
use crate::form;
use crate::json::{Tape, Value, redact_iparams, split_events};
use crate::repeats::unordered_key;
use crate::rows::RowWriter;
use crate::tables::CALLS;

pub struct VoipNow;

const SYSTEM: &str = "voipnow";
const ROUTES: &[&str] = &["dial-in", "dial-out", "answer", "hangup"];
const TEN_MINUTES: Micros = 10 * 60 * 1_000_000;

/// A parameter that this version knows: its place in [`KNOWN`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    CallId,
    CallerIdNum,
    CallerIdName,
    CallerIdNam,
    CalledDid,
    CalledExtension,
    CallerExtension,
    CalledNumber,
    CallStatus,
    CallFlow,
    EventType,
}

/// A parameter as it is documented, and its column.
type Meaning = (&'static str, Known, Option<&'static str>);

/// About in the order in which they are sent. The older documentation prints `CallerIDNam`.
static KNOWN: [Meaning; 11] = [
    ("CallID", Known::CallId, Some("call_id")),
    ("CallerIDNum", Known::CallerIdNum, Some("caller_number")),
    ("CallerIDName", Known::CallerIdName, Some("caller_name")),
    ("CallerIDNam", Known::CallerIdNam, Some("caller_name")),
    ("CalledDID", Known::CalledDid, Some("called_did")),
    ("CalledExtension", Known::CalledExtension, Some("called_extension")),
    ("CallerExtension", Known::CallerExtension, Some("caller_extension")),
    ("CalledNumber", Known::CalledNumber, Some("called_number")),
    ("CallStatus", Known::CallStatus, Some("status")),
    ("CallFlow", Known::CallFlow, None),
    ("EventType", Known::EventType, None),
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
        let form = redact_iparams(&mut Tape::default(), &form).into_owned();
        let parameters = Parameters::form(&form);
        let id = parameters.get(Known::CallId).map(|id| format!("call:{id}"));
        vec![SplitEvent { readable: id.is_some(), key: id, body: Bytes::from(form) }]
    }

    fn flatten(&self, event: &RawEvent, out: &mut Output<'_>) -> Result<(), Rejection> {
        let body = event.body.trim_ascii();
        match body.first() {
            None => Err(Rejection::new(Stage::Decode, "empty", "the event has no parameters")),
            Some(b'{') => out.with_tape(|tape, out| {
                let document =
                    tape.parse(body).map_err(|error| freshworks::parse_error(&error, body))?;
                call(event, &Parameters::object(document.root()), out)
            }),
            Some(_) => call(event, &Parameters::form(body), out),
        }
    }

    fn repeat_window(&self) -> Micros {
        TEN_MINUTES
    }
}

fn call(
    event: &RawEvent,
    parameters: &Parameters<'_>,
    out: &mut Output<'_>,
) -> Result<(), Rejection> {
    if parameters.some(Known::CallId).is_none() {
        return Err(Rejection::new(Stage::Flatten, "no-id", "the event has no CallID"));
    }
    let route = event.route.as_deref();
    let phase = phase(route, parameters);
    let head = Head {
        system: SYSTEM,
        account_id: account(parameters),
        event_type: phase,
        event_time: None,
        event_key: &key(route, parameters),
    };
    if out.begin(&head) {
        let at = out.event_time();
        let mut row = out.row(&CALLS);
        columns(&mut row, phase, at, parameters);
        undecoded(&mut row, event.body.trim_ascii(), parameters);
    }
    Ok(())
}

struct Parameter<'e> {
    name: Cow<'e, str>,
    value: Cow<'e, str>,
    known: Option<&'static Meaning>,
}

/// The parameters of one event, in the order sent.
struct Parameters<'e> {
    all: Vec<Parameter<'e>>,
    /// Where the first of each meaning is.
    first: [Option<usize>; KNOWN.len()],
}

impl<'e> Parameters<'e> {
    fn form(body: &'e [u8]) -> Self {
        Self::read(form::pairs(body).filter(|(name, _)| name != "iparams"))
    }

    /// The last of equal names counts, and so comes first.
    fn object(root: Value<'e>) -> Self {
        let members = root.last_first();
        let members = members.filter(|(key, value)| !value.is_null() && *key != "iparams");
        Self::read(
            members.map(|(key, value)| {
                (key.into(), value.scalar_text().unwrap_or(value.raw()).into())
            }),
        )
    }

    fn read(pairs: impl Iterator<Item = (Cow<'e, str>, Cow<'e, str>)>) -> Self {
        let mut parameters = Self { all: Vec::with_capacity(16), first: [None; KNOWN.len()] };
        // Senders keep the order and the case of the documentation.
        let mut next = 0;
        for (name, value) in pairs {
            let mut later = KNOWN.iter().skip(next);
            let known = later
                .find(|(known, ..)| *known == name)
                .or_else(|| KNOWN.iter().find(|(known, ..)| known.eq_ignore_ascii_case(&name)));
            if let Some((_, known, _)) = known {
                next = *known as usize + 1;
                if let Some(first) = parameters.first.get_mut(*known as usize) {
                    first.get_or_insert(parameters.all.len());
                }
            }
            parameters.all.push(Parameter { name, value, known });
        }
        parameters
    }

    /// The first parameter of this meaning.
    fn get(&self, known: Known) -> Option<&str> {
        let at = self.first.get(known as usize).copied().flatten()?;
        self.all.get(at).map(|parameter| parameter.value.as_ref())
    }

    /// The first parameter of this meaning, if it is not empty.
    fn some(&self, known: Known) -> Option<&str> {
        self.get(known).filter(|value| !value.is_empty())
    }
}

/// What happened, by route, by the parameter that a derivative product sends, or by inference.
fn phase(route: Option<&str>, parameters: &Parameters<'_>) -> &'static str {
    let told = route.or_else(|| parameters.get(Known::EventType));
    if let Some(phase) =
        ROUTES.iter().find(|phase| told.is_some_and(|t| t.eq_ignore_ascii_case(phase)))
    {
        return phase;
    }
    let is =
        |known, value: &str| parameters.get(known).is_some_and(|v| v.eq_ignore_ascii_case(value));
    match (is(Known::CallStatus, "CALLING"), is(Known::CallFlow, "OUT")) {
        (true, false) => "dial-in",
        (true, true) => "dial-out",
        (false, _) => "hangup",
    }
}

/// A hash of the route and the parameters, in whatever order they were sent.
fn key(route: Option<&str>, parameters: &Parameters<'_>) -> String {
    let pairs = parameters.all.iter().map(|p| (&*p.name, &*p.value));
    unordered_key(route.unwrap_or_default(), pairs)
}

/// The organisation's prefix of an extended extension number, `yyyy` of `yyyy*zzz`.
fn account<'p>(parameters: &'p Parameters<'_>) -> Option<&'p str> {
    extension(parameters)?.split_once('*').map(|(account, _)| account)
}

fn is_outgoing(parameters: &Parameters<'_>) -> Option<bool> {
    direction(parameters.get(Known::CallFlow)?)
}

/// Whether a `CallFlow` is outgoing; none if it is neither way.
fn direction(flow: &str) -> Option<bool> {
    match () {
        () if flow.eq_ignore_ascii_case("OUT") => Some(true),
        () if flow.eq_ignore_ascii_case("IN") => Some(false),
        () => None,
    }
}

/// The extension whose event it is: the called one of a call that comes in, else the calling one.
fn extension<'p>(parameters: &'p Parameters<'_>) -> Option<&'p str> {
    let caller = parameters.get(Known::CallerExtension);
    let called = parameters.get(Known::CalledExtension);
    match is_outgoing(parameters) {
        Some(true) => caller,
        Some(false) => called,
        None => called.or(caller),
    }
    .filter(|extension| !extension.is_empty())
}

/// Keeps parameters of a form as they were spelled where the bytes they stand for are no text: what
/// they were decoded to has lost these bytes.
fn undecoded(row: &mut RowWriter<'_>, body: &[u8], parameters: &Parameters<'_>) {
    // What was lost is never as it stood in the body.
    let is_lost = |text: &Cow<'_, str>| match text {
        Cow::Borrowed(_) => false,
        Cow::Owned(text) => text.contains(char::REPLACEMENT_CHARACTER),
    };
    if !parameters.all.iter().any(|p| is_lost(&p.name) || is_lost(&p.value)) {
        return;
    }
    for pair in body.split(|byte| *byte == b'&') {
        if form_urlencoded::parse(pair).any(|(name, value)| is_lost(&name) || is_lost(&value)) {
            let spelled = |byte: &u8| match byte {
                0x21..=0x7e => char::from(*byte).to_string(),
                _ => format!("%{byte:02X}"),
            };
            row.extra_text("undecoded", &pair.iter().map(spelled).collect::<String>());
        }
    }
}

fn columns(row: &mut RowWriter<'_>, phase: &'static str, at: Micros, parameters: &Parameters<'_>) {
    row.text("phase", phase);
    let outgoing = is_outgoing(parameters);
    for Parameter { name, value, known } in &parameters.all {
        match known {
            // The spelling of a misprint yields to the right one.
            Some((_, Known::CallerIdNam, _)) if parameters.get(Known::CallerIdName).is_some() => {
                row.extra_text(name, value);
            }
            Some((_, _, Some(column))) => match row.try_text(column, value) {
                true => {}
                false => row.duplicate_text(name, value),
            },
            // A second one may tell something else.
            Some((_, Known::CallFlow, _)) if outgoing.is_some() && direction(value) == outgoing => {
            }
            _ => row.extra_text(name, value),
        }
    }
    let extension = extension(parameters);
    row.some_text("extension", extension).some_text("agent_id", extension);
    let name = parameters.some(Known::CallerIdName);
    match outgoing {
        Some(true) => {
            row.text("direction", "outgoing")
                .some_text("number", parameters.some(Known::CallerIdNum))
                .some_text("customer_number", parameters.some(Known::CalledNumber));
        }
        Some(false) => {
            row.text("direction", "incoming")
                .some_text("number", parameters.some(Known::CalledDid))
                .some_text("customer_number", parameters.some(Known::CallerIdNum))
                .some_text("customer_name", name.or_else(|| parameters.some(Known::CallerIdNam)));
        }
        None => {}
    }
    match phase {
        "answer" => row.time("answered_at", at),
        "hangup" => row.time("ended_at", at),
        _ => row.time("started_at", at),
    };
}
