//! The door and the log: from an HTTP request to a durable raw event, and from there to the writer.
//!
//! ```text
//! vendor ── HTTP ──▶ webhook::Door ── append ──▶ log::Log ═ on disk ═▶ log::LogReader ──▶ writer
//!                      │ 2xx only after append returned       │ start behind a position, release
//!                      └─ 4xx, 429, 503 with what to mend     └ trims (embedded) or commits (Kafka)
//! ```
//!
//! Two rules a reviewer enforces here. A request is answered 2xx only after [`log::Log::append`] has
//! returned, and that returns only when every event of the request is durable. And where reading goes
//! on is decided by the positions that the caller took from the tables, never by what a log or a
//! broker remembers: a position that the log cannot serve is an error, never a silent skip.
//!
//! This crate never looks into a body; splitting one into events is `transform`'s business. It never
//! writes a body, a token or the path of a webhook to a log line.

pub mod error;
pub mod lock;
pub mod log;
pub mod metrics;
pub mod tokens;
pub mod webhook;

pub use error::LogError;
pub use lock::DataLock;
pub use log::{Log, LogReader, LogStatus, Mark, Marks, NewRecord, PartitionStatus, Polled, Topics};
pub use metrics::Metrics;
pub use tokens::Tokens;
pub use webhook::{Door, DoorSettings, Tls};
