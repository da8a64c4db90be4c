//! From rows to tables: Parquet files, and Delta commits that hold rows and log positions together.
//!
//! In: a [`FlatBatch`](ringlake_transform::FlatBatch), the rows of every table with the offset
//! ranges they came from. Out: [`Written`], and in the tables every row once, whatever was killed
//! and whenever.
//!
//! | what makes it so | where |
//! | --- | --- |
//! | a file is on the disk before the commit that names it, the commit before anybody relies on it | [`store`] |
//! | a commit carries the rows *and* the position up to which they reach | `delta/commit.rs` |
//! | a table skips what its own position says it holds | `delta/rows.rs` |
//! | an error is no answer: the table is asked what it holds | `delta/commit.rs` |
//! | readers see a batch when `progress` names it, not before | `delta/progress.rs`, `tables.rs` |
//!
//! There is no coordinator, no ledger beside the tables and no clock in any decision. This crate
//! never sees a vendor's JSON, and never deletes a file that a commit might name.

mod audit;
mod delta;
mod error;
mod folded;
mod metrics;
mod prepare;
mod repair;
mod root;
mod settings;
mod sink;
pub mod store;
mod tables;
mod upkeep;

pub use audit::{Audit, Fault, TableFile};
pub use delta::compact::Compacted;
pub use delta::maintain::Maintained;
pub use delta::progress::Progress;
pub use delta::seen::SeenKey;
pub use delta::vacuum::Vacuumed;
pub use error::SinkError;
pub use folded::Folded;
pub use prepare::Prepared;
pub use repair::{SetAside, repair};
pub use settings::SinkSettings;
pub use sink::{Committer, Sink};
pub use tables::Written;
pub use upkeep::Upkeep;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
