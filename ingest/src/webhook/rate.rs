//! A token bucket per system: a flood of one vendor must not fill the queue for the others.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ringlake_transform::{SYSTEMS, System};

pub(super) struct Limits {
    per_second: f64,
    /// In the order of `SYSTEMS`.
    buckets: Vec<Mutex<Bucket>>,
}

struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Limits {
    pub(super) fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second.max(1));
        let bucket = |_| Mutex::new(Bucket { tokens: per_second, filled: Instant::now() });
        Self { per_second, buckets: SYSTEMS.iter().map(bucket).collect() }
    }

    /// Takes a token, or says after how long there will be one.
    pub(super) fn take(&self, system: &dyn System) -> Result<(), Duration> {
        let of_system = SYSTEMS.iter().position(|known| known.name() == system.name());
        let Some(bucket) = of_system.and_then(|at| self.buckets.get(at)) else { return Ok(()) };
        self.take_at(&mut bucket.lock().unwrap_or_else(PoisonError::into_inner), Instant::now())
    }

    fn take_at(&self, bucket: &mut Bucket, now: Instant) -> Result<(), Duration> {
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
        let mut bucket = Bucket { tokens: 10.0, filled: start };
        for _ in 0..10 {
            limits.take_at(&mut bucket, start).unwrap();
        }
        let wait = limits.take_at(&mut bucket, start).unwrap_err();
        assert!((wait.as_secs_f64() - 0.1).abs() < 1e-9);
        limits.take_at(&mut bucket, start + Duration::from_millis(101)).unwrap();
        limits.take_at(&mut bucket, start + Duration::from_secs(100)).unwrap();
        assert!((bucket.tokens - 9.0).abs() < 1e-9, "a bucket never holds more than a second");
    }

    #[test]
    fn one_system_does_not_use_up_anothers() {
        let limits = Limits::new(1);
        limits.take(SYSTEMS[0]).unwrap();
        limits.take(SYSTEMS[0]).unwrap_err();
        limits.take(SYSTEMS[1]).unwrap();
    }
}
