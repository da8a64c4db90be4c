//! When a batch is closed. That the loop keeps its promises is for the end-to-end tests.

#![allow(clippy::unwrap_used)]

use super::*;

fn gathered(bytes: usize, age: Duration) -> Gathered {
    Gathered { batches: Vec::new(), bytes, since: Instant::now().checked_sub(age) }
}

#[test]
fn a_batch_is_closed_by_size_or_by_age() {
    let flush = FlushSettings { interval: Duration::from_secs(60), max_bytes: 100 };
    assert!(!Gathered::default().is_due(flush), "nothing waits for nothing");
    assert!(!gathered(99, Duration::from_secs(1)).is_due(flush));
    assert!(gathered(100, Duration::from_secs(1)).is_due(flush));
    assert!(gathered(1, Duration::from_secs(61)).is_due(flush));
}
