//! Which events were seen before: a repeated webhook makes one row.
//!
//! An event is a repeat when one of the same key lies at *another* log position within the window.
//! The same key at the same position is a replay after a restart: tables that a crash left without
//! its rows must still get them, so a replay is never a repeat. The memory is rebuilt from the
//! tables' own `event_key` columns, so no side file can disagree with them.

use hashbrown::HashMap;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::event::{LogPartition, Micros};

/// How often old keys are forgotten: once the newest receipt has moved on by an hour.
const FORGET_EVERY: Micros = 3600 * 1_000_000;

#[derive(Clone, Copy, Debug)]
struct Sight {
    received_at: Micros,
    /// Hash of the log position.
    place: u64,
}

/// The keys of the last window.
#[derive(Debug, Default)]
pub struct Seen {
    keys: HashMap<u128, Sight>,
    newest: Micros,
    forgotten_at: Micros,
}

impl Seen {
    /// Whether the event is a repeat; if not, it is remembered.
    pub fn is_repeat(
        &mut self,
        key: u128,
        window: Micros,
        received_at: Micros,
        place: u64,
    ) -> bool {
        if let Some(sight) = self.keys.get(&key) {
            if sight.place == place {
                return false;
            }
            if received_at.abs_diff(sight.received_at) <= window.unsigned_abs() {
                return true;
            }
        }
        self.keys.insert(key, Sight { received_at, place });
        self.newest = self.newest.max(received_at);
        false
    }

    /// Forgets what lies further back than `window` before the newest receipt.
    pub fn forget_old(&mut self, window: Micros) {
        if self.newest - self.forgotten_at < FORGET_EVERY {
            return;
        }
        self.forgotten_at = self.newest;
        let oldest = self.newest - window;
        self.keys.retain(|_, sight| sight.received_at >= oldest);
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// What identifies an event among all systems.
pub fn key_of(system: &str, event_key: &str) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(system.as_bytes());
    hash.update(&[0]);
    hash.update(event_key.as_bytes());
    hash.digest128()
}

/// What identifies a log position.
pub fn place_of(at: &LogPartition, offset: i64) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(at.topic.as_bytes());
    hash.update(&at.partition.to_le_bytes());
    hash.update(&offset.to_le_bytes());
    hash.digest()
}

/// A 128-bit hash of what was sent, as 32 hex digits: the event key of vendors that send no id.
pub fn content_key(parts: &[&str]) -> String {
    format!("{:032x}", hash_of(parts.iter().map(|part| part.as_bytes())))
}

/// A 128-bit hash of parts, each apart from the next.
pub fn hash_of<'p>(parts: impl Iterator<Item = &'p [u8]>) -> u128 {
    let mut hash = Xxh3::new();
    for part in parts {
        // The length keeps ("ab","c") and ("a","bc") apart.
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.digest128()
}

/// The event key of bytes that cannot be read.
pub fn body_key(body: &[u8]) -> String {
    format!("{:032x}", xxh3_128(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Micros = 24 * 3600 * 1_000_000;

    #[test]
    fn a_repeat_is_the_same_key_elsewhere_within_the_window() {
        let mut seen = Seen::default();
        assert!(!seen.is_repeat(1, 7 * DAY, 0, 10));
        assert!(seen.is_repeat(1, 7 * DAY, DAY, 11));
        assert!(!seen.is_repeat(1, 7 * DAY, DAY, 10), "a replay of the same position");
        assert!(!seen.is_repeat(1, 7 * DAY, 8 * DAY, 12), "outside the window");
        assert!(!seen.is_repeat(2, 7 * DAY, 0, 13), "another key");
    }

    #[test]
    fn what_lies_outside_the_window_is_forgotten() {
        let mut seen = Seen::default();
        seen.is_repeat(1, DAY, 0, 1);
        seen.is_repeat(2, DAY, 3 * DAY, 2);
        seen.forget_old(DAY);
        assert_eq!(seen.len(), 1);
    }

    #[test]
    fn parts_are_kept_apart() {
        assert_ne!(content_key(&["ab", "c"]), content_key(&["a", "bc"]));
    }
}
