//! One simulated Freshcaller call and its shape on the wire.

use ringlake_transform::Micros;
use serde_json::{Value, json};

use super::dice::millis;
use super::firm::{Agent, Customer, Line};

/// The codes seen in real events; the vendor publishes no list.
pub const STATUS_NEW: i64 = 0;
pub const STATUS_DONE: i64 = 1;
pub const STATUS_MISSED: i64 = 3;
pub const STATUS_RINGING: i64 = 8;
pub const STATUS_TALKING: i64 = 10;

pub struct Leg {
    pub id: i64,
    /// An agent's leg, else the customer's.
    pub agent: Option<&'static Agent>,
    pub status: i64,
    pub created: Micros,
    pub enqueued: Option<Micros>,
    pub duration: Option<i64>,
    /// Ten-thousandths of the currency.
    pub cost: Option<i64>,
}

pub struct Call {
    pub id: i64,
    pub started: Micros,
    pub incoming: bool,
    pub line: &'static Line,
    pub customer: Customer,
    pub agent: Option<&'static Agent>,
    pub queue: Option<i64>,
    pub legs: Vec<Leg>,
    pub bill_duration: Option<Value>,
    pub recording: Option<Value>,
    pub notes: Option<&'static str>,
}

impl Call {
    /// Everything about it, as `onCallCreate` tells it.
    pub fn whole(&self, at: Micros) -> Value {
        json!({
            "id": self.id,
            "direction": if self.incoming { "incoming" } else { "outgoing" },
            "parent_call_id": null,
            "root_call_id": null,
            "phone_number_id": self.line.id,
            "phone_number": self.line.number,
            "assigned_agent_id": self.agent.map(|agent| agent.id),
            "assigned_team_id": self.agent.map(|agent| agent.team),
            "assigned_call_queue_id": self.queue,
            "assigned_ivr_id": null,
            "bill_duration": self.bill_duration,
            "bill_duration_unit": "seconds",
            "created_time": millis(self.started),
            "updated_time": millis(at),
            "call_notes": self.notes,
            "recording": self.recording,
            "recording_to_redact": null,
            "participants": self.participants(at),
        })
    }

    /// Only what names it and its agent, as real updates do; more is added by the caller.
    pub fn partial(&self, participants: Value) -> Value {
        json!({
            "id": self.id,
            "phone_number": self.line.number,
            "assigned_agent_id": self.agent.map(|agent| agent.id),
            "participants": participants,
        })
    }

    pub fn participants(&self, at: Micros) -> Value {
        self.legs.iter().map(|leg| self.participant(leg, at)).collect()
    }

    fn participant(&self, leg: &Leg, at: Micros) -> Value {
        let customer = leg.agent.is_none();
        json!({
            "id": leg.id,
            "call_id": self.id,
            "participant_type": if customer { "Customer" } else { "Agent" },
            "participant_id": leg.agent.map_or(self.customer.id - 7_000_000, |agent| agent.id),
            "caller_id": customer.then_some(self.customer.id),
            "caller_number": customer.then_some(&self.customer.number),
            "connection_type": i64::from(!customer),
            "call_status": leg.status,
            "duration": leg.duration,
            "duration_unit": "seconds",
            "cost": leg.cost.map(|cost| cost as f64 / 10_000.0),
            "cost_unit": self.line.cost_unit,
            "enqueued_time": leg.enqueued.map(millis),
            "created_time": millis(leg.created),
            "updated_time": millis(at),
        })
    }

    /// What the carrier takes for the customer's leg, begun minutes counting whole.
    pub fn cost_of(&self, seconds: i64) -> i64 {
        (seconds.max(1) + 59) / 60 * self.line.per_minute
    }
}
