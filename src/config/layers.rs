//! One layer of settings (the file, the environment) as TOML with positions, checked alone.
//!
//! Serde stops at the first mistake. People want all of them, so a layer is read again and again,
//! each time without the entry that was complained of, until what is left is right. It must never
//! use a layer of which a part was left out: whoever finds a mistake here refuses to go on.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::Mistake;

/// Reads `text` over `base` as `T`; what is wrong with it goes to `mistakes`, with its place.
///
/// Returns the merged settings, or nothing if there was any mistake.
pub fn check<'t, T: Deserialize<'t>>(
    base: &DeTable<'t>,
    text: &'t str,
    place: &dyn Fn(usize) -> String,
    mistakes: &mut Vec<Mistake>,
) -> Option<(T, DeTable<'t>)> {
    let (parsed, errors) = DeTable::parse_recoverable(text);
    let before = mistakes.len();
    for error in &errors {
        let at = place(error.span().map_or(0, |span| line_at(text, span.start)));
        mistakes.push(Mistake { at, message: error.message().to_owned() });
    }
    if !errors.is_empty() {
        return None;
    }
    let span = parsed.span();
    let mut layer = parsed.into_inner();
    loop {
        let merged = overlay(base.clone(), layer.clone());
        let read = T::deserialize(Deserializer::from(Spanned::new(span.clone(), merged.clone())));
        match read {
            Ok(value) if mistakes.len() == before => return Some((value, merged)),
            Ok(_) => return None,
            Err(error) => {
                let at = error.span().unwrap_or(0..0);
                mistakes.push(Mistake {
                    at: place(line_at(text, at.start)),
                    message: with_suggestion(error.message()),
                });
                if !remove(&mut layer, &at) {
                    return None;
                }
            }
        }
    }
}

/// `over` wins; tables merge key by key, everything else is replaced whole.
pub fn overlay<'t>(mut base: DeTable<'t>, over: DeTable<'t>) -> DeTable<'t> {
    for (key, value) in over {
        let merged = match (base.remove(key.get_ref().as_ref()), value) {
            (Some(old), new) if old.get_ref().is_table() && new.get_ref().is_table() => {
                let span = new.span();
                match (old.into_inner(), new.into_inner()) {
                    (DeValue::Table(old), DeValue::Table(new)) => {
                        Spanned::new(span, DeValue::Table(overlay(old, new)))
                    }
                    (_, other) => Spanned::new(span, other),
                }
            }
            (_, new) => new,
        };
        base.insert(key, merged);
    }
    base
}

/// Takes the innermost entry that covers `at` out of the table. False if there is none.
fn remove(table: &mut DeTable<'_>, at: &Range<usize>) -> bool {
    let mut found: Option<String> = None;
    for (key, value) in table.iter_mut() {
        if covers(&key.span(), at) || value.span() == *at {
            found = Some(key.get_ref().to_string());
            break;
        }
        let inside = match value.get_mut() {
            DeValue::Table(inner) => remove(inner, at),
            DeValue::Array(items) => items.iter_mut().any(|item| match item.get_mut() {
                DeValue::Table(inner) => remove(inner, at),
                _ => false,
            }),
            _ => false,
        };
        if inside {
            return true;
        }
        if covers(&value.span(), at) {
            found = Some(key.get_ref().to_string());
            break;
        }
    }
    found.is_some_and(|key| table.remove(key.as_str()).is_some())
}

fn covers(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// The line of a byte position, counted from 1.
fn line_at(text: &str, position: usize) -> usize {
    text.bytes().take(position).filter(|byte| *byte == b'\n').count() + 1
}

/// Serde's list of all known fields is long; the nearest one is what people need.
fn with_suggestion(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field `") else { return message.to_owned() };
    let mut names = rest.split('`');
    let name = names.next().unwrap_or_default();
    let known: Vec<&str> = names.skip(1).step_by(2).collect();
    match crate::names::nearest(name, known.iter().copied()) {
        Some(near) => format!("unknown setting {name:?}; did you mean {near:?}?"),
        None => format!("unknown setting {name:?}; there are {}", known.join(", ")),
    }
}
