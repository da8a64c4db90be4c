//! What Freshworks products have in common: one envelope, and one list of events.
//!
//! An app that runs in several products forwards all of its events to one URL, so either Freshworks
//! route takes any Freshworks event, and the event's name decides what it is. Envelopes come in two
//! shapes: `account_id` + `domain` (developers.freshcaller.com, product events) and, since platform
//! 3.0, `currentHost.endpoint_urls`, whose host is then the account.

mod actor;
mod agents;
mod calls;
mod changes;
mod fields;
mod phone_calls;
mod records;

use bytes::Bytes;

use super::SplitEvent;
use crate::error::{Rejection, Stage};
use crate::event::{Micros, RawEvent};
use crate::flatten::{Head, Output};
use crate::json::{JsonKind, ParseError, Tape, Value, split_events};
use crate::repeats::content_key;
use crate::rows::RowWriter;
use crate::tables::{
    APPOINTMENTS, CONTACTS, CUSTOM_MODULE_RECORDS, DEALS, LEADS, SALES_ACCOUNTS, TASKS,
};
use crate::values;

use records::RecordType;

/// What an event is about; the name's `Create`, `Update` or `Delete` is what happened to it.
enum Subject {
    Call,
    PhoneCall,
    Agent,
    Record(RecordType),
}

/// Names as the vendor spells them, without what happened.
const SUBJECTS: &[(&str, Subject)] = &[
    ("onCall", Subject::Call),
    ("onPhoneCall", Subject::PhoneCall),
    ("onAgent", Subject::Agent),
    ("onContact", Subject::Record(RecordType::new("contact", &CONTACTS, &["contact"]))),
    ("onLead", Subject::Record(RecordType::new("lead", &LEADS, &["lead"]))),
    ("onDeal", Subject::Record(RecordType::new("deal", &DEALS, &["deal"]))),
    (
        "onSalesAccount",
        Subject::Record(RecordType::new("sales_account", &SALES_ACCOUNTS, &["sales_account"])),
    ),
    (
        "onCustomModule",
        Subject::Record(RecordType::new(
            "custom_module_record",
            &CUSTOM_MODULE_RECORDS,
            &["custom_module_record", "custom_module"],
        )),
    ),
    (
        "onAppointment",
        Subject::Record(RecordType::new("appointment", &APPOINTMENTS, &["appointment"])),
    ),
    ("onTask", Subject::Record(RecordType::new("task", &TASKS, &["task"]))),
];

const HAPPENINGS: &[&str] = &["Create", "Update", "Delete"];

/// Members of the envelope that have a column or are told by one.
const ENVELOPE: &[&str] =
    &["account_id", "domain", "event", "timestamp", "region", "data", "iparams"];

fn subject(event: &str) -> Option<&'static Subject> {
    let stem = HAPPENINGS.iter().find_map(|happening| event.strip_suffix(happening))?;
    SUBJECTS.iter().find(|(name, _)| *name == stem).map(|(_, subject)| subject)
}

/// An event as its envelope tells it.
pub(super) struct Envelope<'t> {
    root: Value<'t>,
    event: &'t str,
    account: Option<&'t str>,
    domain: Option<&'t str>,
    region: Option<&'t str>,
    time: Option<Value<'t>>,
    /// The same, as it is read.
    at: Option<Micros>,
    data: Value<'t>,
    /// Whether it has members besides [`ENVELOPE`], or members that are not what they should be.
    says_more: bool,
}

impl<'t> Envelope<'t> {
    fn read(root: Value<'t>) -> Result<Self, Rejection> {
        let [mut event, mut data, mut account, mut domain, mut region, mut time] = [None; 6];
        let mut says_more = false;
        for (key, value) in root.last_first() {
            let told = match key {
                "event" => &mut event,
                "data" => &mut data,
                "account_id" => &mut account,
                "domain" => &mut domain,
                "region" => &mut region,
                "timestamp" => &mut time,
                _ => {
                    says_more |= key != "iparams";
                    continue;
                }
            };
            // The last of repeated members comes first, and counts.
            told.get_or_insert(value);
            says_more |= is_odd(key, value);
        }
        let event = event.and_then(Value::as_str).ok_or_else(|| {
            Rejection::new(
                Stage::Recognise,
                "no-event-name",
                "the body has no \"event\": is this route's URL registered with another product?",
            )
        })?;
        let data = data.ok_or_else(|| {
            Rejection::new(Stage::Flatten, "no-data", format!("the {event} event has no \"data\""))
        })?;
        let text = |value: Option<Value<'t>>| value.and_then(Value::scalar_text);
        let domain = text(domain).or_else(|| host(root));
        let account = text(account).or(domain);
        let (region, at) = (text(region), time.and_then(values::time_of));
        Ok(Self { root, event, account, domain, region, time, at, data, says_more })
    }

    /// The vendor sends no id: what was sent is the key, less `iparams` and the envelope's rest.
    fn key(&self) -> String {
        let time = self.time.map_or("", Value::raw);
        content_key(&[self.event, self.account.unwrap_or_default(), time, self.data.raw()])
    }

