//! Batches that are prepared while others wait for their commit.

use std::sync::Arc;

use super::ALL;
use crate::testing::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_next_batch_is_prepared_before_the_last_is_committed() {
    let (folder, log) = (folder(), calls_log());
    let mut sink = sink(&folder).await;
    let committer = sink.committer();
    let mut waiting = Arc::new(sink.prepare(calls(&log, 0, 9)).await.unwrap());
    for n in 1..5 {
        // Each overlaps with the one before by half, as a log that is read again would.
        let next = Arc::new(sink.prepare(calls(&log, n * 10 - 5, n * 10 + 9)).await.unwrap());
        assert_eq!(committer.commit(&waiting).await.unwrap().rows, 30);
        assert_eq!(committer.positions().get(&log), Some(n * 10 - 1));
        waiting = next;
    }
    committer.commit(&waiting).await.unwrap();
    for table in ALL {
        assert_eq!(census(&folder, table).await, (50, 50, 0, 49), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_dropped_uncommitted_is_prepared_again() {
    let (folder, log) = (folder(), calls_log());
    let mut sink = sink(&folder).await;
    sink.write(calls(&log, 0, 9)).await.unwrap();
    drop(sink.prepare(calls(&log, 10, 19)).await.unwrap());
    assert_eq!(sink.write(calls(&log, 10, 19)).await.unwrap().rows, 30);
    for table in ALL {
        assert_eq!(census(&folder, table).await, (20, 20, 0, 19), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_refused_if_the_one_it_counts_on_was_dropped() {
    let (folder, log) = (folder(), calls_log());
    let mut sink = sink(&folder).await;
    let first = sink.prepare(calls(&log, 0, 9)).await.unwrap();
    let second = Arc::new(sink.prepare(calls(&log, 10, 19)).await.unwrap());
    drop(first);
    let error = sink.committer().commit(&second).await.unwrap_err();
    assert!(error.must_reload(), "{error}");
    sink.refresh().await.unwrap();
    assert!(sink.positions().is_empty());
    sink.write(calls(&log, 0, 19)).await.unwrap();
    for table in ALL {
        assert_eq!(census(&folder, table).await, (20, 20, 0, 19), "{table}");
    }
}
