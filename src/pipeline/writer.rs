//! The writing half of the loop: one task that owns the sink, and takes its orders in turn.
//!
//! While one batch is committed, which is mostly waiting for the disk, the next is encoded. A step that
//! fails for a passing reason is tried again, with the same batch, until it is done. If the tables have
//! moved on without us, everything ordered before the next [`Writer::begin`] is
//! dropped: it is still in the log. It must never report a position that the sink did not.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringlake_ingest::{Mark, Marks};
use ringlake_sinks::{SeenKey, Sink, SinkError};
use ringlake_transform::faults::{self, Mutant};
use ringlake_transform::letters::Wanted;
use ringlake_transform::systems::REPEAT_WINDOW;
use ringlake_transform::{FlatBatch, Flattener, LeftOut, Micros, Positions, RawBatch};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::commits::{Commits, Patience};
use super::counts::Counts;
use super::thread::Thread;
use crate::error::Error;

/// Fields beyond the budget of columns that are named in the life of the process.
const MOST_TOLD: usize = 1_000;

/// Where to start, and what knows the columns and the events that are there already.
pub struct Start {
    pub positions: Positions,
    pub flattener: Flattener,
    /// By these the log is recognised.
    pub marks: Marks,
}

enum Order {
    Write(FlatBatch),
    Begin(oneshot::Sender<Start>),
    /// Tell a flattener what the tables hold of this.
    LookUp(Box<Flattener>, Wanted, oneshot::Sender<Flattener>),
    Drain(oneshot::Sender<()>),
}

pub struct Writer {
    /// None once it was told to stop.
    orders: Option<mpsc::Sender<Order>>,
    positions: watch::Receiver<Positions>,
    behind: Arc<AtomicBool>,
    flattening: Thread,
    task: JoinHandle<Result<(), Error>>,
}

impl Writer {
    /// `columns` is how many columns a table may have, besides the common ones.
    pub fn start(sink: Sink, counts: Counts, columns: usize) -> Result<Self, Error> {
        let flattening = Thread::start("flatten")?;
        let (orders, waiting) = mpsc::channel(1);
        let (tell, positions) = watch::channel(sink.positions());
        let behind = Arc::new(AtomicBool::new(false));
        let committer = sink.committer();
        let untidy = Arc::default();
        let commits = Commits { committer, counts, tell, behind: behind.clone(), untidy };
        let told = HashSet::new();
        let work = Work { sink, commits, columns, told, committing: None };
        let task = tokio::spawn(work.run(waiting));
        Ok(Self { orders: Some(orders), positions, behind, flattening, task })
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

    /// Flattens batches on a thread of their own. If they resolve dead letters, what was
    /// ordered before is finished first, and the flattener is told what the tables hold of these.
    pub async fn flatten(
        &mut self,
        mut flattener: Flattener,
        batches: Vec<RawBatch>,
    ) -> Result<(Flattener, FlatBatch), Error> {
        let (wanted, batches) =
            self.flattening.run(move || (Wanted::of(&batches), batches)).await?;
        if let Some(wanted) = wanted {
            let (answer, told) = oneshot::channel();
            self.order(Order::LookUp(Box::new(flattener), wanted, answer)).await?;
            flattener = match told.await {
                Ok(told) => told,
                Err(_) => return Err(self.failure().await),
            };
        }
        let work = move || {
            let batch = flattener.flatten(batches);
            (flattener, batch)
        };
        self.flattening.run(work).await
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
    commits: Commits,
    columns: usize,
    /// Fields of which it was said that they get no column.
    told: HashSet<LeftOut>,
    /// The commit of the batch before.
    committing: Option<JoinHandle<Result<(), Error>>>,
}

impl Work {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) -> Result<(), Error> {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Write(_) if self.commits.behind.load(Ordering::Acquire) => {}
                Order::Write(batch) => self.write(batch).await?,
                Order::Begin(answer) => {
                    self.settle().await?;
                    let _ = answer.send(self.begin().await?);
                }
                Order::LookUp(flattener, wanted, answer) => {
                    let _ = answer.send(self.look_up(*flattener, &wanted).await?);
                }
                Order::Drain(answer) => {
                    self.settle().await?;
                    let _ = answer.send(());
                }
            }
        }
        self.settle().await
    }

    /// Encodes a batch, and leaves it to its commit once the one before is through.
    async fn write(&mut self, batch: FlatBatch) -> Result<(), Error> {
        self.tell_left_out(&batch.left_out);
        let mut patience = Patience::new(&self.commits.counts);
        let prepared = loop {
            match self.sink.prepare(batch.clone()).await {
                Ok(prepared) => break prepared,
                Err(error) if error.must_reload() => {
                    self.commits.fall_behind(&error);
                    return Ok(());
                }
                Err(error) => patience.wait_out(error).await?,
            }
        };
        self.settle().await?;
        if !self.commits.behind.load(Ordering::Acquire) {
            let work = self.commits.clone().finish(prepared, batch.counts);
            self.committing = Some(tokio::spawn(work));
        }
        Ok(())
    }

    /// Says once which fields get no column; only so many, since there may be no end of them.
    fn tell_left_out(&mut self, left_out: &[LeftOut]) {
        let mut fields: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for one in left_out {
            if self.told.len() < MOST_TOLD && self.told.insert(one.clone()) {
                fields.entry(one.table).or_default().push(&one.field);
            }
        }
        for (table, fields) in fields {
            let (columns, fields) = (self.columns, fields.join(", "));
            tracing::warn!(
                table,
                columns,
                fields,
                "the table has as many columns as it may; these fields and further ones stay in extra"
            );
        }
    }

    /// Waits for the commit that is under way.
    async fn settle(&mut self) -> Result<(), Error> {
        match self.committing.take() {
            Some(committing) => committing.await?,
            None => Ok(()),
        }
    }

    async fn begin(&mut self) -> Result<Start, Error> {
        let counts = self.commits.counts.clone();
        let mut patience = Patience::new(&counts);
        loop {
            match self.look().await {
                Ok(start) => {
                    counts.set_trouble(None);
                    self.commits.behind.store(false, Ordering::Release);
                    let _ = self.commits.tell.send(start.positions.clone());
                    return Ok(start);
                }
                Err(error) => patience.wait_out(error).await?,
            }
        }
    }

    async fn look(&mut self) -> Result<Start, SinkError> {
        self.sink.refresh().await?;
        let (flattener, marks) = knowing(&self.sink).await?;
        let flattener = flattener.with_column_budget(self.columns);
        Ok(Start { positions: self.sink.positions(), flattener, marks })
    }

    async fn look_up(
        &mut self,
        mut flattener: Flattener,
        wanted: &Wanted,
    ) -> Result<Flattener, Error> {
        self.settle().await?;
        let counts = self.commits.counts.clone();
        let mut patience = Patience::new(&counts);
        loop {
            match recall(&mut self.sink, &mut flattener, wanted).await {
                Ok(()) => return Ok(flattener),
                Err(error) => patience.wait_out(error).await?,
            }
        }
    }
}

