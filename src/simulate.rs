//! A working day of a made-up firm, as its phone systems and its CRM would report it.
//!
//! Everything follows from the seed: the same settings give the same bytes. Each vendor draws from
//! its own generator, so leaving one out changes nothing in the others. It must never look at the
//! clock, and its people, numbers and amounts are invented (numbers from ranges kept for fiction).

use chrono::{Datelike, NaiveDate, Weekday};
use ringlake_transform::Micros;

mod deals;
mod dice;
mod firm;
mod freshcaller;
mod freshcaller_call;
mod freshsales;
mod freshsales_json;
mod templates;
mod voipnow;
mod vonage;

use dice::Dice;

/// One event as a vendor would send it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When the vendor sends it, in the firm's day.
    pub sent_at: Micros,
    pub system: &'static str,
    pub route: Option<&'static str>,
    /// Events of one call or record share this number and are sent one after the other.
    pub entity: u64,
    pub body: Body,
}

/// How an event travels.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    Json(String),
    /// Parameters in the body of a POST.
    Form(Vec<(&'static str, String)>),
    /// Parameters in the query of a GET.
    Query(Vec<(&'static str, String)>),
}

impl Body {
    /// The bytes as they go over the wire.
    pub fn text(&self) -> String {
        match self {
            Self::Json(text) => text.clone(),
            Self::Form(pairs) | Self::Query(pairs) => {
                form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
            }
        }
    }

    /// The body as one line of JSON; parameters become an object.
    pub fn line(&self) -> String {
        match self {
            Self::Json(text) => text.clone(),
            Self::Form(pairs) | Self::Query(pairs) => {
                let object =
                    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into()));
                serde_json::Value::Object(object.collect()).to_string()
            }
        }
    }
}

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Settings {
    pub seed: u64,
    pub first_day: NaiveDate,
    /// Working days, at most.
    pub days: u32,
    /// Calls a day, over all systems; customers, deals and presences follow from it.
    pub calls: usize,
    /// Only this system's events.
    pub system: Option<String>,
    /// Share of events that are sent twice, in percent.
    pub repeats: f64,
    /// Share of events that are sent late and so out of order, in percent.
    pub disorder: f64,
}

/// One vendor's part of the day.
trait Vendor {
    fn system(&self) -> &'static str;
    /// Adds this vendor's events of one day, in any order.
    fn day(&mut self, date: NaiveDate, calls: usize, out: &mut Vec<Event>);
}

/// The simulated days, one at a time, so that any number of them takes no more memory than one.
pub struct Simulation {
    settings: Settings,
    vendors: Vec<Box<dyn Vendor>>,
    dice: Dice,
    next_day: NaiveDate,
    days_left: u32,
}

impl Simulation {
    pub fn new(settings: Settings) -> Self {
        let customers = firm::customers(settings.calls);
        let dice = |stream| Dice::new(settings.seed, stream, customers);
        let mut vendors: Vec<Box<dyn Vendor>> = vec![
            Box::new(freshcaller::Freshcaller::new(dice(1))),
            Box::new(freshsales::Freshsales::new(dice(2), settings.first_day)),
            Box::new(vonage::Vonage::new(dice(3))),
            Box::new(voipnow::VoipNow::new(dice(4))),
        ];
        if let Some(only) = &settings.system {
            vendors.retain(|vendor| vendor.system() == only);
        }
        let (next_day, days_left) = (settings.first_day, settings.days);
        Self { dice: dice(0), settings, vendors, next_day, days_left }
    }
}

impl Iterator for Simulation {
    type Item = Vec<Event>;

    /// The events of the next working day, in the order they are sent.
    fn next(&mut self) -> Option<Vec<Event>> {
        self.days_left = self.days_left.checked_sub(1)?;
        while matches!(self.next_day.weekday(), Weekday::Sat | Weekday::Sun) {
            self.next_day = self.next_day.succ_opt()?;
        }
        let date = self.next_day;
        self.next_day = date.succ_opt()?;
        let mut events = Vec::new();
        for vendor in &mut self.vendors {
            vendor.day(date, self.settings.calls, &mut events);
        }
        events.sort_by_key(|event| event.sent_at);
        self.disturb(&mut events);
        Some(events)
    }
}

impl Simulation {
    /// Sends some events twice and some late, as networks do.
    fn disturb(&mut self, events: &mut Vec<Event>) {
        let mut copies = Vec::new();
        for event in events.iter_mut() {
            if self.dice.chance(self.settings.disorder / 100.0) {
                event.sent_at += self.dice.seconds(20, 900);
            }
            if self.dice.chance(self.settings.repeats / 100.0) {
                let sent_at = event.sent_at + self.dice.seconds(1, 30);
                copies.push(Event { sent_at, ..event.clone() });
            }
        }
        events.append(&mut copies);
        events.sort_by_key(|event| event.sent_at);
    }
}

/// The newest day from Monday to Friday before `today`.
pub fn last_working_day(today: NaiveDate) -> NaiveDate {
    let mut day = today.pred_opt().unwrap_or(today);
    while matches!(day.weekday(), Weekday::Sat | Weekday::Sun) {
        day = day.pred_opt().unwrap_or(today);
    }
    day
}

#[cfg(test)]
mod tests;
