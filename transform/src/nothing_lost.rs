//! The rule above all, as a property: every value of an event is found again, in a column, in `extra`
//! or in a dead letter.
//!
//! Each generated leaf is unique within its event, so that finding it means finding *it*.

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::conformance::{ndjson, rows_of};
use crate::systems;

/// What a leaf is compared by: numbers as numbers, times as instants, all else as text.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Leaf {
    Text(String),
    Number(u64),
    Instant(i64),
}

fn leaves_of_text(text: &str, out: &mut HashSet<Leaf>) {
    out.insert(Leaf::Text(text.to_owned()));
    if let Some(time) = crate::values::time(text) {
        out.insert(Leaf::Instant(time));
    }
    if let Ok(number) = text.parse::<f64>() {
        out.insert(Leaf::Number(number.to_bits()));
    }
    let inner = serde_json::from_str::<Value>(text).ok();
    if let Some(inner) = inner.filter(|_| text.starts_with(['{', '[', '"'])) {
        leaves(&inner, out);
    }
}

/// Every leaf of a value, JSON text inside strings opened.
fn leaves(value: &Value, out: &mut HashSet<Leaf>) {
    match value {
        Value::String(text) => leaves_of_text(text, out),
        Value::Number(number) => {
            out.insert(Leaf::Number(number.as_f64().unwrap().to_bits()));
            out.insert(Leaf::Text(number.to_string()));
        }
        Value::Array(items) => items.iter().for_each(|item| leaves(item, out)),
        Value::Object(members) => members.values().for_each(|member| leaves(member, out)),
        Value::Null | Value::Bool(_) => {}
    }
}

fn holds(found: &HashSet<Leaf>, leaf: &Value) -> bool {
    let mut wanted = HashSet::new();
    leaves(leaf, &mut wanted);
    if let Some(time) = leaf.is_number().then(|| crate::values::epoch(&leaf.to_string())).flatten()
    {
        wanted.insert(Leaf::Instant(time));
    }
    let parts_found = || {
        let parts = leaf.as_str().filter(|text| text.contains(';'));
        parts.is_some_and(|t| t.split(';').all(|part| found.contains(&Leaf::Text(part.into()))))
    };
    wanted.is_empty() || wanted.iter().any(|leaf| found.contains(leaf)) || parts_found()
}

fn scalars<'v>(value: &'v Value, out: &mut Vec<&'v Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| scalars(item, out)),
        Value::Object(members) => members.values().for_each(|member| scalars(member, out)),
        leaf => out.push(leaf),
    }
}

/// A value of any shape; `n` makes its leaves unique.
fn shaped(shape: u8, n: usize) -> Value {
    match shape % 13 {
        0 => json!(format!("text {n} \"quoted\" é")),
        1 => json!(1_000_000 + n),
        2 => json!(format!("{}.25", 7_000 + n)),
        3 => json!(0.125 + n as f64),
        4 => {
            json!(format!("2020-06-24T{:02}:{:02}:{:02}+05:30", n / 3600 % 24, n / 60 % 60, n % 60))
        }
        5 => json!([format!("a{n}"), format!("b{n}")]),
        6 => json!([{"id": format!("id{n}"), "value": format!("v{n}")}]),
        7 => json!({"id": 2_000_000 + n, "model": format!("model{n}")}),
        8 => json!(format!("x{n};y{n}")),
        9 => json!({"deep": [{"er": format!("deep{n}")}, 3_000_000 + n]}),
        10 => json!(format!("{:04}-03-01", 1000 + n)),
        11 => json!(format!("00{n}")),
        _ => Value::Null,
    }
}

const TYPES: &[&str] = &[
    "text",
    "paragraph",
    "url",
    "email",
    "phone_number",
    "number",
    "decimal",
    "dropdown",
    "radio",
    "multi_select_dropdown",
    "auto_complete",
    "group_field",
    "date",
    "date_time",
    "checkbox",
    "formula",
    "",
];

const KEYS: &[&str] = &[
    "id2",
    "amount",
    "owner_id",
    "name",
    "tags",
    "Offset",
    "offset",
    "extra",
    "expected_close",
    "is_deleted",
    "deal_stage_id",
    "weird key, (x)",
    "custom",
    "age",
    "associations",
    "actor_id",
    "custom_fields",
    "changes",
    "cf_x",
    "system",
];

/// (key, how it is labeled, declared type, shape of the value)
type Field = (prop::sample::Index, u8, prop::sample::Index, u8);

fn fields() -> impl Strategy<Value = Vec<Field>> {
    prop::collection::vec(
        (any::<prop::sample::Index>(), 0u8..4, any::<prop::sample::Index>(), any::<u8>()),
        0..30,
    )
}

