//! The source systems: one file per vendor product, and one slice that names them all.
//!
//! Route, topic, metric label, fixtures folder and the name of the secret all follow from
//! [`System::name`]. A new system is a new file here and its entry in [`SYSTEMS`]; no other place
//! in the project may decide by a system's name.

use bytes::Bytes;
use thiserror::Error;

use crate::error::{Rejection, UnknownName};
use crate::event::{Micros, RawEvent};
use crate::flatten::Output;

mod freshcaller;
mod freshsales;
mod freshworks;
mod voipnow;
mod vonage;

/// All systems, in the order in which they are listed to people.
pub const SYSTEMS: &[&dyn System] =
    &[&freshcaller::Freshcaller, &freshsales::Freshsales, &vonage::Vonage, &voipnow::VoipNow];

/// How long a repeat of an event is recognised as one, unless the system says otherwise: 7 days.
pub const REPEAT_WINDOW: Micros = 7 * 24 * 3600 * 1_000_000;

/// What one HTTP request carried, as far as splitting it into events needs to know.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    /// The raw query string, without the question mark.
    pub query: &'a str,
    /// The media type, lower case and without parameters, where one was sent.
    pub content_type: Option<&'a str>,
    /// Header names in lower case with their values, those that are text.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: Bytes,
}

impl<'a> Request<'a> {
    /// The first header of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| *value)
    }
}

/// Why a request's signature does not prove who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the signature is refused: {0}")]
pub struct Unverified(pub &'static str);

/// One event of a request, ready for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitEvent {
    /// The bytes to keep: the vendor's own, less the value of `iparams`.
    pub body: Bytes,
    /// The entity it is about (`call:135`), so that its events stay in order in one partition.
    pub key: Option<String>,
    /// False when the body cannot be read; it is kept all the same and becomes a dead letter.
    pub readable: bool,
}

/// A vendor product that sends events.
pub trait System: Send + Sync {
    /// Lower-case name, as in routes, topics, settings and the column `system`.
    fn name(&self) -> &'static str;

    /// The vendor product's name as people know it.
    fn title(&self) -> &'static str;

    /// Further path segments that tell its events apart, for vendors whose payload does not.
    fn routes(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether the vendor may send an event as the query of a GET request.
    fn sends_get(&self) -> bool {
        false
    }

    /// Whether a body of this media type can be one of its events.
    fn accepts(&self, content_type: &str) -> bool;

    /// Whether the vendor signs its requests with a secret that both sides know.
    fn signs(&self) -> bool {
        false
    }

    /// Checks the signature of a request, over the raw body.
    fn verify(
        &self,
        _request: &Request<'_>,
        _secret: &str,
        _now: Micros,
    ) -> Result<(), Unverified> {
        Ok(())
    }

    /// Splits a request into events: one, a JSON array, or NDJSON. Never fails: what cannot be read
    /// comes back whole, as one event that is not `readable`. An empty request has no event.
    fn split(&self, request: &Request<'_>) -> Vec<SplitEvent>;

    /// Writes the rows of one event, or says why it is none.
    fn flatten(&self, event: &RawEvent, out: &mut Output<'_>) -> Result<(), Rejection>;

    /// Within which time equal events are repeats of one.
    fn repeat_window(&self) -> Micros {
        REPEAT_WINDOW
    }
}

/// The system of this name.
pub fn by_name(name: &str) -> Result<&'static dyn System, UnknownName> {
    SYSTEMS.iter().copied().find(|system| system.name() == name).ok_or_else(|| UnknownName {
        what: "system",
        name: name.to_owned(),
        known: SYSTEMS.iter().map(|system| system.name()).collect(),
    })
}
