//! Freshcaller's part of the day: calls with their legs, agents coming and going, and now and then
//! a `phone_call` of the suite.
//!
//! Updates are partial and the cost comes last, some time after the call was billed, as in real life.

use chrono::NaiveDate;
use ringlake_transform::Micros;
use serde_json::{Value, json};

use super::dice::{Dice, SECOND, millis, seconds};
use super::firm::{AGENTS, Agent, LINES, QUEUES, customer};
use super::freshcaller_call::{
    Call, Leg, STATUS_DONE, STATUS_MISSED, STATUS_NEW, STATUS_RINGING, STATUS_TALKING,
};
use super::{Body, Event, Vendor};

const ACCOUNT: &str = "82918";
const DOMAIN: &str = "harbourfinch.freshcaller.com";
const NOTES: &[&str] = &[
    "asks for a new quote",
    "delivery is late",
    "wants to talk to billing",
    "line dropped, called back",
];

pub struct Freshcaller {
    dice: Dice,
    next_call: i64,
    next_leg: i64,
    next_suite_call: i64,
}

impl Freshcaller {
    pub fn new(dice: Dice) -> Self {
        Self { dice, next_call: 50_101, next_leg: 120_301, next_suite_call: 21_000 }
    }
}

impl Vendor for Freshcaller {
    fn system(&self) -> &'static str {
        "freshcaller"
    }

    fn day(&mut self, date: NaiveDate, calls: usize, out: &mut Vec<Event>) {
        for _ in 0..calls * 45 / 100 {
            let at = self.dice.moment(date);
            self.call(at, out);
        }
        for agent in &AGENTS {
            for _ in 0..calls.div_ceil(100).min(12) {
                let at = self.dice.moment(date);
                out.push(self.presence(agent, at));
            }
        }
        for _ in 0..calls / 60 {
            let at = self.dice.moment(date);
            out.push(self.suite_call(at));
        }
    }
}

impl Freshcaller {
    /// One call from its first ring to its bill.
    fn call(&mut self, at: Micros, out: &mut Vec<Event>) {
        let mut call = self.dial(at);
        out.push(event("onCallCreate", at, call.id, call.whole(at), None));
        let answered_at = at + self.dice.seconds(3, 40);
        if self.dice.chance(0.14) {
            self.miss(&mut call, answered_at, out);
            return;
        }
        self.answer(&mut call, answered_at, out);
        let talk = self.dice.length(210.0, 5_400);
        let ended_at = answered_at + talk * SECOND;
        if talk > 60 && self.dice.chance(0.12) {
            self.transfer(&mut call, answered_at + talk * SECOND / 2, out);
        }
        self.complete(&mut call, answered_at, ended_at, out);
        self.afterwards(&mut call, ended_at, out);
    }

    fn dial(&mut self, at: Micros) -> Call {
        let incoming = self.dice.chance(0.65);
        let line = self.dice.pick(&LINES).unwrap_or(&LINES[0]);
        let customer = customer(self.dice.customer());
        let agent = if incoming { None } else { self.dice.pick(&AGENTS) };
        let queue = if incoming { self.dice.pick(QUEUES).copied() } else { None };
        let id = self.next_call;
        self.next_call += self.dice.range(1, 3);
        let mut call = Call {
            id,
            started: at,
            incoming,
            line,
            customer,
            agent,
            queue,
            legs: Vec::new(),
            bill_duration: None,
            recording: None,
            notes: None,
        };
        let leg = self.leg(None, STATUS_NEW, at);
        call.legs.push(Leg { enqueued: queue.map(|_| at), ..leg });
        if agent.is_some() {
            call.legs.push(self.leg(agent, STATUS_RINGING, at));
        }
        call
    }

    fn leg(&mut self, agent: Option<&'static Agent>, status: i64, created: Micros) -> Leg {
        self.next_leg += 1;
        Leg {
            id: self.next_leg,
            agent,
            status,
            created,
            enqueued: None,
            duration: None,
            cost: None,
        }
    }

