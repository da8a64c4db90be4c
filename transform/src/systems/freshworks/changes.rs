//! `changes`: one row per field that an update changed.
//!
//! Shapes seen: `{"model_changes": {…}, "system_changes": {…}, "misc_changes": {…}}`, the same flat, and
//! inside the record in 2018. A change is a pair, one new value in an array of one, or lists of what
//! was `added` and `removed`; custom fields are nested one level deeper.

use hashbrown::HashMap;

use super::{Envelope, actor::Actor};
use crate::columns::{DECIMAL_PRECISION, DECIMAL_SCALE};
use crate::flatten::Output;
use crate::json::{JsonKind, Value};
use crate::rows::RowWriter;
use crate::tables::FIELD_CHANGES;
use crate::values::decimal;

/// The vendor's key of a group of changes, and the `origin` it tells.
const GROUPS: &[(&str, &str)] =
    &[("model_changes", "model"), ("system_changes", "system"), ("misc_changes", "misc")];

/// What the rows of one event's changes have in common.
struct Context<'a, 't> {
    record_type: &'a str,
    record_id: &'a str,
    record: Value<'t>,
    actor: &'a Actor<'t>,
    /// Labels by field, made when the changes are so many that looking each up would take ever so
    /// long.
    labels: Option<HashMap<&'t str, &'t str>>,
}

/// Up to this many changes, a label is looked up by reading the record.
const FEW: usize = 64;

/// Writes the changes of an event, those inside its record among them.
pub(super) fn write<'t>(
    envelope: &Envelope<'t>,
    record_type: &str,
    record_id: &str,
    record: Value<'t>,
    actor: &Actor<'t>,
    out: &mut Output<'_>,
) {
    let places = [envelope.data.get_some("changes"), record.get_some("changes")];
    let groups = places.iter().flatten().flat_map(|changes| changes.members());
    let many = groups.map(|(_, group)| 1 + group.members().count()).sum::<usize>() > FEW;
    let labels = many.then(|| labels(record));
    let context = Context { record_type, record_id, record, actor, labels };
    for changes in places.into_iter().flatten() {
        if changes.kind() != JsonKind::Object {
            change(&context, "changes", changes, "model", out);
            continue;
        }
        let grouped = GROUPS.iter().any(|(key, _)| changes.get(key).is_some());
        if !grouped {
            fields(&context, changes, "model", out);
            continue;
        }
        for (key, group) in changes.members() {
            match GROUPS.iter().find(|(name, _)| *name == key) {
                Some((_, origin)) if group.kind() == JsonKind::Object => {
                    fields(&context, group, origin, out);
                }
                Some(_) if group.is_null() => {}
                _ => change(&context, key, group, "model", out),
            }
        }
    }
}

fn fields(context: &Context<'_, '_>, group: Value<'_>, origin: &str, out: &mut Output<'_>) {
    for (field, value) in group.members() {
        let nested = matches!(field, "custom_fields" | "custom_field");
        if nested && value.kind() == JsonKind::Object {
            fields(context, value, origin, out);
        } else {
            change(context, field, value, origin, out);
        }
    }
}

fn change(
    context: &Context<'_, '_>,
    field: &str,
    value: Value<'_>,
    origin: &str,
    out: &mut Output<'_>,
) {
    let changed_at = out.event_time();
    let mut row = out.row(&FIELD_CHANGES);
    row.text("record_type", context.record_type)
        .text("record_id", context.record_id)
        .text("field", field)
        .some_text("label", context.label(field))
        .text("origin", origin)
        .some_text("actor_id", context.actor.id)
        .some_text("actor_name", context.actor.name)
        .time("changed_at", changed_at);
    let mut items = value.items();
    match (value.kind(), [items.next(), items.next(), items.next()]) {
        (JsonKind::Array, [Some(old), Some(new), None]) => {
            text(&mut row, "old_value", old);
            text(&mut row, "new_value", new);
            row.bool("unchanged", same(old, new)).text("shape", "pair");
        }
        (JsonKind::Array, [Some(new), None, None]) => {
            text(&mut row, "new_value", new);
            row.text("shape", "single");
        }
        (JsonKind::Object, _) if is_difference(value) => difference(&mut row, value),
        _ => {
            text(&mut row, "new_value", value);
            row.text("shape", "value");
        }
    }
}

fn is_difference(value: Value<'_>) -> bool {
    value.get("added").is_some() || value.get("removed").is_some()
}

fn difference(row: &mut RowWriter<'_>, value: Value<'_>) {
    for (key, member) in value.members() {
        match key {
            "added" | "removed" => {
                row.put(key, key, member);
            }
            _ => row.extra(key, member),
        }
    }
    row.text("shape", "added-removed");
}

/// A value as text: a scalar's own, a container's JSON; null stays null.
fn text(row: &mut RowWriter<'_>, column: &str, value: Value<'_>) {
    if !value.is_null() {
        row.text(column, value.scalar_text().unwrap_or(value.raw()));
    }
}

/// Numbers compare as numbers, so that `"1234.0"` and `1234` are the same; all else as text.
fn same(old: Value<'_>, new: Value<'_>) -> bool {
    let number = |value: Value<'_>| {
        let text = value.scalar_text().filter(|_| value.kind() != JsonKind::Bool)?;
        decimal(text, DECIMAL_PRECISION, DECIMAL_SCALE)
    };
    match (number(old), number(new)) {
        (Some(old), Some(new)) => old == new,
        _ => {
            old.scalar_text().unwrap_or(old.raw()) == new.scalar_text().unwrap_or(new.raw())
                && old.is_null() == new.is_null()
        }
    }
}

impl<'t> Context<'_, 't> {
    /// The product's label of a field, where the record tells it.
    fn label(&self, field: &str) -> Option<&'t str> {
        if let Some(labels) = &self.labels {
            return labels.get(field).copied();
        }
        if let Some(labeled) = self.record.get(field) {
            return labeled.get("label")?.as_str();
        }
        custom_labels(self.record).find(|(name, _)| *name == field).map(|(_, label)| label)
    }
}

fn custom_labels<'t>(record: Value<'t>) -> impl Iterator<Item = (&'t str, &'t str)> {
    let custom = record.get("custom_fields").into_iter().flat_map(Value::items);
    custom.filter_map(|item| Some((item.get("name")?.as_str()?, item.get("label")?.as_str()?)))
}

fn labels<'t>(record: Value<'t>) -> HashMap<&'t str, &'t str> {
    let own =
        record.members().filter_map(|(key, value)| Some((key, value.get("label")?.as_str()?)));
    custom_labels(record).chain(own).collect()
}
