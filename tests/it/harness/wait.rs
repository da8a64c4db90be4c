//! Waiting for a condition, with an end. The only place of these tests that sleeps.

use std::time::{Duration, Instant};

/// Long enough for a slow machine, short enough that a test which hangs is noticed.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Tries until there is a value; panics with `what` when there was none in [`PATIENCE`].
pub fn wait_for<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let mut value = None;
    let found = try_until(|| {
        value = attempt();
        value.is_some()
    });
    assert!(found, "waited {PATIENCE:?} in vain for {what}");
    value.unwrap()
}

/// Waits until the condition holds; panics as [`wait_for`] does.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}

/// Waits until the condition holds, and says whether it did within [`PATIENCE`].
pub fn try_until(mut holds: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    // Looks once more after the time is over: the last look may have taken all of it.
    let mut last = false;
    loop {
        if holds() {
            return true;
        }
        if last {
            return false;
        }
        last = start.elapsed() > PATIENCE;
        std::thread::sleep(Duration::from_millis(50));
    }
}
