//! Waiting for a condition, with an end. The only place of these tests that sleeps.

use std::time::{Duration, Instant};

/// Long enough for a slow machine, short enough that a test which hangs is noticed.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Tries until there is a value; panics with `what` when there was none in [`PATIENCE`].
pub fn wait_for<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until the condition holds.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}
