//! Calls: the states and legs that still matter are merged with those that came since, and the views
//! are asked of that.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::filter_record_batch;
use datafusion::error::Result;
use datafusion::prelude::SessionContext;
use ringlake_transform::merge::{Merging, ORDER, Phases, merge};

use super::Fold;
use super::fresh::{Fresh, Inputs, happened};
use super::scope::{Scope, of_keys, same_key};

/// The views that say what a call comes to. The first two are what [`merge`] does here.
pub(super) const DEFINITION: &[&str] = &[
    "_calls_stated",
    "call_participants_current",
    "channel_calls_current",
    "channel_phases",
    "_call_cost_lines",
    "_split_cost_lines",
    "_calls_whole",
];

/// `_calls_stated`, without SQL.
const STATES: Merging = Merging {
    key: &["system", "account_id", "call_id", "extension"],
    newest: &[
        "root_call_id",
        "parent_call_id",
        "direction",
        "number",
        "number_id",
        "customer_number",
        "customer_name",
        "customer_id",
        "agent_id",
        "agent_name",
        "team_id",
        "team_name",
        "queue_id",
        "queue_name",
        "started_at",
        "answered_at",
        "ended_at",
        "bill_duration_seconds",
        "talk_seconds",
        "notes",
        "recording_url",
        "is_deleted",
        "status",
        "cost",
        "currency",
        "created_at",
    ],
    phases: Some(Phases {
        column: "phase",
        decisive: ("status", "hangup"),
        first_times: &[
            ("dial_time", &["dial-in", "dial-out"]),
            ("answer_time", &["answer"]),
            ("hangup_time", &["hangup"]),
        ],
    }),
};

/// `call_participants_current`, but for the currency's case.
const LEGS: Merging = Merging {
    key: &["system", "account_id", "call_id", "leg_id"],
    newest: &[
        "participant_id",
        "participant_type",
        "connection_type",
        "call_status",
        "caller_id",
        "caller_number",
        "caller_name",
        "duration_seconds",
        "cost",
        "currency",
        "enqueued_at",
        "created_at",
        "updated_at",
    ],
    phases: None,
};

pub(super) async fn fresh(context: &SessionContext, fold: &Fold, inputs: &Inputs) -> Result<Fresh> {
    let scope = Scope::beside(context);
    for (name, table) in &inputs.tail {
        scope.add(&format!("since_{name}"), Arc::clone(table))?;
    }
    for (name, table) in &inputs.parts {
        scope.add(&format!("folded_{name}"), Arc::clone(table))?;
    }
    let keys = scope
        .rows(
            "SELECT DISTINCT system, account_id, call_id FROM (
                SELECT system, account_id, call_id FROM since_calls
                UNION ALL SELECT system, account_id, call_id FROM since_call_participants
                UNION ALL SELECT system, account_id, interaction_id FROM since_channel_events
            ) AS touched",
        )
        .await?;
    scope.add_rows("keys", keys.clone())?;

    let mut parts = BTreeMap::new();
    let (stated, kept) = merged(&scope, &keys, fold, inputs, "states", "calls", &STATES).await?;
    scope.add_rows("_calls_stated", stated)?;
    parts.insert("states", kept);
    let (legs, kept) =
        merged(&scope, &keys, fold, inputs, "legs", "call_participants", &LEGS).await?;
    scope.add_rows("legs", legs)?;
    parts.insert("legs", kept);
    let current =
        "SELECT * EXCEPT (first_event_time) REPLACE (upper(currency) AS currency) FROM legs";
    scope.define("call_participants_current", current).await?;
    channel_events(&scope, &keys, fold, inputs).await?;
    scope.define_view("channel_calls_current").await?;
    for part in fold.parts {
        let Some(view) = part.view else { continue };
        let rows = scope.rows_of_view(view).await?;
        // Others are made of these.
        scope.add_rows(view, rows.clone())?;
        parts.insert(part.name, rows);
    }
    Ok(Fresh { keys, parts })
}

/// The touched entities of one table, merged, and the states that they were made of.
async fn merged(
    scope: &Scope,
    keys: &RecordBatch,
    fold: &Fold,
    inputs: &Inputs,
    part: &'static str,
    table: &str,
    how: &Merging,
) -> Result<(RecordBatch, RecordBatch)> {
    let phase = how.phases.as_ref().map(|phases| phases.column);
    let columns: Vec<String> = how
        .key
        .iter()
        .chain(ORDER)
        .chain(how.newest)
        .chain(&phase)
        .map(|column| format!("\"{column}\""))
        .collect();
    let columns = columns.join(", ");
    let mut sql = format!("SELECT {columns} FROM since_{table}");
    if inputs.parts.contains_key(part) {
        let known = of_keys("folded.*", &format!("folded_{part}"), keys, fold.key);
        sql = format!("SELECT {columns} FROM ({known}) AS kept UNION ALL {sql}");
    }
    let states = scope.rows(&sql).await?;
    let merged = merge(&states, how)?;
    Ok((merged.entities, filter_record_batch(&states, &merged.kept)?))
}

/// `channel_events` of the touched calls: read again from the table, where the calls' own times say
/// when to look.
async fn channel_events(
    scope: &Scope,
    keys: &RecordBatch,
    fold: &Fold,
    inputs: &Inputs,
) -> Result<()> {
    let mut times =
        "SELECT event_time AS first, event_time AS last FROM since_channel_events".to_owned();
    if inputs.parts.contains_key("whole") {
        times = format!(
            "{times} UNION ALL SELECT first_event_time, last_event_time FROM ({}) AS known
            WHERE talk_basis = 'connected-time'",
            of_keys("folded.*", "folded_whole", keys, fold.key)
        );
    }
    let (Some(all), Some(then)) = (&inputs.beside, happened(scope, &times).await?) else {
        return scope.define("channel_events", "SELECT * FROM since_channel_events").await;
    };
    scope.add("all_channel_events", Arc::clone(all))?;
    let sql = format!(
        "SELECT event.* FROM (
            SELECT system, account_id, call_id AS interaction_id FROM keys
        ) AS keys RIGHT SEMI JOIN all_channel_events AS event ON {} WHERE {then}",
        same_key(&["system", "account_id", "interaction_id"], "event"),
    );
    scope.define("channel_events", &sql).await
}
