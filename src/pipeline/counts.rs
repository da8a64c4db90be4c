//! What became of the events, for `/metrics` and for those who wait for it.

use prometheus::{IntCounter, Registry};
use ringlake_transform::EventCounts;
use tokio::sync::watch;

/// Events of which the tables know, since this process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    pub events: u64,
    pub rows: u64,
    pub dead_lettered: u64,
    pub repeated: u64,
}

#[derive(Clone)]
pub struct Counts {
    written: IntCounter,
    dead_lettered: IntCounter,
    repeated: IntCounter,
    resolved: IntCounter,
    misfits: IntCounter,
    left_out: IntCounter,
    duplicate_keys: IntCounter,
    committed: watch::Sender<Committed>,
    /// Why nothing can be written at present.
    trouble: watch::Sender<Option<String>>,
}

impl Counts {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(format!("ringlake_transform_{name}_total"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        Ok(Self {
            written: counter("written_events", "Events whose rows are in the tables")?,
            dead_lettered: counter("dead_lettered_events", "Events kept as dead letters")?,
            repeated: counter("repeated_events", "Repeats of events that were there already")?,
            resolved: counter("resolved_letters", "Dead letters that came through the log again")?,
            misfits: counter("misfit_values", "Values that did not fit their column")?,
            left_out: counter(
                "left_out_values",
                "Values kept in extra because their table has as many columns as it may",
            )?,
            duplicate_keys: counter("duplicate_keys", "Keys that stood twice; the last one won")?,
            committed: watch::Sender::default(),
            trouble: watch::Sender::default(),
        })
    }

    /// These events and rows are in the tables for good.
    pub fn commit(&self, counts: EventCounts, rows: u64) {
        self.written.inc_by(counts.written);
        self.dead_lettered.inc_by(counts.dead_lettered);
        self.repeated.inc_by(counts.repeated);
        self.resolved.inc_by(counts.resolved);
        self.misfits.inc_by(counts.misfits);
        self.left_out.inc_by(counts.left_out);
        self.duplicate_keys.inc_by(counts.duplicate_keys);
        self.committed.send_modify(|committed| {
            committed.events += counts.received;
            committed.rows += rows;
            committed.dead_lettered += counts.dead_lettered;
            committed.repeated += counts.repeated;
        });
    }

    pub fn committed(&self) -> watch::Receiver<Committed> {
        self.committed.subscribe()
    }

    pub fn set_trouble(&self, trouble: Option<String>) {
        self.trouble.send_if_modified(|told| {
            let changed = *told != trouble;
            *told = trouble;
            changed
        });
    }

    /// Why nothing can be written at present, if so.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }
}
