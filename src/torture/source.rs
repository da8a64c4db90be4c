//! Where the load's events come from: a simulated firm, made into requests as they are needed.
//!
//! An end tells something only when it comes while events flow, on a fast machine and on a slow one. So
//! a life has its share of the events, and when that is sent, a trickle goes on for as long as it lives.
//! Some requests are sent again, also those of earlier lives. The events follow from the seed; how many
//! of them a life gets does not. It must enter every event in the ledger before it is sent.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::NaiveDate;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use ringlake_transform::{
    Flattener, LogPartition, OffsetRange, RawBatch, RawEvent, System, systems,
};

use super::load::{Chunk, Load, lock};
use crate::error::Error;
use crate::simulate::{Body, Event, Settings, Simulation};

/// Events of a request, at most.
const TOGETHER: usize = 50;
/// Requests that wait for a sender: with fewer, more are made.
const ENOUGH: usize = 64;
/// So many events are made at a time of what is owed.
const PORTION: usize = 250;
/// And of the trickle at each tick, 500 a second at most.
const TRICKLE: usize = 10;
/// Over Kafka a life takes several times as long, most of it for the group to notice a death.
const TICKS_OF_KAFKA: u32 = 5;
const TICK: Duration = Duration::from_millis(20);
/// VoipNow's events count as repeats for ten minutes; later ones are not sent again.
const REPEATABLE: Duration = Duration::from_secs(300);
/// Requests that are kept to be sent again.
const KEPT: usize = 200;

/// Makes requests, as many as are asked for.
pub struct Source {
    events: Box<dyn Iterator<Item = Event>>,
    flatteners: BTreeMap<&'static str, Flattener>,
    dice: ChaCha8Rng,
    /// Requests that may be sent again.
    past: Vec<Chunk>,
    made: u64,
}

impl Source {
    pub fn new(seed: u64, dice: ChaCha8Rng) -> Self {
        let settings = Settings {
            seed,
            first_day: NaiveDate::from_ymd_opt(2026, 3, 9).unwrap_or_default(),
            days: u32::MAX,
            calls: 600,
            system: None,
            repeats: 0.0,
            disorder: 5.0,
        };
        let events = Box::new(Simulation::new(settings).flatten());
        Self { events, flatteners: BTreeMap::new(), dice, past: Vec::new(), made: 0 }
    }

    /// Lets events flow for as long as it is asked: what is owed, then the trickle.
    pub async fn flow(&mut self, load: &Load, over_kafka: bool) -> Result<Infallible, Error> {
        let tick = if over_kafka { TICK * TICKS_OF_KAFKA } else { TICK };
        loop {
            let owed = load.owed.load(Ordering::Acquire);
            let waiting = load.waiting();
            if owed > 0 && waiting < ENOUGH {
                let count = PORTION.min(usize::try_from(owed).unwrap_or(PORTION));
                self.feed(load, count)?;
                // Behind the feeding, so that no event is ever neither owed nor sent.
                load.owed.fetch_sub(count as u64, Ordering::AcqRel);
                tokio::task::yield_now().await;
                continue;
            }
            if owed == 0 && waiting == 0 && !load.rests.load(Ordering::Acquire) {
                self.feed(load, TRICKLE)?;
            }
            tokio::time::sleep(tick).await;
        }
    }

    /// Gives `load` about so many events to send.
    fn feed(&mut self, load: &Load, count: usize) -> Result<(), Error> {
        let mut groups: BTreeMap<(&'static str, Option<&'static str>, bool), Vec<Event>> =
            BTreeMap::new();
        for event in self.events.by_ref().take(count) {
            let is_form = !matches!(event.body, Body::Json(_));
            groups.entry((event.system, event.route, is_form)).or_default().push(event);
        }
        let mut chunks = Vec::new();
        for ((system, route, is_form), events) in groups {
            let mut rest = events.as_slice();
            while !rest.is_empty() {
                let together = if is_form { 1 } else { self.dice.random_range(1..=TOGETHER) };
                let (events, more) = rest.split_at(together.min(rest.len()));
                chunks.extend(self.chunk(load, system, route, is_form, events)?);
                rest = more;
            }
        }
        // Systems and routes mixed, as they come.
        for at in (1..chunks.len()).rev() {
            chunks.swap(at, self.dice.random_range(0..=at));
        }
        self.repeat(load, &mut chunks);
        load.push(chunks);
        Ok(())
    }

