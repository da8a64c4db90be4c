//! The load: simulated events in requests, sent by several senders until each is acknowledged.
//!
//! As vendors do it: whatever is not answered 200 is sent again, some requests are sent again although
//! they were, and senders overtake each other. The events follow from the seed; the order in which the
//! server gets them does not.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::NaiveDate;
use http_body_util::{BodyExt, Full};
use hyper::{Request, header};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use ringlake_transform::{
    Flattener, LogPartition, OffsetRange, RawBatch, RawEvent, System, systems,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ledger::Ledger;
use crate::error::Error;
use crate::simulate::{Body, Event, Settings, Simulation};

/// Events of a request, at most.
const TOGETHER: usize = 20;
/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(30);
/// VoipNow's events count as repeats for ten minutes; later ones are not sent again.
const REPEATABLE: Duration = Duration::from_secs(300);
/// The token of every system.
pub const TOKEN: &str = "torture-0123456789-torture-0123456789";

/// One request.
#[derive(Clone, Debug)]
struct Chunk {
    path: String,
    media_type: &'static str,
    body: Bytes,
    keys: Vec<u64>,
    made: Instant,
    is_repeat: bool,
}

/// What waits to be sent, and how far that is.
pub struct Load {
    pub ledger: Mutex<Ledger>,
    waiting: Mutex<VecDeque<Chunk>>,
    news: Notify,
    /// Events that were entered, and those of them that were acknowledged.
    pub sent: AtomicU64,
    pub acknowledged: AtomicU64,
    /// Requests that were sent although they were acknowledged.
    pub repeated: AtomicU64,
    /// An answer that is neither 200 nor a reason to come again.
    refused: Mutex<Option<String>>,
}

impl Load {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            ledger: Mutex::default(),
            waiting: Mutex::default(),
            news: Notify::new(),
            sent: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            refused: Mutex::default(),
        })
    }

    fn push(&self, chunks: impl IntoIterator<Item = Chunk>) {
        lock(&self.waiting).extend(chunks);
        self.news.notify_waiters();
    }

    async fn pop(&self) -> Chunk {
        loop {
            let news = self.news.notified();
            if let Some(chunk) = lock(&self.waiting).pop_front() {
                return chunk;
            }
            let _ = tokio::time::timeout(Duration::from_millis(100), news).await;
        }
    }

    /// Events that were sent and not acknowledged.
    pub fn open(&self) -> u64 {
        self.sent.load(Ordering::Acquire) - self.acknowledged.load(Ordering::Acquire)
    }

    /// What the server refused for good.
    pub fn refused(&self) -> Option<String> {
        lock(&self.refused).clone()
    }

    /// Starts the senders; they end with `stop`.
    pub fn send(
        self: &Arc<Self>,
        to: SocketAddr,
        stop: &CancellationToken,
        senders: usize,
    ) -> TaskTracker {
        let tasks = TaskTracker::new();
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        for _ in 0..senders {
            let (load, client, stop) = (self.clone(), client.clone(), stop.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = load.work(&client, to) => {}
                }
            });
        }
        tasks.close();
        tasks
    }

    async fn work(&self, client: &Client<HttpConnector, Full<Bytes>>, to: SocketAddr) {
        loop {
            let chunk = self.pop().await;
            while !self.offer(client, to, &chunk).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            if chunk.is_repeat {
                continue;
            }
            lock(&self.ledger).acknowledge(&chunk.keys);
            self.acknowledged.fetch_add(chunk.keys.len() as u64, Ordering::AcqRel);
        }
    }

    /// True once it is done with.
    async fn offer(
        &self,
        client: &Client<HttpConnector, Full<Bytes>>,
        to: SocketAddr,
        chunk: &Chunk,
    ) -> bool {
        let request = Request::post(format!("http://{to}{}", chunk.path))
            .header(header::CONTENT_TYPE, chunk.media_type)
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            .body(Full::from(chunk.body.clone()));
        let Ok(request) = request else { return true };
        let answer = tokio::time::timeout(PATIENCE, client.request(request)).await;
        let Ok(Ok(answer)) = answer else { return false };
        let status = answer.status();
        let text = tokio::time::timeout(PATIENCE, answer.into_body().collect()).await;
        if status.is_client_error() && status != 429 {
            let text = text.ok().and_then(Result::ok).map(|body| body.to_bytes());
            let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
            *lock(&self.refused) = Some(format!("{} was answered {status}: {text}", chunk.path));
        }
        status == 200
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes requests, as many as are asked for.
pub struct Source {
    events: Box<dyn Iterator<Item = Event>>,
    flatteners: BTreeMap<&'static str, Flattener>,
    dice: ChaCha8Rng,
    /// Requests that may be sent again.
    past: VecDeque<Chunk>,
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
        Self { events, flatteners: BTreeMap::new(), dice, past: VecDeque::new(), made: 0 }
    }

    /// Gives `load` about so many events to send.
    pub fn feed(&mut self, load: &Load, count: usize) -> Result<(), Error> {
        let mut groups: BTreeMap<(&'static str, Option<&'static str>, bool), Vec<Event>> =
            BTreeMap::new();
        for event in self.events.by_ref().take(count) {
            let is_form = !matches!(event.body, Body::Json(_));
            groups.entry((event.system, event.route, is_form)).or_default().push(event);
        }
        let mut chunks = Vec::new();
        for ((system, route, is_form), events) in groups {
            for events in events.chunks(if is_form { 1 } else { TOGETHER }) {
                chunks.extend(self.chunk(load, system, route, is_form, events)?);
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
        self.past.extend(chunks.iter().filter(|chunk| !chunk.is_repeat).take(20).cloned());
        while self.past.len() > 200 {
            self.past.pop_front();
        }
    }
}
