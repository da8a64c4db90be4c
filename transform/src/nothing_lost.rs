//! The rule above all, as a property: every value of an event is found again, in a column, in `extra`
//! or in a dead letter.
//!
//! Each generated leaf is unique within its event, so that finding it means finding *it*.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::conformance::rows_of;
use crate::systems;

mod hostile;
mod oracle;

use oracle::Found;

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

/// An object with members of these names besides its own, of shapes that the fields tell.
fn with_known(mut object: Value, known: &[&str], fields: &[Field], start: usize) -> Value {
    for (n, key) in known.iter().enumerate() {
        object[*key] = shaped(fields.get(n).map_or(12, |field| field.3), n + start);
    }
    object
}

const CLOUD_EVENTS: &[&str] =
    &["channel.held", "channel.ended", "channel.disconnected", "agent.presencechanged"];

const ROUTES: &[&str] = &["dial-in", "dial-out", "answer", "hangup"];

const PARAMETERS: &[&str] = &[
    "CallStatus",
    "callstatus",
    "CallerIDNum",
    "CallerIDName",
    "CallerIDNam",
    "CalledDID",
    "CalledExtension",
    "CallerExtension",
    "CalledNumber",
    "CallFlow",
    "CallAPIID",
    "EventType",
    "Duration",
];

/// The labels and types of fields are told by `field_labels`, so they are leaves like any other;
/// a custom field's own name and column are, too.
fn check(event: &Value, system: &str, route: Option<&str>) -> Result<(), TestCaseError> {
    check_body(event.to_string().as_bytes(), event.to_string().as_bytes(), system, route)
}

