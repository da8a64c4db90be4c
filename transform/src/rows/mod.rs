//! Rows under construction: Arrow builders per table, filled one event at a time.
//!
//! A row is written by naming columns; what was not named is null. A value that does not fit its
//! column goes to `extra`, so nothing is lost here. What all rows of an event have in common is
//! written once, for the event.

mod column;
mod extra;
mod names;
mod origin;
mod renames;
mod table;

pub use column::Fit;
pub use extra::push_json_string;
pub use origin::{Origin, Origins};
pub use renames::Renamed;
pub use table::{RowWriter, TableRows};
