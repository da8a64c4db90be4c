//! `call_participants`: one leg of one reported call state. Cost and talked time are here, not on
//! the call: `currency` is the vendor's `cost_unit` in upper case.

use super::TableSpec;
use crate::columns::{Column, Kind};

pub static CALL_PARTICIPANTS: TableSpec = TableSpec {
    name: "call_participants",
    row_is: "one leg of one reported call state",
    columns: &[
        Column::new("call_id", Kind::Text),
        Column::new("leg_id", Kind::Text),
        Column::new("participant_id", Kind::Text),
        Column::new("participant_type", Kind::Text),
        Column::new("connection_type", Kind::Int),
        Column::new("call_status", Kind::Int),
        Column::new("caller_id", Kind::Text),
        Column::new("caller_number", Kind::Text),
        Column::new("caller_name", Kind::Text),
        Column::new("duration_seconds", Kind::Seconds),
        Column::new("cost", Kind::Decimal),
        Column::new("currency", Kind::Text),
        Column::new("enqueued_at", Kind::Time),
        Column::new("created_at", Kind::Time),
        Column::new("updated_at", Kind::Time),
    ],
    grows: false,
    primary: false,
    sort: &["account_id", "call_id", "leg_id", "event_time", "offset"],
};
