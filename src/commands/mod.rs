//! One file a command, all of the same shape: its flags as `Args`, and `run`.

pub mod check;
pub mod compact;
pub mod dead_letters;
pub mod demo;
pub mod explain;
pub mod export;
pub mod import;
pub mod ingest;
pub mod log;
pub mod pg;
pub mod query;
pub mod rebuild;
pub mod report;
pub mod schema;
pub mod serve;
pub mod simulate;
pub mod tokens;
pub mod torture;
pub mod vacuum;
pub mod verify;
pub mod write;
