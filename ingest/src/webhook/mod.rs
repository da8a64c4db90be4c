//! The door: where vendors' requests come in.
//!
//! Every request goes the same way, cheapest refusal first, and nothing of it is kept before the last
//! step:
//!
//! ```text
//! path, method ▶ system ▶ token ▶ rate ▶ room ▶ content type ▶ size ▶ body in time ▶ signature ▶ split ▶ log
//!     404, 405     404     401    429    503       415        413      408          401      400, 413 503
//! ```
//!
//! 200 means that the log holds every event of the request. A body that nobody can read is kept too
//! and answered 200, since the vendor would only send the same again.
//!
//! The door must never write a body, a token, or the path of a webhook (its last part may be a token)
//! to a log line, and never echo what was sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{any, get};
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::error::LogError;
use crate::log::{Log, MAX_EVENT_BYTES};
use crate::metrics::Metrics;
use crate::tokens::Tokens;

mod body;
mod guests;
mod rate;
mod receive;
mod refusal;
mod room;
mod server;
mod status;
#[cfg(test)]
mod tests;
mod tls;

use rate::Limits;
use room::Rooms;
use status::Known;
pub use tls::Tls;

/// Limits and times of the door. The defaults are above what the vendors do.
#[derive(Clone, Debug)]
pub struct DoorSettings {
    /// `host:port`; port 0 takes a free one.
    pub listen: String,
    /// The largest body of one request, which may hold many events.
    pub max_body_bytes: usize,
    /// The largest body of one event.
    pub max_event_bytes: usize,
    /// Requests a second that one token may send; its bucket holds a second's worth.
    pub requests_per_second: u32,
    /// Beyond it a new connection takes the place of one that is silent.
    pub max_connections: usize,
    /// Requests of one system that may be under way at a time, and the bytes of their bodies.
    pub waiting_requests: usize,
    pub waiting_bytes: usize,
    /// For the head of a request, and for the next request on a connection that is kept open.
    pub head_timeout: Duration,
    /// For the whole body.
    pub body_timeout: Duration,
    /// For the log. Vendors give up after 10 s.
    pub append_timeout: Duration,
    /// How long requests under way may take to end when the door closes.
    pub drain_timeout: Duration,
}

impl Default for DoorSettings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            max_body_bytes: 8 << 20,
            max_event_bytes: MAX_EVENT_BYTES,
            requests_per_second: 20_000,
            max_connections: 4_096,
            // Of four systems together what the log's queue takes.
            waiting_requests: 1_000,
            waiting_bytes: 16 << 20,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            append_timeout: Duration::from_secs(9),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// A further condition of `/readyz`: why this process is not ready, if it is not.
pub type ReadyCheck = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What the door works with.
#[derive(Clone)]
pub struct DoorParts {
    pub log: Arc<dyn Log>,
    pub tokens: Arc<Tokens>,
    /// By the system's name: the secret with which its vendor signs. A system that signs and has one
    /// here is taken only with a valid signature, besides its token.
    pub secrets: BTreeMap<String, String>,
    pub metrics: Metrics,
    /// Shown at `/metrics` and on the page at `/`.
    pub registry: Registry,
    /// Asked by `/readyz` after the log.
    pub ready: ReadyCheck,
    /// With it the door speaks TLS and nothing else.
    pub tls: Option<Arc<Tls>>,
}

/// What every request sees.
struct Shared {
    settings: DoorSettings,
    parts: DoorParts,
    limits: Limits,
    rooms: Rooms,
    known: Known,
}

/// The door, bound to its address but not yet open.
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
    settings: DoorSettings,
    routes: Router,
    tls: Option<Arc<Tls>>,
}

impl Door {
    /// Takes the address. Requests wait until [`Door::serve`].
    pub async fn bind(settings: DoorSettings, parts: DoorParts) -> Result<Self, LogError> {
        let fail = |error: std::io::Error| LogError::Listen {
            address: settings.listen.clone(),
            source: Arc::new(error),
        };
        let listener = TcpListener::bind(&settings.listen).await.map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        let tls = parts.tls.clone();
        let routes = routes(settings.clone(), parts);
        Ok(Self { listener, address, settings, routes, tls })
    }

    /// Where it listens, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds pages beside those of the door. Panics where a path is taken, as axum does.
    #[must_use]
    pub fn with_routes(mut self, routes: Router) -> Self {
        self.routes = self.routes.merge(routes);
        self
    }

    /// Serves until `stop` is cancelled, then takes no new connection and lets requests under way end.
    pub async fn serve(self, stop: CancellationToken) {
        server::serve(self.listener, self.routes, self.tls, &self.settings, stop).await;
    }
}

fn routes(settings: DoorSettings, parts: DoorParts) -> Router {
    let limits = Limits::new(settings.requests_per_second);
    // One request may fill the room, but is never larger than it.
    let room = settings.waiting_bytes.max(settings.max_body_bytes);
    let rooms = Rooms::new(settings.waiting_requests, room);
    let shared = Arc::new(Shared { settings, parts, limits, rooms, known: Known::default() });
    Router::new()
        .route("/", get(status::page))
        .route("/healthz", get(status::healthz))
        .route("/readyz", get(status::readyz))
        .route("/metrics", get(status::metrics))
        .route("/webhooks/{*rest}", any(receive::receive))
        .fallback(receive::not_found)
        .with_state(shared)
}
