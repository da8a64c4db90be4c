//! The load: requests, sent by several senders until each is acknowledged.
//!
//! As vendors do it: whatever is not answered 200 is sent again, and senders overtake each other. It must
//! not count an event as acknowledged before the server has said so, nor forget one that it has not.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, header};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ledger::Ledger;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(30);
/// The token of every system.
pub const TOKEN: &str = "torture-0123456789-torture-0123456789";

/// One request.
#[derive(Clone, Debug)]
pub struct Chunk {
    pub path: String,
    pub media_type: &'static str,
    pub body: Bytes,
    pub keys: Vec<u64>,
    pub made: Instant,
    pub is_repeat: bool,
}

/// What waits to be sent, and how far that is.
pub struct Load {
    pub ledger: Mutex<Ledger>,
    waiting: Mutex<VecDeque<Chunk>>,
    news: Notify,
    /// Events that are still to be made.
    pub owed: AtomicU64,
    /// Nothing is sent beyond what is owed.
    pub rests: AtomicBool,
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
            owed: AtomicU64::new(0),
            rests: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            refused: Mutex::default(),
        })
    }

    pub fn push(&self, chunks: impl IntoIterator<Item = Chunk>) {
        lock(&self.waiting).extend(chunks);
        self.news.notify_waiters();
    }

    /// How many requests no sender has taken up yet.
    pub fn waiting(&self) -> usize {
        lock(&self.waiting).len()
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

    /// Events that are not acknowledged, made or not.
    pub fn open(&self) -> u64 {
        let acknowledged = self.acknowledged.load(Ordering::Acquire);
        (self.sent.load(Ordering::Acquire) + self.owed.load(Ordering::Acquire))
            .saturating_sub(acknowledged)
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
