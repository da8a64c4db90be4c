//! The writing half of the loop: one task that owns the sink, and takes its orders in turn.
//!
//! A write that fails for a passing reason is tried again, with the same batch, until it is done. If
//! the tables have moved on without us, everything ordered before the next [`Writer::begin`] is
//! dropped: it is still in the log. It must never report a position that the sink did not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ringlake_sinks::{Sink, SinkError};
use ringlake_transform::faults::{self, Mutant};
use ringlake_transform::systems::REPEAT_WINDOW;
use ringlake_transform::{FlatBatch, Flattener, Micros, Positions};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::counts::Counts;
use crate::error::Error;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How often the tables' own logs are tidied, at most.
const TIDY: Duration = Duration::from_secs(60);

/// Where to start, and what knows the columns and the events that are there already.
pub struct Start {
    pub positions: Positions,
    pub flattener: Flattener,
}

enum Order {
    Write(FlatBatch),
    Begin(oneshot::Sender<Start>),
    Drain(oneshot::Sender<()>),
}

pub struct Writer {
    /// None once it was told to stop.
    orders: Option<mpsc::Sender<Order>>,
    positions: watch::Receiver<Positions>,
    behind: Arc<AtomicBool>,
    task: JoinHandle<Result<(), Error>>,
}

impl Writer {
    pub fn start(sink: Sink, counts: Counts) -> Self {
        let (orders, waiting) = mpsc::channel(1);
        let (tell, positions) = watch::channel(sink.positions());
        let behind = Arc::new(AtomicBool::new(false));
        let work = Work { sink, counts, tell, behind: behind.clone(), tidied: None };
        let task = tokio::spawn(work.run(waiting));
        Self { orders: Some(orders), positions, behind, task }
    }

    /// Waits until a batch could be taken at once. Whoever makes batches only then holds no more than
    /// one while another is written.
    pub async fn room(&mut self) -> Result<(), Error> {
        let room = match &self.orders {
            Some(orders) => orders.reserve().await.is_ok(),
            None => false,
        };
        if room { Ok(()) } else { Err(self.failure().await) }
    }

    /// Waits for room: at most one batch waits while another is written.
    pub async fn write(&mut self, batch: FlatBatch) -> Result<(), Error> {
        self.order(Order::Write(batch)).await
    }

    /// Finishes or drops what was ordered, and looks at what the tables hold.
    pub async fn begin(&mut self) -> Result<Start, Error> {
        let (answer, start) = oneshot::channel();
        self.order(Order::Begin(answer)).await?;
        match start.await {
            Ok(start) => Ok(start),
            Err(_) => Err(self.failure().await),
        }
    }

    /// Waits until all that was ordered is done.
    pub async fn drain(&mut self) -> Result<(), Error> {
        let (answer, done) = oneshot::channel();
        self.order(Order::Drain(answer)).await?;
        match done.await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.failure().await),
        }
    }

    /// Whether the tables have moved on without us, so that reading has to begin anew.
    pub fn fell_behind(&self) -> bool {
        self.behind.load(Ordering::Acquire)
    }

    /// What the tables hold, if that has changed since this was last asked.
    pub fn news(&mut self) -> Option<Positions> {
        let changed = self.positions.has_changed().unwrap_or(false);
        changed.then(|| self.positions.borrow_and_update().clone())
    }

    pub async fn stop(mut self) -> Result<(), Error> {
        self.orders = None;
        self.task.await?
    }

    async fn order(&mut self, order: Order) -> Result<(), Error> {
        let sent = match &self.orders {
            Some(orders) => orders.send(order).await.is_ok(),
            None => false,
        };
        if sent { Ok(()) } else { Err(self.failure().await) }
    }

    /// Why the task has ended although nobody asked it to.
    async fn failure(&mut self) -> Error {
        self.orders = None;
        match (&mut self.task).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) => Error::Stopped,
            Err(error) => error.into(),
        }
    }
}

struct Work {
    sink: Sink,
    counts: Counts,
    tell: watch::Sender<Positions>,
    behind: Arc<AtomicBool>,
    /// None at first: a process that never lives for long must tidy all the same.
    tidied: Option<Instant>,
}

