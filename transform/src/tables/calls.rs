//! `calls`: one reported state of one call, as partial as the vendor sent it.
//!
//! Freshcaller reports the call again on each change, VoipNow sends one event per phase; the newest
//! state of a call is a query over these rows, `calls_current`. Vonage's calls are in
//! `channel_events`, since what it reports is phases of channels.

use super::TableSpec;
use crate::columns::{Column, Kind};

pub static CALLS: TableSpec = TableSpec {
    name: "calls",
    row_is: "one reported state of one call",
    columns: &[
        Column::new("call_id", Kind::Text),
        Column::new("root_call_id", Kind::Text),
        Column::new("parent_call_id", Kind::Text),
        Column::new("direction", Kind::Text),
        Column::new("number", Kind::Text),
        Column::new("number_id", Kind::Text),
        Column::new("customer_number", Kind::Text),
        Column::new("customer_name", Kind::Text),
        Column::new("customer_id", Kind::Text),
        Column::new("agent_id", Kind::Text),
        Column::new("agent_name", Kind::Text),
        Column::new("team_id", Kind::Text),
        Column::new("team_name", Kind::Text),
        Column::new("queue_id", Kind::Text),
        Column::new("queue_name", Kind::Text),
        Column::new("ivr_id", Kind::Text),
        Column::new("ivr_name", Kind::Text),
        // What the event says happened: created, updated, dial, answer, hangup.
        Column::new("phase", Kind::Text),
        Column::new("status", Kind::Text),
        Column::new("started_at", Kind::Time),
        Column::new("answered_at", Kind::Time),
        Column::new("ended_at", Kind::Time),
        Column::new("bill_duration_seconds", Kind::Seconds),
        // A call-level duration and cost: only phone_call has them, Freshcaller's are on the legs.
        Column::new("talk_seconds", Kind::Seconds),
        Column::new("cost", Kind::Decimal),
        Column::new("currency", Kind::Text),
        Column::new("leg_count", Kind::Int),
        Column::new("notes", Kind::Text),
        Column::new("recording", Kind::Json),
        Column::new("recording_url", Kind::Text),
        Column::new("recording_duration_seconds", Kind::Seconds),
        Column::new("life_cycle", Kind::Json),
        Column::new("parallel_call_groups", Kind::Json),
        Column::new("integrated_resources", Kind::Json),
        Column::new("is_deleted", Kind::Bool),
        Column::new("created_at", Kind::Time),
        Column::new("updated_at", Kind::Time),
        Column::new("extension", Kind::Text),
        Column::new("caller_extension", Kind::Text),
        Column::new("called_extension", Kind::Text),
        Column::new("called_number", Kind::Text),
        Column::new("called_did", Kind::Text),
        Column::new("caller_number", Kind::Text),
        Column::new("caller_name", Kind::Text),
        Column::new("domain", Kind::Text),
        Column::new("region", Kind::Text),
        Column::new("actor_id", Kind::Text),
        Column::new("actor_name", Kind::Text),
        Column::new("actor_type", Kind::Text),
    ],
    grows: false,
    primary: true,
    sort: &["account_id", "call_id", "event_time", "offset"],
};
