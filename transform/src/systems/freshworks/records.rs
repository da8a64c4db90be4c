//! Freshsales records: the six modules' create, update and delete events
//! (developers.freshworks.com, Freshsales product events).
//!
//! A record is sent whole, with labeled fields, plain fields and custom fields side by side. Each
//! becomes one column named by its key; what is new becomes a new column.

use super::fields::{self, Labeled, column_name, kind_of_type, kind_of_value};
use super::{Envelope, actor::Actor, changes, last_first};
use crate::columns::Kind;
use crate::error::Rejection;
use crate::flatten::Output;
use crate::json::{JsonKind, Value};
use crate::repeats::key_of;
use crate::rows::RowWriter;
use crate::tables::{FIELD_LABELS, TableSpec};

const SYSTEM: &str = "freshsales";
const DAY: i64 = 24 * 3600 * 1_000_000;

/// One module: what its records are called, the table they go to, and their key in `data`.
pub(super) struct RecordType {
    pub(super) name: &'static str,
    table: &'static TableSpec,
    pub(super) keys: &'static [&'static str],
}

impl RecordType {
    pub(super) const fn new(
        name: &'static str,
        table: &'static TableSpec,
        keys: &'static [&'static str],
    ) -> Self {
        Self { name, table, keys }
    }

    fn has(&self, column: &str) -> bool {
        self.table.columns.iter().any(|declared| declared.name == column)
    }
}

/// What an association tells beside its id: the association, its member, and the column.
const TOLD: &[(&str, &str, &str)] = &[
    ("deal_stage", "name", "deal_stage_name"),
    ("deal_stage", "position", "deal_stage_position"),
    ("deal_stage", "forecast_type", "deal_stage_forecast_type"),
    ("deal_pipeline", "name", "deal_pipeline_name"),
    ("owner", "name", "owner_name"),
    ("updater", "name", "updater_name"),
    ("currency", "currency_code", "currency_code"),
    ("currency", "exchange_rate", "exchange_rate"),
    ("sales_account", "name", "sales_account_name"),
];

pub(super) fn flatten(
    record_type: &RecordType,
    envelope: &Envelope<'_>,
    out: &mut Output<'_>,
) -> Result<(), Rejection> {
    let record = envelope.object(record_type.keys)?;
    if !envelope.begin(SYSTEM, out) {
        return Ok(());
    }
    let actor = Actor::of(envelope);
    {
        let mut row = out.row(record_type.table);
        row.some_text("record_domain", envelope.domain).some_text("record_region", envelope.region);
        actor.write(&mut row);
        associations(record_type, envelope, &mut row);
        for (key, value) in last_first(record) {
            field(&mut row, key, value);
        }
        let mut used = vec!["actor", "associations", "changes"];
        used.extend_from_slice(record_type.keys);
        envelope.keep_rest(&mut row, &used);
    }
    labels(record_type, envelope, record, out);
    let id = record.get("id").and_then(Value::scalar_text).unwrap_or_default();
    changes::write(envelope, record_type.name, id, record, &actor, out);
    Ok(())
}

fn associations(record_type: &RecordType, envelope: &Envelope<'_>, row: &mut RowWriter<'_>) {
    let Some(associations) = envelope.data.get_some("associations") else { return };
    if associations.raw() != "{}" {
        row.put("associations", "associations", associations);
    }
    for (name, member, column) in TOLD.iter().filter(|(_, _, column)| record_type.has(column)) {
        if let Some(value) = associations.get_some(name).and_then(|told| told.get(member)) {
            row.put(column, column, value);
        }
    }
}

fn field(row: &mut RowWriter<'_>, key: &str, value: Value<'_>) {
    match key {
        "custom_fields" | "custom_field" => custom_fields(row, key, value),
        "changes" if value.kind() == JsonKind::Object => {}
        _ => match Labeled::read(value) {
            Some(labeled) => labeled_field(row, key, &labeled, value),
            None if value.is_null() => {}
            None => row.grow(&column_name(key), kind_of_value(value), None, value),
        },
    }
}

fn labeled_field(row: &mut RowWriter<'_>, key: &str, labeled: &Labeled<'_>, whole: Value<'_>) {
    let name = column_name(key);
    rest_of(row, &name, whole);
    let Some(value) = labeled.value.filter(|value| !value.is_null()) else { return };
    let kind = kind_of_type(labeled.declared.unwrap_or_default(), key, labeled.value);
    // Custom modules send {"id", "model"} where the others send the id.
    let reference = (kind == Kind::Int).then(|| value.get_some("id")).flatten();
    if let Some(id) = reference {
        row.grow(&name, kind, labeled.label, id);
        row.extra(&name, value);
    } else {
        row.grow(&name, kind, labeled.label, value);
    }
}

/// Keeps what a labeled field says besides label, type and value, such as `choice_id`.
fn rest_of(row: &mut RowWriter<'_>, name: &str, whole: Value<'_>) {
    for (member, value) in whole.members() {
        if !fields::MEMBERS.contains(&member) && !value.is_null() {
            row.extra(&format!("{name}.{member}"), value);
        }
    }
}

/// An array of labeled fields with `name` and `column`; in 2018 an object of plain values.
fn custom_fields(row: &mut RowWriter<'_>, key: &str, value: Value<'_>) {
    match value.kind() {
        JsonKind::Object => {
            for (name, value) in last_first(value).filter(|(_, value)| !value.is_null()) {
                row.grow(&column_name(name), kind_of_value(value), None, value);
            }
        }
        JsonKind::Array => {
            for item in value.items() {
                match (custom_name(item), Labeled::read(item)) {
                    (Some(name), Some(labeled)) => labeled_field(row, name, &labeled, item),
                    _ => row.extra(key, item),
                }
            }
        }
        JsonKind::Null => {}
        _ => row.extra(key, value),
    }
}

/// A custom field's own name, or the vendor's column where the name is bare: a label in letters
/// outside Latin leaves only `cf_`.
fn custom_name<'t>(item: Value<'t>) -> Option<&'t str> {
    let text = |member| item.get(member).and_then(Value::as_str);
    text("name").filter(|name| !matches!(*name, "" | "cf_")).or_else(|| text("column"))
}

/// One row per labeled field and day on which it was seen.
fn labels(
    record_type: &RecordType,
    envelope: &Envelope<'_>,
    record: Value<'_>,
    out: &mut Output<'_>,
) {
    let plain =
        record.members().filter_map(|(key, value)| Some((key, value, Labeled::read(value)?)));
    let custom = record.get("custom_fields").into_iter().flat_map(Value::items);
    let custom = custom.filter_map(|i| Some((custom_name(i)?, i, Labeled::read(i)?)));
    let account = envelope.account.unwrap_or_default();
    let day = (out.event_time() / DAY).to_string();
    for (key, whole, labeled) in plain.chain(custom) {
        let declared = labeled.declared.unwrap_or_default();
        let label = labeled.label.unwrap_or_default();
        let identity = [account, record_type.name, key, declared, label, &day].join("\u{1f}");
        if !out.is_new_label(key_of("label", &identity)) {
            continue;
        }
        let seen_at = out.event_time();
        out.row(&FIELD_LABELS)
            .text("record_type", record_type.name)
            .text("field", key)
            .some_text("column_key", whole.get("column").and_then(Value::as_str))
            .some_text("label", labeled.label)
            .text("type", declared)
            .text("column_name", &column_name(key))
            .time("first_seen_at", seen_at)
            .time("last_seen_at", seen_at);
    }
}
