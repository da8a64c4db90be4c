//! Sends events to a door over HTTP, as vendors do: again, after 429, 503 or a lost connection.
//!
//! Events of one entity go over one connection, one after the other, so that only the simulation
//! decides what comes out of order. It must never give up silently: what is not taken is an error.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::error::Error;
use crate::simulate::{Body, Event};

/// How long one event is offered before the sender gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// A door, and the token of each system there.
#[derive(Clone)]
pub struct Target {
    base: String,
    tokens: BTreeMap<String, String>,
    client: Client<HttpConnector, Full<Bytes>>,
}

#[derive(Clone, Copy)]
pub struct Pace {
    pub connections: usize,
    /// Events per second.
    pub rate: Option<f64>,
}

/// What was sent, and how long the answers took.
#[derive(Default)]
pub struct Sent {
    pub events: u64,
    pub retries: u64,
    took: Duration,
    /// Microseconds from request to answer, of every event.
    answers: Vec<u32>,
}

impl Target {
    pub fn new(base: &str, tokens: BTreeMap<String, String>) -> Result<Self, Error> {
        if !base.starts_with("http://") {
            return Err(Error::usage(format!("--to {base:?} is not an http:// address")));
        }
        let base = base.trim_end_matches('/').to_owned();
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { base, tokens, client })
    }

    fn request(&self, event: &Event) -> Result<Request<Full<Bytes>>, Error> {
        let token = self.tokens.get(event.system).ok_or_else(|| {
            Error::usage(format!(
                "no token for {0}; give --token {0}=TOKEN, or --data with the door's data folder",
                event.system
            ))
        })?;
        let mut url = format!("{}/webhooks/{}", self.base, event.system);
        if let Some(route) = event.route {
            url = format!("{url}/{route}");
        }
        let text = event.body.text();
        let request = match &event.body {
            Body::Json(_) => Request::post(url)
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::AUTHORIZATION, format!("Bearer {token}"))
                .body(Full::from(text)),
            // This vendor can set no header: the token is the last part of the path.
            Body::Form(_) => Request::post(format!("{url}/{token}"))
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Full::from(text)),
            Body::Query(_) => Request::builder()
                .method(Method::GET)
                .uri(format!("{url}/{token}?{text}"))
                .body(Full::default()),
        };
        request.map_err(|error| Error::usage(format!("{} is no address: {error}", self.base)))
    }

    /// Offers one event until it is taken. Returns how often it was offered again.
    async fn offer(&self, event: &Event) -> Result<u64, Error> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(50);
        for tries in 0.. {
            let refused = match self.client.request(self.request(event)?).await {
                Ok(answer) if answer.status().is_success() => {
                    let _ = answer.into_body().collect().await;
                    return Ok(tries);
                }
                Ok(answer) => {
                    let (status, wait) = (answer.status(), retry_after(answer.headers()));
                    let text = answer.into_body().collect().await.map(|body| body.to_bytes());
                    let text = String::from_utf8_lossy(&text.unwrap_or_default()).trim().to_owned();
                    let error = Error::failed(
                        format!("{} answered {status}: {text}", self.base),
                        "`ringlake tokens` shows the tokens of a data folder",
                    );
                    if !matches!(
                        status,
                        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
                    ) {
                        return Err(error);
                    }
                    pause = wait.unwrap_or(pause);
                    error
                }
                Err(source) => Error::Unreachable { url: self.base.clone(), source: source.into() },
            };
            if started.elapsed() > PATIENCE
                || (tries > 20 && matches!(refused, Error::Unreachable { .. }))
            {
                return Err(refused);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
        Ok(0)
    }
}

fn retry_after(headers: &header::HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(10)))
}

/// Sends all events; `progress` is called for each that was taken.
pub async fn send(
    target: &Target,
    events: impl Iterator<Item = Event>,
    pace: Pace,
    progress: &dyn Fn(),
) -> Result<Sent, Error> {
    let started = Instant::now();
    let (done, mut answered) = mpsc::unbounded_channel();
    let mut workers = JoinSet::new();
    let mut lanes = Vec::new();
    for _ in 0..pace.connections.max(1) {
        let (lane, queue) = mpsc::channel(32);
        lanes.push(lane);
        workers.spawn(work(target.clone(), queue, done.clone()));
    }
    drop(done);
    let mut sent = Sent::default();
    for (number, event) in events.enumerate() {
        if let Some(rate) = pace.rate {
            let due = started + Duration::from_secs_f64(number as f64 / rate.max(0.001));
            tokio::time::sleep_until(due.into()).await;
        }
        let lane = lanes.get((event.entity % lanes.len() as u64) as usize);
        // A closed lane means its worker failed; its error is found below.
        let Some(true) = (match lane {
            Some(lane) => Some(lane.send(event).await.is_ok()),
            None => None,
        }) else {
            break;
        };
        while let Ok(answer) = answered.try_recv() {
            sent.add(answer, progress);
        }
    }
    drop(lanes);
    while let Some(answer) = answered.recv().await {
        sent.add(answer, progress);
    }
    while let Some(worker) = workers.join_next().await {
        worker.map_err(|error| Error::failed(error.to_string(), "this is a bug"))??;
    }
    sent.took = started.elapsed();
    Ok(sent)
}

/// Retries of one event, and microseconds until its answer.
type Answer = (u64, u32);

async fn work(
    target: Target,
    mut queue: mpsc::Receiver<Event>,
    done: mpsc::UnboundedSender<Answer>,
) -> Result<(), Error> {
    let target = Arc::new(target);
    while let Some(event) = queue.recv().await {
        let asked = Instant::now();
        let retries = target.offer(&event).await?;
        let _ = done.send((retries, asked.elapsed().as_micros() as u32));
    }
    Ok(())
}

impl Sent {
    fn add(&mut self, (retries, micros): Answer, progress: &dyn Fn()) {
        self.events += 1;
        self.retries += retries;
        self.answers.push(micros);
        progress();
    }

    pub fn summary(&self) -> String {
        let mut answers = self.answers.clone();
        answers.sort_unstable();
        let at = |share: f64| {
            let rank = ((answers.len() as f64 * share).ceil() as usize).saturating_sub(1);
            f64::from(answers.get(rank).copied().unwrap_or(0)) / 1_000.0
        };
        let seconds = self.took.as_secs_f64().max(1e-9);
        format!(
            "sent {} events in {seconds:.1} s ({:.0}/s; answers p50 {:.1} ms, p99 {:.1} ms; {} retries)",
            self.events,
            self.events as f64 / seconds,
            at(0.5),
            at(0.99),
            self.retries,
        )
    }
}