    fn answer(&mut self, call: &mut Call, at: Micros, out: &mut Vec<Event>) {
        if call.agent.is_none() {
            call.agent = self.dice.pick(&AGENTS);
            let leg = self.leg(call.agent, STATUS_TALKING, at);
            call.legs.push(leg);
        }
        call.legs.iter_mut().for_each(|leg| leg.status = STATUS_TALKING);
        let changes = json!({"assigned_agent_id": [null, call.agent.map(|agent| agent.id)]});
        let body = call.whole(at);
        out.push(event("onCallUpdate", at, call.id, body, Some(changes)));
    }

    fn transfer(&mut self, call: &mut Call, at: Micros, out: &mut Vec<Event>) {
        let before = call.agent.map(|agent| agent.id);
        call.agent = self.dice.pick(&AGENTS);
        let leg = self.leg(call.agent, STATUS_TALKING, at);
        call.legs.push(leg);
        let mut body = call.partial(call.participants(at));
        set(&mut body, "assigned_team_id", call.agent.map(|agent| agent.team).into());
        let after = call.agent.map(|agent| agent.id);
        let changes = json!({"model_changes": {"assigned_agent_id": [before, after]}});
        out.push(event("onCallUpdate", at, call.id, body, Some(changes)));
    }

    /// The vendor bills whole minutes and writes them as an integer or as a float.
    fn complete(&mut self, call: &mut Call, answered: Micros, ended: Micros, out: &mut Vec<Event>) {
        let talk = (ended - answered) / SECOND;
        let billed = (talk + 59) / 60 * 60;
        call.bill_duration =
            Some(if self.dice.chance(0.5) { json!(billed) } else { json!(billed as f64) });
        for leg in &mut call.legs {
            leg.status = STATUS_DONE;
            let from = leg.created.max(answered);
            leg.duration = Some(if leg.agent.is_none() { talk } else { (ended - from) / SECOND });
        }
        let mut body = call.partial(call.participants(ended));
        set(&mut body, "bill_duration", json!(call.bill_duration));
        set(&mut body, "bill_duration_unit", json!("seconds"));
        set(&mut body, "updated_time", json!(millis(ended)));
        let changes = json!({"bill_duration": [null, call.bill_duration]});
        out.push(event("onCallUpdate", ended, call.id, body, Some(changes)));
    }

    fn miss(&mut self, call: &mut Call, at: Micros, out: &mut Vec<Event>) {
        call.legs.iter_mut().for_each(|leg| leg.status = STATUS_MISSED);
        out.push(event("onCallUpdate", at, call.id, call.whole(at), Some(json!({}))));
        if self.dice.chance(0.5) {
            call.legs.iter_mut().for_each(|leg| leg.cost = Some(0));
            let later = at + self.dice.seconds(20, 120);
            let body = call.partial(call.participants(later));
            out.push(event("onCallUpdate", later, call.id, body, Some(json!({}))));
        }
    }

    /// The recording, the cost and the agent's note, each when it is ready.
    fn afterwards(&mut self, call: &mut Call, ended: Micros, out: &mut Vec<Event>) {
        if self.dice.chance(0.6) {
            let at = ended + self.dice.seconds(15, 240);
            let talk = (ended - call.started) / SECOND;
            call.recording = Some(json!({
                "id": 880_000 + call.id, "duration": talk, "duration_unit": "seconds",
                "url": format!("https://{DOMAIN}/api/v1/calls/{}/recording", call.id),
            }));
            let mut body = call.partial(json!([]));
            set(&mut body, "recording", json!(call.recording));
            out.push(event("onCallUpdate", at, call.id, body, Some(json!({}))));
        }
        if self.dice.chance(0.92) {
            let at = ended + self.dice.seconds(20, 900);
            for index in 0..call.legs.len() {
                let customer = call
                    .legs
                    .get(index)
                    .and_then(|leg| leg.duration.filter(|_| leg.agent.is_none()));
                let cost = customer.map_or(0, |seconds| call.cost_of(seconds));
                if let Some(leg) = call.legs.get_mut(index) {
                    leg.cost = Some(cost);
                }
            }
            let body = call.partial(call.participants(at));
            out.push(event("onCallUpdate", at, call.id, body, Some(json!({}))));
        }
        if self.dice.chance(0.2) {
            let at = ended + self.dice.seconds(30, 600);
            call.notes = self.dice.pick(NOTES).copied();
            let mut body = call.partial(json!([]));
            set(&mut body, "call_notes", json!(call.notes));
            let changes = json!({"call_notes": [null, call.notes]});
            out.push(event("onCallUpdate", at, call.id, body, Some(changes)));
        }
    }

