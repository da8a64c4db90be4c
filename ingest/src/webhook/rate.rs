//! A token bucket per token: a flood by one vendor must not fill the queue for the others, nor one that
//! sends with a token that was rotated out use up the new one's.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::tokens::TokenId;

pub(super) struct Limits {
    per_second: f64,
    /// Only tokens that are valid get here, so there are a few of each system.
    buckets: Mutex<HashMap<TokenId, Bucket>>,
}

struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Limits {
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second: f64::from(per_second.max(1)), buckets: Mutex::default() }
    }

    /// Takes a token, or says after how long there will be one.
    pub(super) fn take(&self, token: TokenId) -> Result<(), Duration> {
        self.take_at(token, Instant::now())
    }

    fn take_at(&self, token: TokenId, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full = || Bucket { tokens: self.per_second, filled: now };
        let bucket = buckets.entry(token).or_insert_with(full);
        let elapsed = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.tokens = (bucket.tokens + elapsed * self.per_second).min(self.per_second);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.tokens) / self.per_second));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_a_second_and_fills_with_time() {
        let limits = Limits::new(10);
        let start = Instant::now();
        let take = |count, at: Duration| (0..count).all(|_| limits.take_at(1, start + at).is_ok());
        assert!(take(10, Duration::ZERO));
        let wait = limits.take_at(1, start).unwrap_err();
        assert!((wait.as_secs_f64() - 0.1).abs() < 1e-9);
        assert!(take(1, Duration::from_millis(101)));
        let later = Duration::from_secs(100);
        assert!(take(10, later));
        assert!(!take(1, later), "a bucket never holds more than a second");
    }

    #[test]
    fn one_token_does_not_use_up_anothers() {
        let limits = Limits::new(1);
        limits.take(1).unwrap();
        limits.take(1).unwrap_err();
        limits.take(2).unwrap();
    }
}
