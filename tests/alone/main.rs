//! Tests that measure time, or need the whole machine: the real binary, as in `tests/it`.
//!
//! They are a binary of their own since cargo runs one after the other, and here each waits for the one
//! before: what they measure is then the program and not its neighbours.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::sync::{Mutex, MutexGuard, PoisonError};

// Shared with `tests/it`; each of the two uses a part of it.
#[allow(dead_code)]
#[path = "../it/harness/mod.rs"]
mod harness;
mod hostile;
mod overload;
mod stop;

/// Held by the test that runs.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}
