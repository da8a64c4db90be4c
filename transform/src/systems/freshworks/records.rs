//! Freshsales records: the six modules' create, update and delete events
//! (developers.freshworks.com, Freshsales product events).
//!
//! A record is sent whole, with labeled fields, plain fields and custom fields side by side. Each
//! becomes one column named by its key; what is new becomes a new column.

use std::borrow::Cow;

use hashbrown::HashMap;

use super::fields::{self, Labeled, column_name, kind_of_type, kind_of_value};
use super::{Envelope, actor::Actor, changes, last_first};
use crate::columns::Kind;
use crate::error::Rejection;
use crate::flatten::Output;
use crate::json::{JsonKind, Value};
use crate::repeats::hash_of;
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
    let custom = custom_fields(record);
    {
        let mut row = out.row(record_type.table);
        row.some_text("record_domain", envelope.domain).some_text("record_region", envelope.region);
        actor.write(&mut row);
        associations(record_type, envelope, &mut row);
        for (key, value) in last_first(record) {
            field(&mut row, key, value);
        }
        for field in &custom {
            custom_field(&mut row, field);
        }
        let mut used = vec!["actor", "associations", "changes"];
        used.extend_from_slice(record_type.keys);
        envelope.keep_rest(&mut row, &used);
    }
    labels(record_type, envelope, record, &custom, out);
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
        "custom_fields" | "custom_field" => custom_object(row, key, value),
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

/// Custom fields that are not an array of labeled ones: in 2018, an object of plain values.
fn custom_object(row: &mut RowWriter<'_>, key: &str, value: Value<'_>) {
    match value.kind() {
        JsonKind::Object => {
            for (name, value) in last_first(value).filter(|(_, value)| !value.is_null()) {
                row.grow(&column_name(name), kind_of_value(value), None, value);
            }
        }
        JsonKind::Array | JsonKind::Null => {}
        _ => row.extra(key, value),
    }
}

/// One element of the record's array of custom fields, and the column it goes to.
struct CustomField<'t> {
    item: Value<'t>,
    column: Option<Cow<'t, str>>,
}

/// The record's custom fields, each with a column of its own.
///
/// A column is the field's name; with the vendor's `column` behind it where another field of the
/// record has that name; and `column` alone where the name is bare, since a label in letters outside
/// Latin leaves only `cf_`.
fn custom_fields<'t>(record: Value<'t>) -> Vec<CustomField<'t>> {
    let arrays = ["custom_fields", "custom_field"].into_iter().filter_map(|key| record.get(key));
    let items: Vec<Value<'t>> = arrays.flat_map(Value::items).collect();
    if items.is_empty() {
        return Vec::new();
    }
    let mut uses: HashMap<Cow<'t, str>, usize> = HashMap::new();
    let plain = record.members().map(|(key, _)| column_name(key));
    for name in plain.chain(items.iter().filter_map(|item| own_name(*item)).map(column_name)) {
        *uses.entry(name).or_default() += 1;
    }
    let column = |item: Value<'t>| -> Option<Cow<'t, str>> {
        let key = item.get("column").and_then(Value::as_str);
        let Some(name) = own_name(item) else { return key.map(column_name) };
        let plain = column_name(name);
        match key.filter(|_| uses.get(&plain).is_some_and(|uses| *uses > 1)) {
            Some(key) => Some(column_name(&format!("{name}_{key}")).into_owned().into()),
            None => Some(plain),
        }
    };
    items.iter().map(|item| CustomField { item: *item, column: column(*item) }).collect()
}

fn own_name<'t>(item: Value<'t>) -> Option<&'t str> {
    item.get("name").and_then(Value::as_str).filter(|name| !matches!(*name, "" | "cf_"))
}

fn custom_field(row: &mut RowWriter<'_>, field: &CustomField<'_>) {
    match (&field.column, Labeled::read(field.item)) {
        (Some(column), Some(labeled)) => labeled_field(row, column, &labeled, field.item),
        _ => row.extra("custom_fields", field.item),
    }
}

/// One row per labeled field and day on which it was seen.
fn labels(
    record_type: &RecordType,
    envelope: &Envelope<'_>,
    record: Value<'_>,
    custom: &[CustomField<'_>],
    out: &mut Output<'_>,
) {
    let account = envelope.account.unwrap_or_default();
    let context = LabelContext { account, record_type: record_type.name };
    for (key, value) in record.members() {
        if let Some(labeled) = Labeled::read(value) {
            context.write(key, &column_name(key), value, &labeled, out);
        }
    }
    for CustomField { item, column } in custom {
        if let (Some(column), Some(labeled)) = (column, Labeled::read(*item)) {
            let name = item.get("name").and_then(Value::as_str).unwrap_or_default();
            context.write(name, column, *item, &labeled, out);
        }
    }
}

struct LabelContext<'a> {
    account: &'a str,
    record_type: &'a str,
}

impl LabelContext<'_> {
    fn write(
        &self,
        field: &str,
        column: &str,
        whole: Value<'_>,
        labeled: &Labeled<'_>,
        out: &mut Output<'_>,
    ) {
        let seen_at = out.event_time();
        let declared = labeled.declared.unwrap_or_default();
        let label = labeled.label.unwrap_or_default();
        let key = whole.get("column").and_then(Value::as_str);
        let day = (seen_at / DAY).to_le_bytes();
        let parts =
            [self.account, self.record_type, field, key.unwrap_or_default(), declared, label];
        if !out.is_new_label(hash_of(parts.iter().map(|part| part.as_bytes()).chain([&day[..]]))) {
            return;
        }
        out.row(&FIELD_LABELS)
            .text("record_type", self.record_type)
            .text("field", field)
            .some_text("column_key", key)
            .some_text("label", labeled.label)
            .text("type", declared)
            .text("column_name", column)
            .time("first_seen_at", seen_at)
            .time("last_seen_at", seen_at);
    }
}
