//! VoipNow's part of the day: parameters without a body, a time or an event name.
//!
//! The route tells the events apart, and each event may come as GET or POST, as configured per
//! request in the vendor's panel.

use chrono::NaiveDate;
use ringlake_transform::Micros;

use super::dice::{Dice, SECOND};
use super::firm::{Customer, LINES, customer};
use super::{Body, Event, Vendor};

/// Statuses of calls that nobody talked in.
const UNANSWERED: &[&str] = &["BUSY", "NOANSWER", "NOANSWER", "CANCEL", "CONGESTION", "UNKNOWN"];

pub struct VoipNow {
    dice: Dice,
}

/// One call at one extension.
struct Call {
    id: String,
    api_id: String,
    incoming: bool,
    extension: String,
    line: &'static str,
    customer: Customer,
}

impl VoipNow {
    pub fn new(dice: Dice) -> Self {
        Self { dice }
    }
}

impl Vendor for VoipNow {
    fn system(&self) -> &'static str {
        "voipnow"
    }

    fn day(&mut self, date: NaiveDate, calls: usize, out: &mut Vec<Event>) {
        for _ in 0..calls * 25 / 100 {
            let at = self.dice.moment(date);
            self.call(at, out);
        }
    }
}

impl VoipNow {
    fn call(&mut self, at: Micros, out: &mut Vec<Event>) {
        let call = self.dial(at);
        let route = if call.incoming { "dial-in" } else { "dial-out" };
        self.push(&call, route, "CALLING", at, out);
        let mut at = at + self.dice.seconds(3, 30);
        if self.dice.chance(0.22) {
            let status = self.dice.pick(UNANSWERED).copied().unwrap_or("UNKNOWN");
            self.push(&call, "hangup", status, at, out);
            return;
        }
        // Older versions send no Answer events.
        if self.dice.chance(0.8) {
            self.push(&call, "answer", "ANSWER", at, out);
        }
        at += self.dice.length(180.0, 3_600) * SECOND;
        self.push(&call, "hangup", "ANSWER", at, out);
    }

    fn dial(&mut self, at: Micros) -> Call {
        let number = self.dice.range(0, 0xffff_ffff);
        Call {
            id: format!("{}-{number:08x}", at / SECOND),
            api_id: format!("{number:08x}{:04x}", at / SECOND % 0xffff),
            incoming: self.dice.chance(0.6),
            extension: format!("0003*{:03}", self.dice.range(1, 12)),
            line: self.dice.pick(&LINES).map_or("", |line| line.number),
            customer: customer(self.dice.customer()),
        }
    }

    fn push(
        &mut self,
        call: &Call,
        route: &'static str,
        status: &str,
        at: Micros,
        out: &mut Vec<Event>,
    ) {
        let customer = &call.customer;
        let name = format!("{} {}", customer.first_name, customer.last_name);
        let own = ("CallAPIID", call.api_id.clone());
        let mut pairs = vec![("CallID", call.id.clone())];
        if call.incoming {
            pairs.extend([
                ("CallerIDNum", customer.number.clone()),
                ("CallerIDName", name),
                ("CalledDID", call.line.to_owned()),
                ("CalledExtension", call.extension.clone()),
                ("CalledNumber", call.extension.clone()),
                ("CallFlow", "IN".to_owned()),
            ]);
        } else {
            pairs.extend([
                ("CallerIDNum", call.line.to_owned()),
                ("CallerIDName", "Harbour & Finch".to_owned()),
                ("CallerExtension", call.extension.clone()),
                ("CalledNumber", customer.number.clone()),
                ("CallFlow", "OUT".to_owned()),
            ]);
        }
        pairs.extend([("CallStatus", status.to_owned()), own]);
        let body = if route == "hangup" { Body::Form(pairs) } else { Body::Query(pairs) };
        let entity = u64::from_str_radix(&call.api_id, 16).unwrap_or_default();
        out.push(Event { sent_at: at, system: "voipnow", route: Some(route), entity, body });
    }
}
