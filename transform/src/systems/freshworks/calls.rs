//! Freshcaller's `onCallCreate` and `onCallUpdate`: one row of the call, one per leg, one per change.
//!
//! Cost and talked time are on the legs, `cost_unit` is the currency, and most updates carry only a
//! few of the fields (developers.freshcaller.com, "onCallUpdate"; a published app's test payload).

use super::{Envelope, actor::Actor, changes};
use crate::error::Rejection;
use crate::event::Micros;
use crate::flatten::Output;
use crate::json::{JsonKind, Value};
use crate::rows::{Renamed, RowWriter};
use crate::tables::{CALL_PARTICIPANTS, CALLS};
use crate::values;

const SYSTEM: &str = "freshcaller";

/// The vendor's field and the column that takes it unchanged.
static CALL_FIELDS: &Renamed = &[
    ("id", "call_id"),
    ("root_call_id", "root_call_id"),
    ("parent_call_id", "parent_call_id"),
    ("phone_number", "number"),
    ("phone_number_id", "number_id"),
    ("assigned_agent_id", "agent_id"),
    ("assigned_agent_name", "agent_name"),
    ("assigned_team_id", "team_id"),
    ("assigned_team_name", "team_name"),
    ("assigned_call_queue_id", "queue_id"),
    ("assigned_call_queue_name", "queue_name"),
    ("assigned_ivr_id", "ivr_id"),
    ("assigned_ivr_name", "ivr_name"),
    ("created_time", "created_at"),
    ("updated_time", "updated_at"),
    ("call_notes", "notes"),
    ("life_cycle", "life_cycle"),
    ("parallel_call_groups", "parallel_call_groups"),
    ("integrated_resources", "integrated_resources"),
];

static LEG_FIELDS: &Renamed = &[
    ("id", "leg_id"),
    ("call_id", "call_id"),
    ("participant_id", "participant_id"),
    ("participant_type", "participant_type"),
    ("connection_type", "connection_type"),
    ("call_status", "call_status"),
    ("caller_id", "caller_id"),
    ("caller_number", "caller_number"),
    ("caller_name", "caller_name"),
    ("cost", "cost"),
    ("enqueued_time", "enqueued_at"),
    ("created_time", "created_at"),
    ("updated_time", "updated_at"),
];

pub(super) fn flatten(envelope: &Envelope<'_>, out: &mut Output<'_>) -> Result<(), Rejection> {
    let call = envelope.object(&["call"])?;
    if !envelope.begin(SYSTEM, out) {
        return Ok(());
    }
    let id = call.get("id").and_then(Value::scalar_text).unwrap_or_default();
    let actor = Actor::of(envelope);
    let at = out.event_time();
    call_row(envelope, call, at, &actor, &mut out.row(&CALLS));
    for leg in call.get("participants").iter().flat_map(|legs| legs.items()) {
        leg_row(leg, id, &mut out.row(&CALL_PARTICIPANTS));
    }
    changes::write(envelope, "call", id, call, &actor, out);
    Ok(())
}

fn call_row(
    envelope: &Envelope<'_>,
    call: Value<'_>,
    at: Micros,
    actor: &Actor<'_>,
    row: &mut RowWriter<'_>,
) {
    begin_row(envelope, actor, row);
    for (key, value) in call.last_first() {
        match key {
            "direction" => direction(row, key, value),
            "bill_duration" if value.is_null() => {}
            "bill_duration" => {
                let unit = call.get_some("bill_duration_unit");
                seconds(row, "bill_duration_seconds", key, value, unit);
            }
            "participants" => participants(row, value),
            "recording" => recording(row, value),
            "bill_duration_unit" if unit_factor(Some(value)) == Some(1) => {}
            _ => row.put_field(CALL_FIELDS, key, value),
        }
    }
    row.some_time("started_at", call.get("created_time").and_then(values::time_of));
    envelope.keep_rest(row, at, &["call", "actor", "changes"]);
}