impl Work {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) -> Result<(), Error> {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Write(_) if self.behind.load(Ordering::Acquire) => {}
                Order::Write(batch) => self.write(batch).await?,
                Order::Begin(answer) => {
                    let _ = answer.send(self.begin().await?);
                }
                Order::Drain(answer) => {
                    let _ = answer.send(());
                }
            }
            self.tidy().await;
        }
        Ok(())
    }

    async fn write(&mut self, batch: FlatBatch) -> Result<(), Error> {
        let mut pauses = Pauses::default();
        loop {
            match self.sink.write(batch.clone()).await {
                Ok(written) => {
                    self.counts.set_trouble(None);
                    self.counts.commit(batch.counts, written.rows);
                    tracing::debug!(
                        events = batch.counts.received,
                        rows = written.rows,
                        "committed"
                    );
                    let _ = self.tell.send(self.sink.positions());
                    return Ok(());
                }
                Err(error) if error.must_reload() => {
                    tracing::info!(%error, "the tables have moved on; reading again from there");
                    self.behind.store(true, Ordering::Release);
                    return Ok(());
                }
                Err(error) => self.wait_out(error, &mut pauses).await?,
            }
        }
    }

    async fn begin(&mut self) -> Result<Start, Error> {
        let mut pauses = Pauses::default();
        loop {
            match self.look().await {
                Ok(start) => {
                    self.counts.set_trouble(None);
                    self.behind.store(false, Ordering::Release);
                    let _ = self.tell.send(start.positions.clone());
                    return Ok(start);
                }
                Err(error) => self.wait_out(error, &mut pauses).await?,
            }
        }
    }

    async fn look(&mut self) -> Result<Start, SinkError> {
        self.sink.refresh().await?;
        let flattener = knowing(&self.sink).await?;
        Ok(Start { positions: self.sink.positions(), flattener })
    }

    /// Sleeps if the reason may pass, else gives the error back.
    async fn wait_out(&mut self, error: SinkError, pauses: &mut Pauses) -> Result<(), Error> {
        if !is_passing(&error) {
            return Err(error.into());
        }
        let pause = pauses.next();
        let hint = error.hint();
        let cause = causes(&error);
        tracing::warn!(%cause, hint, retry_in_ms = pause.as_millis() as u64, "cannot write now");
        self.counts.set_trouble(Some(format!("the tables cannot be written: {error}")));
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Tidying is nobody's hurry: what fails is tried again at the next turn.
    async fn tidy(&mut self) {
        if self.tidied.is_some_and(|tidied| tidied.elapsed() < TIDY) {
            return;
        }
        self.tidied = Some(Instant::now());
        if let Err(error) = self.sink.maintain().await {
            tracing::warn!(cause = %causes(&error), "the tables' logs could not be tidied");
        }
    }
}

/// A flattener that knows the tables' columns and the events of the last days.
pub async fn knowing(sink: &Sink) -> Result<Flattener, SinkError> {
    let mut flattener = Flattener::new(sink.schemas());
    if faults::is_mutant(Mutant::MemoryNotRestored) {
        return Ok(flattener);
    }
    let since = now().saturating_sub(REPEAT_WINDOW);
    sink.seen_keys(since, &mut |seen| {
        flattener.remember(
            seen.system,
            seen.event_key,
            seen.received_at,
            &seen.partition,
            seen.offset,
        );
    })
    .await?;
    Ok(flattener)
}

/// Whether the same write may succeed later with nothing changed but time, space or the network.
fn is_passing(error: &SinkError) -> bool {
    matches!(
        error,
        SinkError::Table { .. }
            | SinkError::File { .. }
            | SinkError::Parquet { .. }
            | SinkError::Unknown { .. }
    )
}

/// Each pause is twice the one before.
#[derive(Default)]
struct Pauses(Option<Duration>);

impl Pauses {
    fn next(&mut self) -> Duration {
        let pause = self.0.map_or(FIRST_PAUSE, |last| (last * 2).min(LONGEST_PAUSE));
        self.0 = Some(pause);
        pause
    }
}

/// The error and what caused it, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

pub fn now() -> Micros {
    chrono::Utc::now().timestamp_micros()
}
