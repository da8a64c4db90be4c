//! The parts of a running service, and their common end.
//!
//! `serve` runs all of them in one process, `ingest` only the door and `write` only the loop; the demo
//! is a `serve` that sends itself a day.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use ringlake_ingest::webhook::DoorParts;
use ringlake_ingest::{Door, Log, LogReader, Metrics, Tls, Tokens};
use ringlake_sinks::Sink;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::error::Error;
use crate::pipeline::{self, Counts, FlushSettings, Parts};
use crate::stop::Stop;
use crate::wiring;

/// Within this time after the first signal everything is committed or given up. The door takes at most
/// 3 s of it to close, and the loop 2 s to read what came in until then.
const PATIENCE: Duration = Duration::from_secs(9);

/// A service being put together.
pub struct Server {
    registry: Registry,
    pub counts: Counts,
    tasks: JoinSet<Result<(), Error>>,
    stop: Stop,
    /// The door has closed, and nothing more comes in: what the loop waits for.
    closed: CancellationToken,
    has_door: bool,
    /// The door lets go of the log when it closes, and the loop still reads it then.
    log: Option<Arc<dyn Log>>,
}

impl Server {
    pub fn new(stop: Stop) -> Result<Self, Error> {
        let registry = Registry::new();
        let counts = Counts::new(&registry)?;
        let closed = CancellationToken::new();
        let tasks = JoinSet::new();
        Ok(Self { registry, counts, tasks, stop, closed, has_door: false, log: None })
    }

    /// Where the parts count.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Opens the door. Returns its address.
    pub async fn open_door(
        &mut self,
        config: &Config,
        log: Arc<dyn Log>,
        tokens: Arc<Tokens>,
    ) -> Result<SocketAddr, Error> {
        self.log = Some(log.clone());
        let counts = self.counts.clone();
        let parts = DoorParts {
            log,
            tokens,
            secrets: wiring::secrets()?,
            metrics: Metrics::new(&self.registry)?,
            registry: self.registry.clone(),
            ready: Arc::new(move || counts.trouble().map_or(Ok(()), Err)),
            tls: wiring::tls(config)?,
        };
        if let Some(tls) = parts.tls.clone() {
            self.spawn(read_again_on_hangup(tls, self.stop.soon.clone()));
        }
        let door = Door::bind(wiring::door(config), parts).await?;
        let address = door.address();
        let (stop, closed) = (self.stop.soon.clone(), self.closed.clone().drop_guard());
        self.has_door = true;
        self.spawn(async move {
            door.serve(stop).await;
            drop(closed);
            Ok(())
        });
        Ok(address)
    }

    /// Opens the tables.
    pub async fn open_sink(&self, config: &Config) -> Result<Sink, Error> {
        wiring::sink(config, Some(self.registry.clone())).await
    }

    /// Starts the loop from the log to the tables.
    pub fn start_pipeline(&mut self, config: &Config, reader: Box<dyn LogReader>, sink: Sink) {
        let flush = FlushSettings {
            interval: config.flush.interval.0,
            max_bytes: usize::try_from(config.flush.max_bytes.0).unwrap_or(usize::MAX).max(1),
        };
        let columns = usize::from(config.limits.columns);
        let parts = Parts { reader, sink, flush, counts: self.counts.clone(), columns };
        self.spawn(pipeline::run(parts, self.closed.clone()));
    }

    pub fn spawn(&mut self, task: impl Future<Output = Result<(), Error>> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Runs until it is told to stop or a part fails; then all parts stop.
    pub async fn run(mut self) -> Result<(), Error> {
        let stop = self.stop.clone();
        if !self.has_door {
            let (soon, closed) = (self.stop.soon.clone(), self.closed.clone());
            self.spawn(async move {
                soon.cancelled().await;
                closed.cancel();
                Ok(())
            });
        }
        tokio::select! {
            ended = self.all_parts() => ended,
            () = stop.now.cancelled() => Err(Error::Stopped),
            () = too_late(&stop) => Err(Error::failed(
                format!("not everything was committed within {} s", PATIENCE.as_secs()),
                "nothing is lost: the log has what the tables lack, and the next start writes it",
            )),
        }
    }

    async fn all_parts(&mut self) -> Result<(), Error> {
        let mut outcome = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            let ended = ended.map_err(Error::from).and_then(|ended| ended);
            if let (Err(error), true) = (ended, outcome.is_ok()) {
                tracing::error!(%error, "a part failed; stopping");
                outcome = Err(error);
                self.stop.soon.cancel();
            }
        }
        outcome
    }
}

/// A certificate that was renewed by hand is used from here on.
async fn read_again_on_hangup(tls: Arc<Tls>, stop: CancellationToken) -> Result<(), Error> {
    let mut hangups = signal(SignalKind::hangup()).map_err(Error::Output)?;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = hangups.recv() => {}
        }
        if let Err(error) = tls.reload() {
            tracing::error!(%error, hint = error.hint(), "the old certificate stays in use");
        }
    }
}

async fn too_late(stop: &Stop) {
    stop.soon.cancelled().await;
    tokio::time::sleep(PATIENCE).await;
}
