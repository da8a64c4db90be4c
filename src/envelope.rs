//! One event of the log as a line of JSON, and back: what `log dump` and `simulate` write, and
//! `import --enveloped` reads.
//!
//! `{"system", "route", "received_at", "body"}`; a body that is not UTF-8 is `body_base64`, and a record that
//! resolves a dead letter says so in `resolves`.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use ringlake_transform::{Micros, Resolution};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub struct Envelope<'a> {
    #[serde(borrow)]
    pub system: Cow<'a, str>,
    #[serde(borrow, default)]
    pub route: Option<Cow<'a, str>>,
    /// RFC 3339, or µs since 1970.
    #[serde(borrow, default)]
    received_at: Option<Time<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    body_base64: Option<Cow<'a, str>>,
    /// Set where the record resolves a dead letter.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    resolves: Option<Cow<'a, str>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Time<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Micros(Micros),
}

impl<'a> Envelope<'a> {
    pub fn new(
        system: &'a str,
        route: Option<&'a str>,
        received_at: Micros,
        body: &'a [u8],
    ) -> Self {
        let time = DateTime::from_timestamp_micros(received_at).unwrap_or_default();
        let time = time.to_rfc3339_opts(SecondsFormat::Micros, true);
        let text = std::str::from_utf8(body).ok();
        Self {
            system: system.into(),
            route: route.map(Into::into),
            received_at: Some(Time::Text(time.into())),
            body: text.map(Into::into),
            body_base64: if text.is_none() { Some(STANDARD.encode(body).into()) } else { None },
            resolves: None,
        }
    }

    #[must_use]
    pub fn with_resolution(self, resolution: Option<&Resolution>) -> Self {
        Self { resolves: resolution.map(|resolution| resolution.to_string().into()), ..self }
    }

    /// What it resolves, where it says so rightly.
    pub fn resolution(&self) -> Option<Resolution> {
        self.resolves.as_deref()?.parse().ok()
    }

    /// One line, without its end.
    pub fn line(&self) -> String {
        // Strings and numbers only: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// When it was received, where the envelope says so rightly.
    pub fn received_at(&self) -> Option<Micros> {
        match self.received_at.as_ref()? {
            Time::Micros(micros) => Some(*micros),
            Time::Text(text) => {
                DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_micros())
            }
        }
    }

    /// The vendor's bytes; none where there is no body, or none that can be read.
    pub fn body(&self) -> Option<Bytes> {
        match (&self.body, &self.body_base64) {
            (Some(text), _) => Some(Bytes::copy_from_slice(text.as_bytes())),
            (None, Some(text)) => STANDARD.decode(text.as_bytes()).ok().map(Bytes::from),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for body in [&b"{\"a\": \"\\u00e9\n\"}"[..], b"\xff\x00"] {
            let resolution: Resolution = "retry 5 a/0/17".parse().unwrap();
            let line = Envelope::new("a", Some("dial-in"), 1_772_000_000_123_456, body)
                .with_resolution(Some(&resolution))
                .line();
            let back: Envelope = serde_json::from_str(&line).unwrap();
            assert_eq!(back.resolution(), Some(resolution));
            assert_eq!(back.body().unwrap(), body);
            assert_eq!(back.received_at(), Some(1_772_000_000_123_456));
            assert_eq!(back.route.as_deref(), Some("dial-in"));
        }
    }
}
