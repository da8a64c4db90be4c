//! Cuts the value of `iparams` out of a body, at whatever depth it stands.
//!
//! `iparams` holds an app's installation parameters, API tokens among them. It is cut before the log,
//! and again before an event is read, since other producers may write to the log too. Text inside a
//! document that is itself JSON is searched as well: an app may forward what it got as a string. A body
//! that is not JSON is searched as text: from the key on, what looks like its value goes, and if no end
//! of it can be found, all that follows.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::tape::{JsonKind, Tape, Value};
use crate::rows::push_json_string;

const KEY: &str = "iparams";
/// Made once: making it takes as long as searching an event.
static IPARAMS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(KEY));
/// What stands in the place of the value.
const EMPTY: &[u8] = b"{}";
/// What is left of a member once it is cut, as the door writes it.
const CUT: &[u8] = b"\":{}";

/// What is to be replaced, by what.
type Span = (Range<usize>, Vec<u8>);

/// The body with every value of `iparams` replaced by `{}`; borrowed when there is none.
pub fn redact_iparams<'a>(tape: &mut Tape, body: &'a [u8]) -> Cow<'a, [u8]> {
    if is_clean(body) {
        return Cow::Borrowed(body);
    }
    let mut spans = Vec::new();
    match tape.parse(body) {
        Ok(document) => collect(document.root(), &mut spans),
        Err(_) => search(body, &mut spans),
    }
    cut(body, &spans)
}

/// Whether no `iparams` but those that were cut can be in these bytes. Says no where only a look at
/// the values can tell.
pub fn is_clean(body: &[u8]) -> bool {
    let cut = |at| body.get(at + KEY.len()..).is_some_and(|after: &[u8]| after.starts_with(CUT));
    if !IPARAMS.find_iter(body).all(cut) {
        return false;
    }
    // A key may spell its letters as \u escapes, of which the first hex digits are these.
    let spelled = |at: usize| {
        let escape = body.get(at..).unwrap_or_default();
        escape.starts_with(b"\\u006") || escape.starts_with(b"\\u007")
    };
    !memchr::memchr_iter(b'\\', body).any(spelled)
}

fn collect(value: Value<'_>, spans: &mut Vec<Span>) {
    for (key, member) in value.members() {
        if key == KEY {
            spans.push((member.span(), EMPTY.to_vec()));
        } else {
            collect(member, spans);
        }
    }
    for item in value.items() {
        collect(item, spans);
    }
    if value.kind() == JsonKind::String {
        spans.extend(inner(value));
    }
}

/// A document within a text. It is shorter than the text, so this comes to an end.
fn inner(value: Value<'_>) -> Option<Span> {
    let text = value.as_str().filter(|text| text.trim_start().starts_with(['{', '[']))?;
    let Cow::Owned(clean) = redact_iparams(&mut Tape::default(), text.as_bytes()) else {
        return None;
    };
    let mut literal = String::new();
    push_json_string(&mut literal, &String::from_utf8_lossy(&clean));
    Some((value.span(), literal.into_bytes()))
}

fn cut<'a>(body: &'a [u8], spans: &[Span]) -> Cow<'a, [u8]> {
    if spans.is_empty() {
        return Cow::Borrowed(body);
    }
    let mut out = Vec::with_capacity(body.len());
    let mut kept = 0;
    for (span, replacement) in spans {
        out.extend_from_slice(body.get(kept..span.start).unwrap_or_default());
        out.extend_from_slice(replacement);
        kept = span.end;
    }
    out.extend_from_slice(body.get(kept..).unwrap_or_default());
    Cow::Owned(out)
}

/// Finds `iparams` in bytes that are no JSON document.
fn search(body: &[u8], spans: &mut Vec<Span>) {
    let mut from = 0;
    while let Some(found) =
        memchr::memmem::find(body.get(from..).unwrap_or_default(), KEY.as_bytes())
    {
        let after = from + found + KEY.len();
        let start = after
            + body
                .get(after..)
                .unwrap_or_default()
                .iter()
                .take_while(|b| b"\"' :=\t\r\n".contains(b))
                .count();
        let is_form = body.get(after) == Some(&b'=');
        let end = if is_form { parameter_end(body, start) } else { value_end(body, start) };
        spans.push((start..end, EMPTY.to_vec()));
        from = end;
    }
}

/// The end of a form's parameter.
fn parameter_end(body: &[u8], start: usize) -> usize {
    let rest = body.get(start..).unwrap_or_default();
    start + memchr::memchr(b'&', rest).unwrap_or(rest.len())
}

/// The end of the bracketed value at `start`, or of the body when it is not bracketed or not closed.
fn value_end(body: &[u8], start: usize) -> usize {
    let mut depth = 0usize;
    let mut in_string = false;
    let mut escape = false;
    for (at, byte) in body.iter().enumerate().skip(start) {
        match byte {
            _ if escape => escape = false,
            b'\\' if in_string => escape = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ if depth == 0 => return body.len(),
            _ => {}
        }
    }
    body.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(body: &str) -> String {
        String::from_utf8(redact_iparams(&mut Tape::default(), body.as_bytes()).into_owned())
            .unwrap()
    }

    #[test]
    fn secrets_go_and_the_rest_stays_to_the_byte() {
        assert_eq!(
            redacted(r#"{ "iparams": {"key":"s3cret"},  "a":1 }"#),
            r#"{ "iparams": {},  "a":1 }"#
        );
        assert_eq!(
            redacted(r#"[{"iparams":"s"},{"x":{"iparams":[1]}}]"#),
            r#"[{"iparams":{}},{"x":{"iparams":{}}}]"#
        );
        assert_eq!(redacted(r#"{"a":1}"#), r#"{"a":1}"#);
    }

    #[test]
    fn a_key_in_escapes_is_still_the_key() {
        assert_eq!(redacted(r#"{"\u0069params":{"k":"s3cret"}}"#), r#"{"\u0069params":{}}"#);
    }

    #[test]
    fn a_document_within_a_text_is_searched_and_words_are_left_alone() {
        assert_eq!(
            redacted(r#"{"args":"{\"iparams\":{\"k\":\"s3cret\"},\"a\":1}","x":[2]}"#),
            r#"{"args":"{\"iparams\":{},\"a\":1}","x":[2]}"#
        );
        assert_eq!(
            redacted(r#"{"args":"[{\"iparams\":\"s3cr"}"#),
            r#"{"args":"[{\"iparams\":\"{}"}"#
        );
        let note = r#"{"note":"the iparams page, s3cret no more"}"#;
        assert_eq!(redacted(note), note);
    }

    #[test]
    fn what_was_cut_is_clean() {
        for body in
            [r#"{"iparams":{"k":1},"a":2}"#, r#"{"args":"{\"iparams\":[1]}"}"#, "{\"iparams\":"]
        {
            let once = redacted(body);
            assert_eq!(redacted(&once), once);
        }
        assert!(is_clean(br#"{"iparams":{},"a":{"iparams":{}}}"#));
        assert!(!is_clean(br#"{"iparams":{"k":1}}"#));
    }

    #[test]
    fn broken_bodies_lose_everything_that_may_be_the_secret() {
        assert_eq!(redacted(r#"{"iparams":{"key":"s3cr"#), r#"{"iparams":{}"#);
        assert_eq!(
            redacted(r#"{"iparams":{"key":"s3cret"},"event":"#),
            r#"{"iparams":{},"event":"#
        );
        assert_eq!(redacted("x=1&iparams=s3cret&y=2"), "x=1&iparams={}&y=2");
    }
}
