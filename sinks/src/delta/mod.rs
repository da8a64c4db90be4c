//! The tables as Delta tables, one role per file.
//!
//! [`table`] opens one ([`log`] whether its log is whole), [`files`], [`columns`] and [`stats`] turn
//! rows into Parquet, [`rows`] leaves out what the table holds already, [`schema`] adds columns, [`commit`]
//! makes rows and positions one commit, [`progress`] shows a batch to readers, [`seen`] reads event
//! keys and letters back by [`scan`], [`maintain`] tidies the log,
//! [`compact`] puts small files together, [`vacuum`] deletes what is out of reach.

pub(crate) mod append;
mod columns;
pub(crate) mod commit;
pub(crate) mod compact;
pub(crate) mod files;
pub(crate) mod log;
pub(crate) mod maintain;
pub(crate) mod progress;
pub(crate) mod rows;
pub(crate) mod scan;
pub(crate) mod schema;
pub(crate) mod seen;
pub(crate) mod stats;
pub(crate) mod table;
pub(crate) mod vacuum;
