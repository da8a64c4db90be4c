//! The pure core: what an event is, which tables there are, and how one becomes rows of the other.
//!
//! Decisions are made here and I/O is done elsewhere: no tokio, no Kafka, no file system and no clock
//! enter this crate, so everything in it is tested by calling it. `ingest`, `sinks` and `queries`
//! share the words defined here ([`RawEvent`], [`LogPartition`], [`OffsetRange`], [`TableSpec`],
//! [`FlatBatch`]) and never redefine them.
//!
//! It must never drop a value: what has no column goes to `extra`, what is no event becomes a row of
//! `dead_letters`.

pub mod batch;
pub mod columns;
#[cfg(test)]
mod conformance;
pub mod error;
pub mod event;
pub mod faults;
pub mod flatten;
pub mod folded;
mod form;
pub mod json;
pub mod letters;
pub mod merge;
pub mod narrow;
#[cfg(test)]
mod nothing_lost;
pub mod offsets;
pub mod repeats;
pub mod rows;
mod sights;
pub mod systems;
pub mod tables;
pub mod values;
pub mod witness;

pub use batch::{EventCounts, FlatBatch, LeftOut, TableBatch, Tally};
pub use columns::{Column, Kind};
pub use error::{Rejection, Stage, UnknownName, mend};
pub use event::{LogPartition, Micros, RawBatch, RawEvent};
pub use flatten::Flattener;
pub use letters::Resolution;
pub use offsets::{OffsetRange, Positions};
pub use systems::{SYSTEMS, System};
pub use tables::{TABLES, TableSpec};