/// Sends `body`, and looks for all leaves of the JSON `says`.
fn check_body(
    body: &[u8],
    says: &[u8],
    system: &str,
    route: Option<&str>,
) -> Result<(), TestCaseError> {
    let flat = rows_of(systems::by_name(system).unwrap(), route, body);
    let counts = flat.counts;
    prop_assert_eq!(counts.received, counts.written + counts.dead_lettered + counts.repeated);
    prop_assert_eq!(counts.written, 1, "{:?}", flat);
    let found = Found::of(flat.tables.iter().map(|table| &table.rows));
    if let Some(leaf) = found.lacks(says) {
        prop_assert!(false, "{} is lost of {}", leaf, String::from_utf8_lossy(body));
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
        check(&event, "freshsales", None)?;
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
        whole["bill_duration_unit"] = json!(unit);
        whole["participants"] = json!([part]);
        let event = json!({
            "event": "onCallUpdate", "timestamp": 1_583_839_672,
            "currentHost": {"endpoint_urls": {"freshcaller": "https://sub.freshcaller.com/x"}},
            "data": {"call": whole, "changes": {"bill_duration": [null, 8]}},
        });
        check(&event, "freshcaller", None)?;
    }

    #[test]
    fn no_field_of_an_agent_or_phone_call_is_lost(
        fields in fields(), actor in fields(), is_call in any::<bool>(), times in any::<[u8; 3]>(),
    ) {
        let known = [
            "available_on", "common_status_id", "user_id", "call_direction", "call_duration",
            "call_cost", "entity_id", "note", "is_deleted", "created_at", "phone_number",
        ];
        let mut object = with_known(record(&fields, &[]), &known, &fields, 3001);
        object["id"] = json!("id-1");
        let (event, key) =
            if is_call { ("onPhoneCallUpdate", "phone_call") } else { ("onAgentUpdate", "agent") };
        let event = json!({
            "event": event, "timestamp": shaped(times[0], 5001), "account_id": shaped(times[1], 5002),
            "domain": shaped(times[2], 5003), "region": shaped(times[0].wrapping_add(3), 5004),
            "data": {
                key: object, "actor": with_known(record(&actor, &[]), &["id", "name", "type"], &actor, 6001),
                "changes": {"common_status_id": [shaped(times[1], 7001), shaped(times[2], 7002)]},
            },
        });
        check(&event, "freshcaller", None)?;
    }

    #[test]
    fn no_field_of_a_channel_or_presence_is_lost(
        name in prop::sample::select(CLOUD_EVENTS), version in "v[0-9]{1,2}",
        shapes in any::<[u8; 24]>(), more in fields(),
    ) {
        let mut shapes = shapes.iter().zip(1..);
        let mut next = || shapes.next().map(|(shape, n)| shaped(*shape, n)).unwrap();
        let mut members = |names: &[&str]| -> Map<String, Value> {
            names.iter().map(|name| ((*name).to_owned(), next())).collect()
        };
        let mut party = members(&["role", "agentId", "userId", "address"]);
        let mut data = members(&["timestamp", "reason", "state"]);
        let mut event = members(&["specversion", "id", "source", "subject", "time", "datacontenttype", "traceparent"]);
        let mut user = members(&["agentId", "userId"]);
        let mut presence = members(&["presenceId", "description"]);
        for (place, start) in [(&mut party, 100), (&mut data, 200), (&mut event, 300), (&mut user, 400), (&mut presence, 500)] {
            place.extend(more.iter().zip(start..).map(|(spec, n)| {
                (format!("{}_", spec.0.get(KEYS)), field(n, spec))
            }));
        }
        let mut channel = members(&["conversationId", "interactionId"]);
        channel.insert("channelId".into(), json!("c-1"));
        channel.insert("party".into(), party.into());
        presence.insert("category".into(), members(&["type", "subcategory", "more"]).into());
        data.extend([("channel".to_owned(), channel.into()), ("user".to_owned(), user.into())]);
        data.insert("presence".into(), presence.into());
        event.insert("type".into(), json!(format!("{name}.{version}")));
        event.insert("data".into(), data.into());
        check(&event.into(), "vonage", None)?;
    }

    #[test]
    fn no_parameter_of_a_call_event_is_lost(
        known in prop::collection::vec((prop::sample::select(PARAMETERS), any::<u8>()), 0..12),
        more in prop::collection::vec(("[A-Za-z][A-Za-z0-9_ .*-]{0,9}", "\\PC{0,12}"), 0..8),
        route in prop::option::of(prop::sample::select(ROUTES)),
    ) {
        let mut parameters: Vec<(String, Value)> = known
            .iter()
            .zip(1..)
            .map(|((name, shape), n)| ((*name).to_owned(), shaped(*shape, n)))
            .collect();
        parameters.extend(more.iter().zip(1000..).map(|((name, text), n)| {
            (name.clone(), json!(format!("{n} {text}")))
        }));
        parameters.push(("CallID".to_owned(), json!("call-1")));
        // As an object, of which the last of equal names counts.
        let object: Map<String, Value> = parameters.iter().cloned().collect();
        check(&object.into(), "voipnow", route)?;
        // As a form, of which all count.
        let says: Vec<String> = parameters
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(_, value)| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            .collect();
        let names = parameters.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name);
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(names.zip(&says))
            .finish();
        check_body(form.as_bytes(), json!(says).to_string().as_bytes(), "voipnow", route)?;
    }

    #[test]
    fn no_byte_of_a_form_is_lost(bytes in prop::collection::vec(any::<u8>(), 1..20)) {
        let encoded: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
        let form = format!("CallID=call-1&CallerIDName={encoded}");
        let flat = rows_of(systems::by_name("voipnow").unwrap(), None, form.as_bytes());
        let found = Found::of(flat.tables.iter().map(|table| &table.rows));
        let told = match String::from_utf8(bytes) {
            Ok(text) => found.has(&text),
            // What is no UTF-8 is kept as it was spelled.
            Err(_) => found.has(&format!("CallerIDName={encoded}")),
        };
        prop_assert!(told, "{} is lost: {:?}", form, flat);
    }
}

/// The corpus of the fuzz targets, and all fixtures.
#[test]
fn any_bytes_are_an_answer() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for system in crate::SYSTEMS.iter().copied() {
        let folders = ["fuzz/seeds", "tests/fixtures"].map(|f| root.join(f).join(system.name()));
        let files =
            folders.iter().flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten());
        let mut seeds = 0;
        for file in files.map(|file| file.unwrap().path()) {
            let seed = std::fs::read(&file).unwrap();
            hostile::check(system, &seed);
            // A fixture says nothing of routes and modes.
            for how in [0, 0x13, 0x80, 0xff] {
                hostile::check(system, &[&[how], &*seed].concat());
            }
            seeds += 1;
        }
        assert!(seeds > 0, "{} has no fixtures", system.name());
    }
}
