//! Splits a JSON request body into events: one object, an array of them, or NDJSON.
//!
//! Each event keeps the bytes the vendor wrote; the array's brackets and the line ends go.

use bytes::Bytes;

use super::redact::redact_iparams;
use super::tape::{JsonKind, Tape, Value};
use crate::systems::SplitEvent;

/// The events of a body. `key` names the entity of a readable event.
///
/// A body that is neither a document nor lines of documents comes back as one unreadable event; of
/// NDJSON each line stands for itself, so one bad line harms no other.
pub fn split_events(body: &Bytes, key: fn(Value<'_>) -> Option<String>) -> Vec<SplitEvent> {
    let mut tape = Tape::default();
    let trimmed = trim(body);
    if trimmed.is_empty() {
        return Vec::new();
    }
    if let Ok(document) = tape.parse(&trimmed) {
        let root = document.root();
        if root.kind() == JsonKind::Array {
            let spans: Vec<_> = root.items().map(|item| item.span()).collect();
            return spans.into_iter().map(|s| event(&mut tape, &trimmed.slice(s), key)).collect();
        }
        return vec![event(&mut tape, &trimmed, key)];
    }
    let lines: Vec<Bytes> = lines(&trimmed).filter(|line| !line.is_empty()).collect();
    let is_ndjson = lines.len() > 1 && lines.iter().any(|line| tape.parse(line).is_ok());
    if is_ndjson {
        return lines.iter().map(|line| event(&mut tape, line, key)).collect();
    }
    vec![event(&mut tape, body, key)]
}

fn event(tape: &mut Tape, body: &Bytes, key: fn(Value<'_>) -> Option<String>) -> SplitEvent {
    let redacted = match redact_iparams(tape, body) {
        std::borrow::Cow::Borrowed(_) => body.clone(),
        std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
    };
    match tape.parse(&redacted) {
        Ok(document) => {
            let root = document.root();
            let readable = root.kind() == JsonKind::Object;
            SplitEvent { key: key(root), readable, body: redacted.clone() }
        }
        Err(_) => SplitEvent { key: None, readable: false, body: redacted },
    }
}

fn lines(body: &Bytes) -> impl Iterator<Item = Bytes> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let rest = body.get(from..).filter(|rest| !rest.is_empty())?;
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = trim(&body.slice(from..from + end));
        from += end + 1;
        Some(line)
    })
}

fn trim(body: &Bytes) -> Bytes {
    body.slice_ref(body.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(body: &str) -> Vec<(String, bool)> {
        split_events(&Bytes::copy_from_slice(body.as_bytes()), |_| None)
            .into_iter()
            .map(|e| (String::from_utf8(e.body.to_vec()).unwrap(), e.readable))
            .collect()
    }

    #[test]
    fn one_event_an_array_and_lines() {
        assert_eq!(split(" {\"a\": 1}\n"), [("{\"a\": 1}".into(), true)]);
        assert_eq!(
            split(r#"[{"a":1}, {"b":2}]"#),
            [(r#"{"a":1}"#.into(), true), (r#"{"b":2}"#.into(), true)]
        );
        assert_eq!(
            split("{\"a\":1}\r\n\n{\"b\":2}\n"),
            [(r#"{"a":1}"#.into(), true), (r#"{"b":2}"#.into(), true)]
        );
        assert_eq!(split("{\n \"a\":\n1}"), [("{\n \"a\":\n1}".into(), true)]);
        assert!(split(" \n").is_empty());
    }

    #[test]
    fn what_cannot_be_read_comes_back_whole_and_harms_no_other() {
        assert_eq!(split(r#"{"a":"#), [(r#"{"a":"#.into(), false)]);
        assert_eq!(
            split("{\"a\":1}\n{\"b\""),
            [(r#"{"a":1}"#.into(), true), ("{\"b\"".into(), false)]
        );
        assert_eq!(split("7"), [("7".into(), false)]);
    }
}