/// What a call's row says of its event, whichever kind of call it is.
pub(super) fn begin_row(envelope: &Envelope<'_>, actor: &Actor<'_>, row: &mut RowWriter<'_>) {
    row.text("phase", envelope.happening())
        .some_text("domain", envelope.domain)
        .some_text("region", envelope.region);
    actor.write_typed(row);
}

/// `incoming` or `outgoing`, which some products write with a capital; any other word stays as it is.
pub(super) fn direction(row: &mut RowWriter<'_>, key: &str, value: Value<'_>) {
    let known = ["incoming", "outgoing"];
    let text = value.as_str().unwrap_or_default();
    match known.iter().find(|direction| direction.eq_ignore_ascii_case(text)) {
        Some(direction) => row.text("direction", direction),
        None => row.put("direction", key, value),
    };
}

/// Seconds in one of the units a `…_unit` may name; seconds where it names none.
fn unit_factor(unit: Option<Value<'_>>) -> Option<i128> {
    let Some(unit) = unit.filter(|unit| !unit.is_null()) else { return Some(1) };
    let unit = unit.as_str()?;
    let units = [("seconds", 1), ("minutes", 60), ("hours", 3600)];
    let known = units.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name));
    known.map(|(_, factor)| *factor)
}

/// A duration in the `unit` that stands beside it, into a column of seconds.
fn seconds(
    row: &mut RowWriter<'_>,
    column: &str,
    key: &str,
    value: Value<'_>,
    unit: Option<Value<'_>>,
) {
    match unit_factor(unit) {
        Some(1) => {
            row.put(column, key, value);
        }
        Some(factor) => {
            row.put_scaled(column, key, value, factor);
        }
        None if value.is_null() => {}
        None => row.extra(key, value),
    }
}

fn participants(row: &mut RowWriter<'_>, legs: Value<'_>) {
    if !matches!(legs.kind(), JsonKind::Array | JsonKind::Null) {
        row.extra("participants", legs);
    }
    let count = legs.items().count();
    row.int("leg_count", i64::try_from(count).unwrap_or(i64::MAX));
    let customer = legs.items().find(|leg| {
        let kind = leg.get("participant_type").and_then(Value::as_str);
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case("customer"))
    });
    let Some(customer) = customer else { return };
    let text = |name| customer.get(name).and_then(Value::scalar_text);
    row.some_text("customer_number", text("caller_number"))
        .some_text("customer_name", text("caller_name"))
        .some_text("customer_id", text("participant_id"));
}

fn recording(row: &mut RowWriter<'_>, recording: Value<'_>) {
    row.put("recording", "recording", recording);
    row.some_text("recording_url", recording.get("url").and_then(Value::as_str));
    if let Some(duration) = recording.get("duration")
        && let Some(factor) = unit_factor(recording.get("duration_unit"))
    {
        row.try_scaled("recording_duration_seconds", duration, factor);
    }
}

fn leg_row(leg: Value<'_>, call_id: &str, row: &mut RowWriter<'_>) {
    if leg.kind() != JsonKind::Object {
        row.extra("participants", leg);
    }
    let mut has_call = false;
    for (key, value) in leg.last_first() {
        match key {
            "duration" if value.is_null() => {}
            "duration" => {
                seconds(row, "duration_seconds", key, value, leg.get_some("duration_unit"));
            }
            "call_id" => {
                has_call |= !value.is_null();
                row.put_field(LEG_FIELDS, key, value);
            }
            "cost_unit" => currency(row, key, value),
            "duration_unit" if unit_factor(Some(value)) == Some(1) => {}
            _ => row.put_field(LEG_FIELDS, key, value),
        }
    }
    if !has_call {
        row.text("call_id", call_id);
    }
}

/// The vendor's `usd` is ISO 4217 in lower case; what is no currency's code is kept as it is.
fn currency(row: &mut RowWriter<'_>, key: &str, value: Value<'_>) {
    let code = |text: &&str| text.len() == 3 && text.bytes().all(|b| b.is_ascii_alphabetic());
    match value.as_str().filter(code) {
        Some(text) => {
            row.text("currency", &text.to_ascii_uppercase());
        }
        None if value.is_null() => {}
        None => row.extra(key, value),
    }
}
