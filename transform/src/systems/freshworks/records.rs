//! Freshsales records: the six modules' create, update and delete events
//! (developers.freshworks.com, Freshsales product events).
//!
//! A record is sent whole, with labeled fields, plain fields and custom fields side by side. Each
//! becomes one column named by its key; what is new becomes a new column.

use std::borrow::Cow;

use hashbrown::HashMap;

use super::fields::{self, Labeled, column_name, kind_of_type, kind_of_value};
use super::{Envelope, actor::Actor, changes};
use crate::columns::Kind;
use crate::error::Rejection;
use crate::event::Micros;
use crate::flatten::Output;
use crate::json::{JsonKind, Value};
use crate::repeats::Parts;
use crate::rows::RowWriter;
use crate::tables::{FIELD_LABELS, TableSpec};

const SYSTEM: &str = "freshsales";
const DAY: Micros = 24 * 3600 * 1_000_000;

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
    let (actor, at) = (Actor::of(envelope), out.event_time());
    let fields: Vec<Field<'_>> = record.last_first().map(Field::read).collect();
    let custom = custom_fields(record, &fields);
    {
        let mut row = out.row(record_type.table);
        row.some_text("record_domain", envelope.domain).some_text("record_region", envelope.region);
        actor.write(&mut row);
        associations(record_type, envelope, &mut row);
        for field in &fields {
            field.write(&mut row);
        }
        for field in &custom {
            custom_field(&mut row, field);
        }
        let mut used = vec!["actor", "associations", "changes"];
        used.extend_from_slice(record_type.keys);
        envelope.keep_rest(&mut row, at, &used);
    }
    labels(record_type, envelope, &fields, &custom, out);
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

/// One field of a record, read once for its row and its label.
struct Field<'t> {
    key: &'t str,
    column: Cow<'t, str>,
    value: Value<'t>,
    labeled: Option<Labeled<'t>>,
}

impl<'t> Field<'t> {
    fn read((key, value): (&'t str, Value<'t>)) -> Self {
        Self { key, column: column_name(key), value, labeled: Labeled::read(value, false) }
    }

    fn write(&self, row: &mut RowWriter<'_>) {
        match (self.key, &self.labeled) {
            ("custom_fields" | "custom_field", _) => custom_object(row, self.key, self.value),
            ("changes", _) if self.value.kind() == JsonKind::Object => {}
            (_, Some(labeled)) => labeled_field(row, &self.column, labeled, self.value),
            _ if self.value.is_null() => {}
            _ => row.grow(&self.column, || kind_of_value(self.value), None, self.value),
        }
    }
}

fn labeled_field(row: &mut RowWriter<'_>, name: &str, labeled: &Labeled<'_>, whole: Value<'_>) {
    if labeled.says_more {
        rest_of(row, name, labeled.is_custom, whole);
    }
    let Some(value) = labeled.value.filter(|value| !value.is_null()) else { return };
    let kind = || kind_of_type(labeled.declared, name, labeled.value);
    // Custom modules send {"id", "model"} where the others send the id.
    let is_reference = value.kind() == JsonKind::Object && kind() == Kind::Int;
    if let Some(id) = value.get_some("id").filter(|_| is_reference) {
        row.grow(name, kind, labeled.label, id);
        row.extra(name, value);
    } else {
        row.grow(name, kind, labeled.label, value);
    }
}

/// Keeps what a labeled field says besides label, type and value, such as `choice_id`.
fn rest_of(row: &mut RowWriter<'_>, name: &str, is_custom: bool, whole: Value<'_>) {
    for (member, value) in whole.last_first() {
        if !fields::is_told(whole, is_custom, member, value) {
            row.extra(&format!("{name}.{member}"), value);
        }
    }
}

/// Custom fields that are not an array of labeled ones: in 2018, an object of plain values.
fn custom_object(row: &mut RowWriter<'_>, key: &str, value: Value<'_>) {
    match value.kind() {
        JsonKind::Object => {
            for (name, value) in value.last_first().filter(|(_, value)| !value.is_null()) {
                row.grow(&column_name(name), || kind_of_value(value), None, value);
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
    labeled: Option<Labeled<'t>>,
}

/// The record's custom fields, each with a column of its own.
///
/// A column is the field's name; with the vendor's `column` behind it where another field of the
/// record has that name; and `column` alone where the name is bare, since a label in letters outside
/// Latin leaves only `cf_`.
fn custom_fields<'t>(record: Value<'t>, fields: &[Field<'t>]) -> Vec<CustomField<'t>> {
    let arrays = ["custom_fields", "custom_field"].into_iter().filter_map(|key| record.get(key));
    let items: Vec<Value<'t>> = arrays.flat_map(Value::items).collect();
    if items.is_empty() {
        return Vec::new();
    }
    let mut uses: HashMap<Cow<'_, str>, usize> = HashMap::with_capacity(fields.len() + items.len());
    let plain = fields.iter().map(|field| Cow::from(&*field.column));
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
    let field = |item: &Value<'t>| CustomField {
        item: *item,
        column: column(*item),
        labeled: Labeled::read(*item, true),
    };
    items.iter().map(field).collect()
}

fn own_name<'t>(item: Value<'t>) -> Option<&'t str> {
    item.get("name").and_then(Value::as_str).filter(|name| !matches!(*name, "" | "cf_"))
}

fn custom_field(row: &mut RowWriter<'_>, field: &CustomField<'_>) {
    match (&field.column, &field.labeled) {
        (Some(column), Some(labeled)) => labeled_field(row, column, labeled, field.item),
        _ => row.extra("custom_fields", field.item),
    }
}

/// One row per labeled field and day on which it was seen.
fn labels(
    record_type: &RecordType,
    envelope: &Envelope<'_>,
    fields: &[Field<'_>],
    custom: &[CustomField<'_>],
    out: &mut Output<'_>,
) {
    let seen_at = out.event_time();
    let mut identity = Parts::default();
    identity.push(envelope.account.unwrap_or_default().as_bytes());
    identity.push(record_type.name.as_bytes());
    identity.push(&(seen_at / DAY).to_le_bytes());
    let mut labels = Labels { record_type: record_type.name, seen_at, identity };
    for field in fields.iter().rev() {
        if let Some(labeled) = &field.labeled {
            labels.write(field.key, &field.column, labeled, out);
        }
    }
    for CustomField { item, column, labeled } in custom {
        if let (Some(column), Some(labeled)) = (column, labeled) {
            let name = item.get("name").and_then(Value::as_str).unwrap_or_default();
            labels.write(name, column, labeled, out);
        }
    }
}

/// Writes the labels of one event's fields.
struct Labels<'a> {
    record_type: &'a str,
    seen_at: Micros,
    /// What the event has in common with all that say the same of their fields.
    identity: Parts,
}

impl Labels<'_> {
    fn write(&mut self, field: &str, column: &str, labeled: &Labeled<'_>, out: &mut Output<'_>) {
        let key = labeled.column_key;
        let parts =
            [field, key.unwrap_or_default(), labeled.declared, labeled.label.unwrap_or_default()];
        if !out.is_new_label(self.identity.hash_with(&parts)) {
            return;
        }
        out.row(&FIELD_LABELS)
            .text("record_type", self.record_type)
            .text("field", field)
            .some_text("column_key", key)
            .some_text("label", labeled.label)
            .text("type", labeled.declared)
            .text("column_name", column)
            .time("first_seen_at", self.seen_at)
            .time("last_seen_at", self.seen_at);
    }
}
