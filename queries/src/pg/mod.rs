//! PostgreSQL's wire protocol over the engine, for psql, JDBC and tools that draw charts.
//!
//! A statement passes the same fence and has the same limits as at the command line; a client that hangs up
//! or cancels ends its statement. It must never run a statement but through [`Engine`](crate::Engine), and
//! never let somebody in without the password.

mod auth;
mod failure;
mod freshest;
mod hangup;
mod rows;
mod running;
mod service;
mod texts;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use datafusion_postgres::pgwire::tokio::{TlsAcceptor, process_socket};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::engine::EngineSettings;
use crate::error::QueryError;
use freshest::Freshest;
use running::Running;
use service::Connection;

/// How long the listener rests when the system gives it no connection.
const REST: Duration = Duration::from_millis(100);

/// What the listener needs to know.
pub struct PgSettings {
    pub listen: SocketAddr,
    pub user: String,
    pub password: String,
    /// Connections at a time; further ones are closed at once.
    pub max_connections: usize,
    /// Gives each connection its certificate; without it all is in the clear, but for the password.
    pub tls: Option<Arc<dyn Fn() -> TlsAcceptor + Send + Sync>>,
    pub engine: EngineSettings,
}

impl std::fmt::Debug for PgSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgSettings").field("listen", &self.listen).finish_non_exhaustive()
    }
}

/// A listener that is bound.
pub struct PgServer {
    listener: TcpListener,
    settings: PgSettings,
    freshest: Arc<Freshest>,
}

impl PgServer {
    /// Binds the address and opens the tables.
    ///
    /// # Errors
    /// If the address is taken, or the tables cannot be read.
    pub async fn bind(settings: PgSettings) -> Result<Self, QueryError> {
        let at = settings.listen;
        let listener = TcpListener::bind(at)
            .await
            .map_err(|source| QueryError::Listen { at: at.to_string(), source })?;
        let freshest = Arc::new(Freshest::open(settings.engine.clone()).await?);
        Ok(Self { listener, settings, freshest })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the system does not know.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is done; statements that run then are ended.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let room = Arc::new(Semaphore::new(self.settings.max_connections));
        let running = Arc::new(Running::default());
        let mut connections = JoinSet::new();
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => return,
                accepted = self.listener.accept() => accepted,
            };
            while connections.try_join_next().is_some() {}
            let socket = match accepted {
                Ok((socket, _)) => socket,
                Err(error) => {
                    tracing::warn!(%error, "no connection could be taken");
                    tokio::time::sleep(REST).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
                tracing::warn!("too many connections to --pg; one is closed");
                continue;
            };
            let handlers = Connection::new(
                Arc::clone(&self.freshest),
                Arc::clone(&running),
                auth::handler(&self.settings.user, &self.settings.password),
            );
            let tls = self.settings.tls.as_ref().map(|acceptor| acceptor());
            connections.spawn(async move {
                let _permit = permit;
                converse(socket, tls, handlers).await;
            });
        }
    }
}

/// One connection, until either side has had enough.
async fn converse(socket: TcpStream, tls: Option<TlsAcceptor>, handlers: Connection) {
    let Ok((socket, hung_up)) = hangup::watched(socket) else { return };
    tokio::select! {
        ended = process_socket(socket, tls, handlers) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection broke");
            }
        }
        () = hung_up => tracing::debug!("a client hung up"),
    }
}
