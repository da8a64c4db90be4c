//! Rows under construction: Arrow builders per table, filled one event at a time.
//!
//! A row is written by naming columns; what was not named is null. A value that does not fit its
//! column goes to `extra`, so nothing is lost here.

mod column;
mod extra;
mod table;

pub use column::Fit;
pub use extra::push_json_string;
pub use table::{RowWriter, TableRows};
