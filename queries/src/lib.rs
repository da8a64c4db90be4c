//! Asking: SQL over the tables, the reports, the formats of an answer, and scheduled exports.
//!
//! [`Engine`] opens all tables at the versions of one `progress` state, so an answer never shows half
//! a batch. Whatever is asked goes through it, read-only, with a memory limit and a time limit; the
//! reports are SQL as well (`report/*.sql` over the views of `views/*.sql`), so what a number means
//! can be read, and asked again with other tools.
//!
//! It must never change a table, never read a file that is not a table's, and never put money
//! through a float.

mod answer;
mod as_of;
pub mod calendars;
pub mod catalogue;
pub mod chart;
mod computing;
pub mod currencies;
pub mod engine;
mod error;
pub mod exports;
pub mod fold;
mod functions;
mod near;
mod once;
mod order;
pub mod output;
pub mod pg;
mod quiet;
pub mod report;
pub mod saved;
mod scan;
pub mod script;
mod session;
mod sql;
pub mod stores;
mod tables;
pub mod tariffs;
mod views;

#[cfg(test)]
mod tests;

pub use answer::Answer;
pub use as_of::AsOf;
pub use engine::{Engine, EngineSettings};
pub use error::{Place, QueryError};
pub use functions::calling_code;
pub use output::Format;
pub use stores::StoreOptions;
pub use views::{VIEWS, View};
