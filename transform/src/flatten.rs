//! From raw events to rows, batch by batch.

use std::collections::HashMap;

use arrow::datatypes::SchemaRef;

use crate::batch::FlatBatch;
use crate::event::{LogPartition, Micros, RawBatch};

/// Where a system's `flatten` writes its rows.
pub struct Output<'a> {
    _unused: std::marker::PhantomData<&'a ()>,
}

/// Turns raw batches into rows; remembers the columns that appeared and the events already seen.
#[derive(Default)]
pub struct Flattener {
    _schemas: HashMap<&'static str, SchemaRef>,
}

impl Flattener {
    /// `schemas` are the tables' present Arrow schemas (by table name), so that a column keeps its
    /// type across restarts. A table that does not exist yet may be missing.
    pub fn new(schemas: HashMap<&'static str, SchemaRef>) -> Self {
        Self { _schemas: schemas }
    }

    /// Tells of an event that the tables hold already, so that its repeats are recognised.
    pub fn remember(
        &mut self,
        _system: &str,
        _event_key: &str,
        _received_at: Micros,
        _at: &LogPartition,
        _offset: i64,
    ) {
    }

    /// Rows of these raw batches. Never fails: an event that cannot be used is a row of
    /// `dead_letters`.
    pub fn flatten(&mut self, batches: Vec<RawBatch>) -> FlatBatch {
        let ranges = batches.iter().map(|b| (b.partition.clone(), b.range)).collect();
        FlatBatch { ranges, ..FlatBatch::default() }
    }
}
