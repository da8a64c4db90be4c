//! The `extra` of a row: one JSON object with every value that has no column, as the vendor wrote it.

use hashbrown::HashSet;
use xxhash_rust::xxh3::xxh3_64;

/// A JSON object written member by member.
#[derive(Debug, Default)]
pub struct Extra {
    text: String,
    /// Hashes of the keys in `text`: a hostile event has a million of them.
    keys: HashSet<u64>,
}

impl Extra {
    /// Adds a member whose value is JSON text already.
    pub fn raw(&mut self, key: &str, json: &str) {
        self.text.push(if self.text.is_empty() { '{' } else { ',' });
        // A reader would keep only one of two equal keys: another is told apart by a number.
        if self.keys.insert(xxh3_64(key.as_bytes())) {
            push_json_string(&mut self.text, key);
        } else {
            let unique = format!("{key}#{}", self.keys.len() + 1);
            self.keys.insert(xxh3_64(unique.as_bytes()));
            push_json_string(&mut self.text, &unique);
        }
        self.text.push(':');
        self.text.push_str(json);
    }

    /// Adds a member whose value is text.
    pub fn text(&mut self, key: &str, value: &str) {
        let mut json = String::with_capacity(value.len() + 2);
        push_json_string(&mut json, value);
        self.raw(key, &json);
    }

    /// The object, and an empty `Extra` for the next row; none if nothing was added.
    pub fn take<R>(&mut self, f: impl FnOnce(Option<&str>) -> R) -> R {
        if self.text.is_empty() {
            return f(None);
        }
        self.text.push('}');
        let result = f(Some(&self.text));
        self.text.clear();
        self.keys.clear();
        result
    }
}

/// Appends `text` as a JSON string, with its quotes.
pub fn push_json_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                use std::fmt::Write;
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn strings_read_back_as_they_were(text in "\\PC*|[\u{0}-\u{1f}\"\\\\]{0,9}") {
            let mut out = String::new();
            push_json_string(&mut out, &text);
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }
}