fn field(n: usize, (_, labeled, declared, shape): &Field) -> Value {
    let (declared, value) = (declared.get(TYPES), shaped(*shape, n));
    match labeled {
        0 => value,
        1 => json!({"label": format!("Label {n}"), "type": declared, "value": value}),
        2 => {
            json!({"label": format!("Label {n}"), "dom_type": declared, "value": value, "choice_id": format!("c{n}")})
        }
        _ => json!({"label": format!("Label {n}"), "type": declared}),
    }
}

fn record(fields: &[Field], custom: &[Field]) -> Value {
    let mut record = Map::new();
    for (n, spec) in fields.iter().enumerate() {
        record.insert((*spec.0.get(KEYS)).to_owned(), field(n + 1, spec));
    }
    let custom = custom.iter().enumerate().map(|(n, spec)| {
        let name = ["cf_x", "cf_", "cf_Größe", "amount"][usize::from(spec.3) % 4];
        let mut item = field(n + 501, spec);
        if let Value::Object(item) = &mut item {
            item.insert("name".into(), name.into());
            item.insert("column".into(), format!("cf_str{n:02}").into());
        }
        item
    });
    record.insert("custom_fields".into(), custom.collect());
    record.insert("id".into(), json!(77));
    Value::Object(record)
}

/// The labels and types of fields are told by `field_labels`, so they are leaves like any other;
/// a custom field's own name and column are, too.
fn check(event: &Value, system: &str) -> Result<(), TestCaseError> {
    let flat = rows_of(systems::by_name(system).unwrap(), None, event.to_string().as_bytes());
    let counts = flat.counts;
    prop_assert_eq!(counts.received, counts.written + counts.dead_lettered + counts.repeated);
    prop_assert_eq!(counts.dead_lettered, 0);
    let mut found = HashSet::new();
    for line in ndjson(&flat).lines() {
        leaves(&serde_json::from_str(line).unwrap(), &mut found);
    }
    let mut wanted = Vec::new();
    scalars(event, &mut wanted);
    for leaf in wanted {
        prop_assert!(holds(&found, leaf), "{} is lost of {}", leaf, event);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_field_of_a_record_is_lost(fields in fields(), custom in fields(), changed in fields()) {
        let changes: Map<String, Value> = changed
            .iter()
            .enumerate()
            .map(|(n, (key, shape, _, value))| {
                let (old, new) = (shaped(*value, n + 1001), shaped(value.wrapping_add(*shape), n + 2001));
                let change = match shape {
                    0 => json!([old, new]),
                    1 => json!([new]),
                    2 => json!({"added": [new], "removed": [old], "more": format!("m{n}")}),
                    _ => json!({"custom_fields": {"cf_y": [old, new]}}),
                };
                ((*key.get(KEYS)).to_owned(), change)
            })
            .collect();
        let event = json!({
            "event": "onDealUpdate", "timestamp": 1_593_023_469.829_326, "account_id": "acc",
            "version": "9.1", "unheard": {"of": "this"},
            "data": {
                "deal": record(&fields, &custom), "actor": {"id": 5, "name": "Jim", "email": "j@x"},
                "associations": {"owner": {"id": 6, "name": "Ann", "x": [1, 2]}},
                "changes": {"model_changes": changes, "odd_changes": {"q": 1}}, "more": ["data"],
            },
        });
        check(&event, "freshsales")?;
    }

    #[test]
    fn no_field_of_a_call_is_lost(call in fields(), leg in fields(), unit in "seconds|minutes|fortnights") {
        let mut whole = record(&call, &[]);
        let mut part = record(&leg, &[]);
        let known = ["direction", "phone_number", "bill_duration", "recording", "created_time", "life_cycle", "duration", "cost", "cost_unit", "call_status"];
        for (n, key) in known.iter().enumerate() {
            let spec = |fields: &[Field]| fields.get(n).map_or(12, |field| field.3);
            whole[*key] = shaped(spec(&call), n + 3001);
            part[*key] = shaped(spec(&leg), n + 4001);
        }
        // A duration in minutes is another number in seconds; the others keep theirs.
        let unit = if whole["bill_duration"].is_number() && unit == "minutes" { "seconds" } else { &unit };
        whole["bill_duration_unit"] = if unit == "minutes" { Value::Null } else { json!(unit) };
        whole["participants"] = json!([part]);
        let event = json!({
            "event": "onCallUpdate", "timestamp": 1_583_839_672,
            "currentHost": {"endpoint_urls": {"freshcaller": "https://sub.freshcaller.com/x"}},
            "data": {"call": whole, "changes": {"bill_duration": [null, 8]}},
        });
        check(&drop_units(event), "freshcaller")?;
    }
}

/// `seconds` is told by the names of the columns.
fn drop_units(mut event: Value) -> Value {
    let call = &mut event["data"]["call"];
    if call["bill_duration_unit"] == "seconds" {
        call["bill_duration_unit"] = Value::Null;
    }
    event
}
