//! Freshsales Suite's `onPhoneCallCreate` and `onPhoneCallUpdate`: another object than Freshcaller's
//! call, with its own duration and cost and no legs (published platform 3.0 sample).
//!
//! `call_cost` comes without a currency; the account's configured one is applied by the reports.

use super::{
    Envelope,
    actor::Actor,
    calls::{begin_row, direction},
    changes,
};
use crate::error::Rejection;
use crate::event::Micros;
use crate::flatten::Output;
use crate::json::Value;
use crate::rows::{Renamed, RowWriter};
use crate::tables::CALLS;
use crate::values;

const SYSTEM: &str = "freshcaller";

static FIELDS: &Renamed = &[
    ("id", "call_id"),
    ("root_phone_call_id", "root_call_id"),
    ("user_id", "agent_id"),
    ("entity_id", "customer_id"),
    ("call_status", "status"),
    ("call_duration", "talk_seconds"),
    ("call_cost", "cost"),
    ("recording_duration", "recording_duration_seconds"),
    ("note", "notes"),
    ("phone_number", "number"),
    ("phone_caller_number", "customer_number"),
    ("is_deleted", "is_deleted"),
    ("created_at", "created_at"),
    ("updated_at", "updated_at"),
];

pub(super) fn flatten(envelope: &Envelope<'_>, out: &mut Output<'_>) -> Result<(), Rejection> {
    let call = envelope.object(&["phone_call"])?;
    if !envelope.begin(SYSTEM, out) {
        return Ok(());
    }
    let actor = Actor::of(envelope);
    let at = out.event_time();
    row(envelope, call, at, &actor, &mut out.row(&CALLS));
    let id = call.get("id").and_then(Value::scalar_text).unwrap_or_default();
    changes::write(envelope, "phone_call", id, call, &actor, out);
    Ok(())
}

fn row(
    envelope: &Envelope<'_>,
    call: Value<'_>,
    at: Micros,
    actor: &Actor<'_>,
    row: &mut RowWriter<'_>,
) {
    begin_row(envelope, actor, row);
    for (key, value) in call.last_first() {
        match key {
            "call_direction" => direction(row, key, value),
            _ => row.put_field(FIELDS, key, value),
        }
    }
    row.some_time("started_at", call.get("created_at").and_then(values::time_of));
    envelope.keep_rest(row, at, &["phone_call", "actor", "changes"]);
}
