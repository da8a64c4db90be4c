//! Cuts the value of `iparams` out of a body, at whatever depth it stands.
//!
//! `iparams` holds an app's installation parameters, API tokens among them. It is cut before the log,
//! and again before a dead letter, since other producers may write to the log too. A body that is not
//! JSON is searched as text: from the key on, what looks like its value goes, and if no end of it
//! can be found, all that follows.

use std::borrow::Cow;
use std::ops::Range;

use super::tape::{Tape, Value};

const KEY: &str = "iparams";
const EMPTY: &[u8] = b"{}";

/// The body with every value of `iparams` replaced by `{}`; borrowed when there is none.
pub fn redact_iparams<'a>(tape: &mut Tape, body: &'a [u8]) -> Cow<'a, [u8]> {
    // A key may spell its letters as \u escapes; such a body is parsed to be sure.
    let plain = memchr::memmem::find(body, KEY.as_bytes()).is_some();
    let escaped = memchr::memmem::find(body, b"\\u00").is_some();
    if !plain && !escaped {
        return Cow::Borrowed(body);
    }
    let mut spans = Vec::new();
    match tape.parse(body) {
        Ok(document) => collect(document.root(), &mut spans),
        Err(_) => search(body, &mut spans),
    }
    cut(body, &spans)
}

fn collect(value: Value<'_>, spans: &mut Vec<Range<usize>>) {
    for (key, member) in value.members() {
        if key == KEY {
            spans.push(member.span());
        } else {
            collect(member, spans);
        }
    }
    for item in value.items() {
        collect(item, spans);
    }
}

fn cut<'a>(body: &'a [u8], spans: &[Range<usize>]) -> Cow<'a, [u8]> {
    if spans.is_empty() {
        return Cow::Borrowed(body);
    }
    let mut out = Vec::with_capacity(body.len());
    let mut kept = 0;
    for span in spans {
        out.extend_from_slice(body.get(kept..span.start).unwrap_or_default());
        out.extend_from_slice(EMPTY);
        kept = span.end;
    }
    out.extend_from_slice(body.get(kept..).unwrap_or_default());
    Cow::Owned(out)
}

/// Finds `iparams` in bytes that are no JSON document.
fn search(body: &[u8], spans: &mut Vec<Range<usize>>) {
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
        let end = value_end(body, start);
        spans.push(start..end);
        from = end;
    }
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
    fn broken_bodies_lose_everything_that_may_be_the_secret() {
        assert_eq!(redacted(r#"{"iparams":{"key":"s3cr"#), r#"{"iparams":{}"#);
        assert_eq!(
            redacted(r#"{"iparams":{"key":"s3cret"},"event":"#),
            r#"{"iparams":{},"event":"#
        );
        assert_eq!(redacted("iparams=s3cret&x=1"), "iparams={}");
    }
}