/// A flattener that knows the tables' columns and the events of the last days, and of each partition the
/// last of these events that lies at or below its position.
async fn knowing(sink: &Sink) -> Result<(Flattener, Marks), SinkError> {
    let mut flattener = Flattener::new(sink.schemas());
    if faults::is_mutant(Mutant::MemoryNotRestored) {
        return Ok((flattener, Marks::new()));
    }
    let since = now().saturating_sub(REPEAT_WINDOW);
    let (positions, mut marks) = (sink.positions(), Marks::new());
    sink.seen_keys(since..=Micros::MAX, &mut |seen| {
        note(&mut marks, &positions, &seen);
        flattener.remember(
            seen.system,
            seen.event_key,
            seen.received_at,
            &seen.partition,
            seen.offset,
        );
    })
    .await?;
    Ok((flattener, marks))
}

fn note(marks: &mut Marks, positions: &Positions, seen: &SeenKey<'_>) {
    let mark = Mark { offset: seen.offset, received_at: seen.received_at };
    match marks.get_mut(&seen.partition) {
        Some(known) if known.offset >= mark.offset => {}
        _ if positions.get(&seen.partition).is_none_or(|position| position < mark.offset) => {}
        Some(known) => *known = mark,
        None => {
            marks.insert(seen.partition.clone(), mark);
        }
    }
}

/// Tells the flattener of the letters that a batch resolves, and of their events where the tables have
/// them; what other writers have committed counts too.
async fn recall(
    sink: &mut Sink,
    flattener: &mut Flattener,
    wanted: &Wanted,
) -> Result<(), SinkError> {
    sink.refresh().await?;
    sink.letters(wanted.received(), &mut |row| {
        if wanted.letter(row.id) {
            flattener.know_letter(&row);
        }
    })
    .await?;
    sink.seen_keys(wanted.received(), &mut |seen| {
        if wanted.event(seen.system, seen.event_key, seen.received_at) {
            let at = &seen.partition;
            flattener.remember(seen.system, seen.event_key, seen.received_at, at, seen.offset);
        }
    })
    .await
}

pub fn now() -> Micros {
    chrono::Utc::now().timestamp_micros()
}
