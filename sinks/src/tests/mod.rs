//! What must hold of the sink whatever happens: every row once, positions that tell the truth.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod ahead;
mod batches;
mod errors;
mod failures;
mod maintenance;
mod writers;

/// Tables that `testing::calls` fills.
const ALL: [&str; 3] = ["call_participants", "field_changes", "calls"];
