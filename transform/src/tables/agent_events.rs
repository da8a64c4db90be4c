//! `agent_events`: one change of an agent's presence (Vonage) or availability (Freshcaller). The
//! time in a presence is the difference to the agent's next row.

use super::TableSpec;
use crate::columns::{Column, Kind};

pub static AGENT_EVENTS: TableSpec = TableSpec {
    name: "agent_events",
    row_is: "one agent state change",
    columns: &[
        Column::new("agent_id", Kind::Text),
        Column::new("user_id", Kind::Text),
        Column::new("presence_id", Kind::Text),
        Column::new("presence", Kind::Text),
        Column::new("category", Kind::Text),
        Column::new("category_name", Kind::Text),
        Column::new("subcategory", Kind::Text),
        // Freshcaller: 0 offline, 1 browser, 2 mobile.
        Column::new("available_on", Kind::Int),
        Column::new("status_id", Kind::Text),
        Column::new("status_name", Kind::Text),
        Column::new("actor_id", Kind::Text),
        Column::new("actor_name", Kind::Text),
        Column::new("notified_at", Kind::Time),
        Column::new("version", Kind::Text),
        Column::new("source", Kind::Text),
        Column::new("subject", Kind::Text),
        Column::new("domain", Kind::Text),
        Column::new("region", Kind::Text),
    ],
    grows: false,
    primary: true,
    sort: &["account_id", "agent_id", "event_time", "offset"],
};