    fn chunk(
        &mut self,
        load: &Load,
        system: &'static str,
        route: Option<&'static str>,
        is_form: bool,
        events: &[Event],
    ) -> Result<Option<Chunk>, Error> {
        let texts: Vec<String> = events.iter().map(|event| event.body.text()).collect();
        let keys = self.keys(load, systems::by_name(system)?, route, &texts);
        let new: Vec<(u64, String)> =
            keys.into_iter().zip(texts).filter_map(|(key, text)| Some((key?, text))).collect();
        if new.is_empty() {
            return Ok(None);
        }
        let (keys, texts): (Vec<u64>, Vec<String>) = new.into_iter().unzip();
        load.sent.fetch_add(keys.len() as u64, Ordering::AcqRel);
        let route = route.map(|route| format!("/{route}")).unwrap_or_default();
        let (media_type, body) = match is_form {
            true => ("application/x-www-form-urlencoded", texts.concat()),
            false => ("application/json", format!("[{}]", texts.join(","))),
        };
        Ok(Some(Chunk {
            path: format!("/webhooks/{system}{route}"),
            media_type,
            body: body.into(),
            keys,
            made: Instant::now(),
            is_repeat: false,
        }))
    }

    /// Enters the events, and returns the keys of those that are new.
    fn keys(
        &mut self,
        load: &Load,
        system: &'static dyn System,
        route: Option<&'static str>,
        texts: &[String],
    ) -> Vec<Option<u64>> {
        let now = crate::pipeline::now();
        let event = |(number, text): (usize, &String)| RawEvent {
            offset: number as i64,
            // As the server will see it: a vendor's time is believed if it is not ahead of this.
            received_at: now,
            route: route.map(Into::into),
            body: Bytes::from(text.clone()),
            resolution: None,
            damaged: false,
        };
        let events: Vec<RawEvent> = texts.iter().enumerate().map(event).collect();
        self.made += texts.len() as u64;
        let last = (texts.len() as i64 - 1).max(0);
        let partition = LogPartition::new(format!("torture.{}", self.made), 0);
        let raw = RawBatch { partition, system, range: OffsetRange::new(0, last), events };
        let flat = self.flatteners.entry(system.name()).or_default().flatten(vec![raw]);
        lock(&load.ledger).enter(&flat, texts.len())
    }

    /// Puts some requests in once more, new ones and old ones.
    fn repeat(&mut self, load: &Load, chunks: &mut Vec<Chunk>) {
        self.past.retain(|chunk| chunk.made.elapsed() < REPEATABLE);
        for at in (0..chunks.len()).rev() {
            if !self.dice.random_bool(0.05) {
                continue;
            }
            let old = match self.past.len() {
                0 => chunks.get(at).cloned(),
                count if self.dice.random_bool(0.5) => {
                    self.past.get(self.dice.random_range(0..count)).cloned()
                }
                _ => chunks.get(at).cloned(),
            };
            if let Some(old) = old {
                load.repeated.fetch_add(old.keys.len() as u64, Ordering::AcqRel);
                chunks.insert(at, Chunk { is_repeat: true, ..old });
            }
        }
        for chunk in chunks.iter().filter(|chunk| !chunk.is_repeat) {
            // Once it is full, by chance: so some are of lives that are long over.
            match self.past.len() < KEPT {
                true => self.past.push(chunk.clone()),
                false if self.dice.random_bool(0.1) => {
                    let at = self.dice.random_range(0..self.past.len());
                    if let Some(place) = self.past.get_mut(at) {
                        *place = chunk.clone();
                    }
                }
                false => {}
            }
        }
    }
}
