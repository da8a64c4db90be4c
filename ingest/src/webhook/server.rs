//! Accepts connections and serves HTTP/1.1 on them, over TLS where a certificate is given.
//!
//! A loop of our own in place of axum's: axum's sets no timer, without which hyper's timeout for the
//! head of a request never fires, and one slow sender could hold a connection for ever. Handshakes are
//! made beside the loop, so that a slow one holds up nobody.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::DoorSettings;
use super::guests::{Guest, Guests};
use super::tls::Tls;

/// More than any vendor sends in a head, and what one connection may buffer at a time.
const BUFFER_BYTES: usize = 32 * 1024;
const HEADERS: usize = 64;
/// After an accept failed, mostly since the process has too many files open.
const PAUSE: Duration = Duration::from_millis(50);

/// What every connection is served with.
#[derive(Clone)]
struct Host {
    http: http1::Builder,
    routes: Router,
    tls: Option<Arc<Tls>>,
    handshake: Duration,
}

pub(super) async fn serve(
    listener: TcpListener,
    routes: Router,
    tls: Option<Arc<Tls>>,
    settings: &DoorSettings,
    stop: CancellationToken,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(settings.head_timeout)
        .max_headers(HEADERS)
        .max_buf_size(BUFFER_BYTES);
    let host = Host { http, routes, tls, handshake: settings.head_timeout };
    let graceful = GracefulShutdown::new();
    let guests = Guests::new(settings.max_connections);
    let mut connections = JoinSet::new();
    while let Some((stream, guest)) = accept(&listener, &guests, &mut connections, &stop).await {
        connections.spawn(host.clone().receive(stream, guest, graceful.watcher()));
    }
    drop(listener);
    if tokio::time::timeout(settings.drain_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way when the door closed");
    }
    connections.shutdown().await;
}

/// The next connection and its place; none when the door is to close.
async fn accept(
    listener: &TcpListener,
    guests: &Arc<Guests>,
    connections: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Option<(TcpStream, Arc<Guest>)> {
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = stop.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                // An answer is one small packet; it must not wait for more.
                let _ = stream.set_nodelay(true);
                return tokio::select! {
                    () = stop.cancelled() => None,
                    guest = guests.admit() => Some((stream, guest)),
                };
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl Host {
    async fn receive(self, stream: TcpStream, guest: Arc<Guest>, watcher: Watcher) {
        let Some(tls) = &self.tls else { return self.talk(stream, guest, watcher).await };
        let handshake = tokio::time::timeout(self.handshake, tls.acceptor().accept(stream));
        let outcome = tokio::select! {
            outcome = handshake => outcome,
            () = guest.told_to_leave() => return,
        };
        match outcome {
            Ok(Ok(stream)) => self.talk(stream, guest, watcher).await,
            Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
            Err(_) => tracing::debug!("a handshake took too long"),
        }
    }

    async fn talk<S>(&self, stream: S, guest: Arc<Guest>, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let routes = TowerToHyperService::new(self.routes.clone());
        let known = guest.clone();
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(known.clone());
            routes.call(request)
        });
        let connection = watcher.watch(self.http.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            ended = connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
            }
            () = guest.told_to_leave() => tracing::debug!("a connection gave its place to another"),
        }
    }
}
