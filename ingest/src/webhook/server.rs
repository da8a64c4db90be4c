//! Accepts connections and serves HTTP/1.1 on them.
//!
//! A loop of our own in place of axum's: axum's sets no timer, without which hyper's timeout for the
//! head of a request never fires, and one slow sender could hold a connection for ever.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::DoorSettings;

/// More than any vendor sends in a head, and what one connection may buffer at a time.
const BUFFER_BYTES: usize = 64 * 1024;
const HEADERS: usize = 64;
/// After an accept failed, mostly since the process has too many files open.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn serve(
    listener: TcpListener,
    routes: Router,
    settings: &DoorSettings,
    stop: CancellationToken,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(settings.head_timeout)
        .max_headers(HEADERS)
        .max_buf_size(BUFFER_BYTES);
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(settings.max_connections.max(1)));
    let mut connections = JoinSet::new();
    while let Some((stream, permit)) = accept(&listener, &room, &mut connections, &stop).await {
        let service = TowerToHyperService::new(routes.clone());
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(settings.drain_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way when the door closed");
    }
    connections.shutdown().await;
}

/// The next connection, once there is room for one; none when the door is to close.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
    connections: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    loop {
        while connections.try_join_next().is_some() {}
        let next = async {
            let permit = room.clone().acquire_owned().await.ok()?;
            Some((listener.accept().await, permit))
        };
        let (accepted, permit) = tokio::select! {
            () = stop.cancelled() => return None,
            next = next => next?,
        };
        match accepted {
            Ok((stream, _)) => {
                // An answer is one small packet; it must not wait for more.
                let _ = stream.set_nodelay(true);
                return Some((stream, permit));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
