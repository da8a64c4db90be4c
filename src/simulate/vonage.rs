//! Vonage Contact Center's part of the day: the phases of each agent's channel, and presences.

use chrono::NaiveDate;
use ringlake_transform::Micros;
use serde_json::{Value, json};

use super::dice::{Dice, SECOND, millis, rfc3339};
use super::firm::AGENTS;
use super::{Body, Event, Vendor};

/// Category, subcategory and description of the presences that agents choose from.
const PRESENCES: &[(&str, &str, &str)] = &[
    ("ready", "readyInbound", "Ready"),
    ("ready", "readyOutbound", "Ready (Outbound)"),
    ("away", "lunch", "Lunch"),
    ("away", "meeting", "Meeting"),
    ("extendedAway", "training", "Training"),
    ("loggedOut", "loggedOut", "Logged out"),
];

pub struct Vonage {
    dice: Dice,
}

/// What all events of one channel have in common.
struct Channel {
    entity: u64,
    conversation: String,
    interaction: String,
    id: String,
    agent: String,
    user: String,
}

impl Vonage {
    pub fn new(dice: Dice) -> Self {
        Self { dice }
    }
}

impl Vendor for Vonage {
    fn system(&self) -> &'static str {
        "vonage"
    }

    fn day(&mut self, date: NaiveDate, calls: usize, out: &mut Vec<Event>) {
        for _ in 0..calls * 30 / 100 {
            let at = self.dice.moment(date);
            self.call(at, out);
        }
        for agent in 0..AGENTS.len() {
            for _ in 0..calls.div_ceil(60).min(20) {
                let at = self.dice.moment(date);
                out.push(self.presence(agent, at));
            }
        }
    }
}

impl Vonage {
    /// One interaction; an agent who does not pick up makes way for the next.
    fn call(&mut self, at: Micros, out: &mut Vec<Event>) {
        let (conversation, interaction) = (self.dice.guid(), self.dice.guid());
        let mut at = at;
        loop {
            let channel = self.channel(&conversation, &interaction);
            self.phase(&channel, "alerted", at, out);
            at += self.dice.seconds(2, 25);
            if self.dice.chance(0.1) {
                self.phase(&channel, "connectionfailed", at, out);
                self.phase(&channel, "ended", at, out);
                at += self.dice.seconds(1, 5);
                continue;
            }
            self.phase(&channel, "connected", at, out);
            self.talk(&channel, at, out);
            return;
        }
    }

    fn talk(&mut self, channel: &Channel, connected: Micros, out: &mut Vec<Event>) {
        let mut at = connected + self.dice.length(120.0, 2_400) * SECOND;
        let pause = match self.dice.range(0, 99) {
            0..25 => Some(("held", "retrieved")),
            25..30 => Some(("parked", "unparked")),
            30..33 => Some(("interrupted", "resumed")),
            _ => None,
        };
        if let Some((begin, end)) = pause {
            self.phase(channel, begin, at, out);
            at += self.dice.length(45.0, 600) * SECOND;
            self.phase(channel, end, at, out);
            at += self.dice.length(60.0, 900) * SECOND;
        }
        self.phase(channel, "disconnected", at, out);
        self.phase(channel, "wrapstarted", at, out);
        at += self.dice.length(30.0, 300) * SECOND;
        self.phase(channel, "ended", at, out);
    }

    fn channel(&mut self, conversation: &str, interaction: &str) -> Channel {
        let agent = self.dice.index(AGENTS.len());
        Channel {
            entity: self.dice.range(0, i64::MAX) as u64,
            conversation: conversation.to_owned(),
            interaction: interaction.to_owned(),
            id: self.dice.guid(),
            agent: agent_id(agent),
            user: user_guid(agent),
        }
    }

    fn phase(&mut self, channel: &Channel, phase: &str, at: Micros, out: &mut Vec<Event>) {
        let mut data = json!({
            "timestamp": millis(at),
            "channel": {
                "conversationId": channel.conversation,
                "interactionId": channel.interaction,
                "channelId": channel.id,
                "party": {"role": "agent", "agentId": channel.agent, "userId": channel.user},
            },
        });
        if let (Some(data), true) =
            (data.as_object_mut(), matches!(phase, "ended" | "connectionfailed"))
        {
            data.insert("reason".to_owned(), "released".into());
        }
        let kind = format!("channel.{phase}.v1");
        out.push(self.event(&kind, "/channel", &channel.id, at, data, channel.entity));
    }

    fn presence(&mut self, agent: usize, at: Micros) -> Event {
        let (category, subcategory, description) =
            self.dice.pick(PRESENCES).copied().unwrap_or_default();
        let data = json!({
            // Seven digits of the second, as the vendor writes them here.
            "timestamp": rfc3339(at, chrono::SecondsFormat::Micros).replace('Z', "4Z"),
            "presence": {
                "presenceId": format!("3bf05984-1957-4e56-9c2c-{:012x}", description.len() * 7_919 + category.len()),
                "category": {"type": category, "description": description, "subcategory": subcategory},
                "description": description,
            },
            "user": {"agentId": agent_id(agent), "userId": user_guid(agent)},
        });
        let subject = agent_id(agent);
        self.event("agent.presencechanged.v1", "/agent", &subject, at, data, agent as u64)
    }

    /// The vendor tells of a phase half a second after it began.
    fn event(
        &mut self,
        kind: &str,
        source: &str,
        subject: &str,
        at: Micros,
        data: Value,
        entity: u64,
    ) -> Event {
        let sent_at = at + self.dice.range(400_000, 700_000);
        let body = json!({
            "specversion": "1.0", "type": kind, "id": self.dice.sortable_id(), "source": source,
            "subject": subject, "time": rfc3339(sent_at, chrono::SecondsFormat::Micros).replace('Z', "1Z"),
            "datacontenttype": "application/json", "data": data,
        });
        let body = Body::Json(body.to_string());
        Event { sent_at, system: "vonage", route: None, entity, body }
    }
}

fn agent_id(agent: usize) -> String {
    (1_540 + agent).to_string()
}

fn user_guid(agent: usize) -> String {
    format!("ef71f453-556a-4abc-8769-{:012x}", 0xbc67_8ef6_e090_u64 + agent as u64)
}