    fn begin(&self, system: &'static str, out: &mut Output<'_>) -> bool {
        out.begin(&Head {
            system,
            account_id: self.account,
            event_type: self.event,
            event_time: self.at,
            event_key: &self.key(),
        })
    }

    /// What happened, in lower case: create, update, delete.
    fn happening(&self) -> &'static str {
        match self.event {
            event if event.ends_with("Create") => "create",
            event if event.ends_with("Delete") => "delete",
            _ => "update",
        }
    }

    /// The object of the event, by the first of these keys that `data` has.
    fn object(&self, keys: &[&str]) -> Result<Value<'t>, Rejection> {
        let found = keys.iter().find_map(|key| self.data.get_some(key));
        let missing = |what: &str| {
            let key = keys.first().copied().unwrap_or_default();
            let message = format!("the {} event has no \"data.{key}{what}\"", self.event);
            Rejection::new(Stage::Flatten, "no-id", message)
        };
        let object = found.ok_or_else(|| missing(""))?;
        object.get("id").and_then(Value::scalar_text).ok_or_else(|| missing(".id"))?;
        Ok(object)
    }

    /// Keeps what the envelope and `data` have besides the columns.
    ///
    /// `at` is the time that counts; the vendor's, where it is another, is kept too.
    fn keep_rest(&self, row: &mut RowWriter<'_>, at: Micros, used: &[&str]) {
        if let Some(time) = self.time.filter(|time| self.at != Some(at) && !time.is_null()) {
            row.extra("timestamp", time);
        }
        if self.says_more {
            let rest =
                |(key, value): &(&str, Value<'_>)| !ENVELOPE.contains(key) || is_odd(key, *value);
            for (key, value) in self.root.members().filter(rest) {
                row.extra(key, value);
            }
        }
        let data = self
            .data
            .members()
            .filter(|(key, value)| *key != "iparams" && !used.contains(key) && value.raw() != "{}");
        for (key, value) in data {
            row.extra(key, value);
        }
    }
}

/// Whether a member of the envelope that should be a text or a number is none.
fn is_odd(key: &str, value: Value<'_>) -> bool {
    matches!(key, "account_id" | "domain" | "region")
        && matches!(value.kind(), JsonKind::Array | JsonKind::Object)
}

/// The host of the first endpoint URL of a platform 3.0 envelope.
fn host<'t>(root: Value<'t>) -> Option<&'t str> {
    let urls = root.get("currentHost")?.get("endpoint_urls")?;
    let (_, url) = urls.members().next()?;
    let rest = url.as_str()?.split_once("://")?.1;
    rest.split('/').next()
}

pub(super) fn accepts(content_type: &str) -> bool {
    matches!(
        content_type,
        "application/json"
            | "text/json"
            | "text/plain"
            | "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
    )
}

pub(super) fn split(body: &Bytes) -> Vec<SplitEvent> {
    split_events(body, entity)
}

/// `call:135`, so that all of a call's or a record's events lie in one partition, in order.
fn entity(root: Value<'_>) -> Option<String> {
    let (event, data) = (root.get("event")?.as_str()?, root.get("data")?);
    let (name, keys): (&str, &[&str]) = match subject(event)? {
        Subject::Call => ("call", &["call"]),
        Subject::PhoneCall => ("phone_call", &["phone_call"]),
        Subject::Agent => ("agent", &["agent"]),
        Subject::Record(record) => (record.name, record.keys),
    };
    let id = keys.iter().find_map(|key| data.get(key)?.get("id")?.scalar_text())?;
    Some(format!("{name}:{id}"))
}

pub(super) fn parse_error(error: &ParseError, body: &[u8]) -> Rejection {
    let cause = match error {
        ParseError::NotUtf8(_) => "not-utf8",
        ParseError::TooDeep => "too-deep",
        ParseError::TooLong(_) => "too-long",
        ParseError::Syntax { .. } if body.trim_ascii().is_empty() => "empty",
        ParseError::Syntax { .. } => "not-json",
    };
    Rejection::new(Stage::Decode, cause, format!("the body is no JSON: {error}"))
}

pub(super) fn flatten(event: &RawEvent, out: &mut Output<'_>) -> Result<(), Rejection> {
    out.with_tape(|tape, out| read(event, tape, out))
}

fn read(event: &RawEvent, tape: &mut Tape, out: &mut Output<'_>) -> Result<(), Rejection> {
    let document = tape.parse(&event.body).map_err(|error| parse_error(&error, &event.body))?;
    let envelope = Envelope::read(document.root())?;
    match subject(envelope.event) {
        Some(Subject::Call) => calls::flatten(&envelope, out),
        Some(Subject::PhoneCall) => phone_calls::flatten(&envelope, out),
        Some(Subject::Agent) => agents::flatten(&envelope, out),
        Some(Subject::Record(record)) => records::flatten(record, &envelope, out),
        None => Err(unknown(envelope.event)),
    }
}

fn unknown(event: &str) -> Rejection {
    let known: Vec<String> = SUBJECTS.iter().map(|(name, _)| format!("{name}…")).collect();
    let message = format!("unknown event {event:?}; this version knows {}", known.join(", "));
    Rejection::new(Stage::Recognise, "unknown-event", message)
}