    fn presence(&mut self, agent: &Agent, at: Micros) -> Event {
        let available = self.dice.range(0, 2);
        let before = (available + 1) % 3;
        let uuid = format!("3893988351510{:05}", agent.id);
        let spaced = |at| seconds(at).replace('T', " ").replace('Z', " UTC");
        let body = json!({
            "currentHost": {"subscribed_modules": ["caller_agent"],
                "endpoint_urls": {"freshcaller": format!("https://{DOMAIN}")}},
            "data": {
                "actor": {"account_id": 82_918, "account_admin": false, "agent": {}, "id": agent.user_id, "uuid": uuid},
                "agent": {"account_id": 82_918, "id": agent.id, "user_id": agent.user_id,
                    "available_on": available, "common_status_id": available,
                    "common_status_name": if available == 0 { "Away" } else { "Available" }},
                "associations": {},
                "changes": {"model_changes": {"available_on": [before, available],
                    "updated_at": [spaced(at - 1_800 * SECOND), spaced(at)]}},
            },
            "event": "onAgentUpdate", "region": "US", "timestamp": at / SECOND, "version": "2.0",
        });
        let body = Body::Json(body.to_string());
        Event { sent_at: at, system: "freshcaller", route: None, entity: agent.id as u64, body }
    }

    fn suite_call(&mut self, at: Micros) -> Event {
        let id = self.next_suite_call;
        self.next_suite_call += 1;
        let customer = customer(self.dice.customer());
        let length = self.dice.length(150.0, 3_600);
        let agent = self.dice.pick(&AGENTS).unwrap_or(&AGENTS[0]);
        let body = json!({
            "currentHost": {"subscribed_modules": ["phone_call"], "endpoint_urls": {
                "freshworks_crm": "https://harbourfinch.myfreshworks.com"}},
            "data": {
                "actor": {"id": agent.user_id, "name": agent.name},
                "associations": {},
                "phone_call": {
                    "id": id, "root_phone_call_id": id, "user_id": agent.user_id, "entity_id": customer.id,
                    "call_direction": if self.dice.chance(0.7) { "Outgoing" } else { "Incoming" },
                    "call_status": "Completed", "call_duration": length,
                    "call_cost": ((length + 59) / 60 * 120) as f64 / 10_000.0,
                    "recording_duration": null, "note": null, "outcome_id": 1,
                    "phone_number": LINES.first().map(|line| line.number),
                    "phone_caller_number": customer.number, "phone_caller_number_country": customer.country,
                    "source": null, "is_manual": false, "is_deleted": false, "needs_response": false,
                    "created_at": seconds(at), "updated_at": seconds(at),
                },
            },
            "event": "onPhoneCallCreate", "iparams": {}, "region": "US",
            "timestamp": at as f64 / SECOND as f64, "version": "2.0",
        });
        let body = Body::Json(body.to_string());
        Event { sent_at: at, system: "freshcaller", route: None, entity: id as u64, body }
    }
}

fn set(body: &mut Value, key: &str, value: Value) {
    if let Some(object) = body.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

fn event(name: &str, at: Micros, call: i64, body: Value, changes: Option<Value>) -> Event {
    let mut data = json!({"call": body, "associations": {}, "actor": {"type": "system"}});
    if let Some(changes) = changes {
        set(&mut data, "changes", changes);
    }
    let body = json!({
        "account_id": ACCOUNT, "domain": DOMAIN, "event": name, "timestamp": at / SECOND,
        "region": "US", "data": data,
    });
    let body = Body::Json(body.to_string());
    Event { sent_at: at, system: "freshcaller", route: None, entity: call as u64, body }
}
