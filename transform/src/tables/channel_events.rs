//! `channel_events`: one phase change of one Vonage channel, by `data.timestamp`: the time the phase
//! began, not the time the notice was sent (that one is `notified_at`).

use super::TableSpec;
use crate::columns::{Column, Kind};

pub static CHANNEL_EVENTS: TableSpec = TableSpec {
    name: "channel_events",
    row_is: "one phase change of one channel",
    columns: &[
        Column::new("interaction_id", Kind::Text),
        Column::new("conversation_id", Kind::Text),
        Column::new("channel_id", Kind::Text),
        // `connected` of `channel.connected.v1`.
        Column::new("phase", Kind::Text),
        Column::new("version", Kind::Text),
        Column::new("party_role", Kind::Text),
        Column::new("agent_id", Kind::Text),
        Column::new("user_id", Kind::Text),
        Column::new("reason", Kind::Text),
        Column::new("notified_at", Kind::Time),
        Column::new("source", Kind::Text),
        Column::new("subject", Kind::Text),
    ],
    grows: false,
    primary: true,
    sort: &["interaction_id", "channel_id", "event_time", "offset"],
};
