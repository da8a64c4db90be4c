//! End-to-end tests: the real binary as processes, over real files, a real Kafka and real sockets.
//!
//! One binary, so that the whole program links once. `tests/run` starts the broker and names it in
//! the environment; a test that needs Kafka fails without it rather than be skipped. What is checked
//! is what a user could check: HTTP answers, exit codes, and what `ringlake query` finds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod bad_input;
mod brokers;
mod crash;
mod demo;
mod exports;
mod growth;
mod harness;
mod hostile;
mod imports;
mod letters;
mod log_contract;
mod log_kafka;
mod mutants;
mod object_store;
mod oracle;
mod peers;
mod pg;
mod pipeline_embedded;
mod pipeline_kafka;
mod questions;
mod rebalances;
mod reports;
mod secrets;
mod session;
mod tls;
mod verify;
