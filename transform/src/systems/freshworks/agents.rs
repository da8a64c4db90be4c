//! Freshcaller's `onAgentUpdate`: an agent signed in or out, or changed availability.
//!
//! `agent_id` is the agent's id, not the user's: the two differ (published platform 3.0 sample).

use super::{Envelope, actor::Actor, changes};
use crate::error::Rejection;
use crate::flatten::Output;
use crate::json::Value;
use crate::rows::Renamed;
use crate::tables::AGENT_EVENTS;

static FIELDS: &Renamed = &[
    ("id", "agent_id"),
    ("user_id", "user_id"),
    ("available_on", "available_on"),
    ("common_status_id", "status_id"),
    ("common_status_name", "status_name"),
];

pub(super) fn flatten(envelope: &Envelope<'_>, out: &mut Output<'_>) -> Result<(), Rejection> {
    let agent = envelope.object(&["agent"])?;
    if !envelope.begin("freshcaller", out) {
        return Ok(());
    }
    let (actor, at) = (Actor::of(envelope), out.event_time());
    {
        let mut row = out.row(&AGENT_EVENTS);
        row.some_text("domain", envelope.domain).some_text("region", envelope.region);
        actor.write(&mut row);
        for (key, value) in agent.last_first() {
            row.put_field(FIELDS, key, value);
        }
        envelope.keep_rest(&mut row, at, &["agent", "actor", "changes"]);
    }
    let id = agent.get("id").and_then(Value::scalar_text).unwrap_or_default();
    changes::write(envelope, "agent", id, agent, &actor, out);
    Ok(())
}
