//! Which events were seen before: a repeated webhook makes one row.
//!
//! An event is a repeat when one of the same key lies at *another* log position within the window.
//! The same key at the same position is a replay after a restart: tables that a crash left without
//! its rows must still get them, so a replay is never a repeat. The memory is rebuilt from the
//! tables' own `event_key` columns, so no side file can disagree with them.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed, xxh3_128, xxh3_128_with_seed};

use crate::event::{LogPartition, Micros};
use crate::faults::{self, Mutant};
use crate::sights::{Sight, Sights};

/// How often old keys are forgotten: once the newest receipt has moved on by an hour.
const FORGET_EVERY: Micros = 3600 * 1_000_000;

/// The keys of the last window.
#[derive(Debug, Default)]
pub struct Seen {
    keys: Sights,
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
        let here = Sight::new(received_at, place);
        let sight = self.keys.get(key).filter(|_| !faults::is_mutant(Mutant::RepeatsUnnoticed));
        if let Some(sight) = sight {
            if sight.is_at(here) {
                return false;
            }
            if sight.is_within(window, here) {
                return true;
            }
        }
        self.keys.insert(key, here);
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
        self.keys.forget_before(oldest);
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys that are remembered, as [`kept`] of them.
    pub fn keys(&self) -> impl Iterator<Item = u128> {
        self.keys.iter().map(|(key, _)| key)
    }

    pub fn is_empty(&self) -> bool {
        self.keys.len() == 0
    }
}

pub use crate::sights::kept;

/// What identifies an event among all systems.
pub fn key_of(system: &str, event_key: &str) -> u128 {
    xxh3_128_with_seed(event_key.as_bytes(), xxh3_64(system.as_bytes()))
}

/// What identifies a log position.
pub fn place_of(at: &LogPartition, offset: i64) -> u64 {
    let mut place = [0; 12];
    let (partition, rest) = place.split_at_mut(4);
    partition.copy_from_slice(&at.partition.to_le_bytes());
    rest.copy_from_slice(&offset.to_le_bytes());
    xxh3_64_with_seed(&place, xxh3_64(at.topic.as_bytes()))
}

/// A 128-bit hash of what was sent, as 32 hex digits: the event key of vendors that send no id.
pub fn content_key(parts: &[&str]) -> String {
    hex(Parts::default().hash_with(parts))
}

/// As [`content_key`], of named parts in whatever order they were sent.
pub fn unordered_key<'p>(of: &str, parts: impl Iterator<Item = (&'p str, &'p str)>) -> String {
    // A sum is the same in any order, and unlike an exclusive or it counts equal parts.
    let sum = parts.fold(0u128, |sum, (name, value)| {
        sum.wrapping_add(xxh3_128_with_seed(value.as_bytes(), xxh3_64(name.as_bytes())))
    });
    hex(xxh3_128_with_seed(&sum.to_le_bytes(), xxh3_64(of.as_bytes())))
}

/// Parts of an identity, each apart from the next.
///
/// They are gathered in one buffer: a hash that is fed piece by piece takes twice as long.
#[derive(Debug, Default)]
pub struct Parts(Vec<u8>);

impl Parts {
    pub fn push(&mut self, part: &[u8]) {
        // The length keeps ("ab","c") and ("a","bc") apart.
        self.0.extend_from_slice(&(part.len() as u64).to_le_bytes());
        self.0.extend_from_slice(part);
    }

    /// A 128-bit hash of the parts pushed and these; these are not kept.
    pub fn hash_with(&mut self, parts: &[&str]) -> u128 {
        let kept = self.0.len();
        self.0.reserve(parts.iter().map(|part| size_of::<u64>() + part.len()).sum());
        for part in parts {
            self.push(part.as_bytes());
        }
        let hash = xxh3_128(&self.0);
        self.0.truncate(kept);
        hash
    }
}

/// The event key of bytes that cannot be read.
pub fn body_key(body: &[u8]) -> String {
    hex(xxh3_128(body))
}

fn hex(hash: u128) -> String {
    let nibbles = hash.to_be_bytes().map(|byte| [byte >> 4, byte & 0xf]);
    let digit = |nibble: &u8| if *nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble };
    let digits = nibbles.as_flattened().iter().map(digit).collect();
    String::from_utf8(digits).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Micros = 24 * 3600 * 1_000_000;
    /// Keys and places are hashes: their upper bits tell them apart.
    const ONE: u128 = 1 << 100;
    const TWO: u128 = 2 << 100;
    const AT: u64 = 1 << 40;

    #[test]
    fn a_repeat_is_the_same_key_elsewhere_within_the_window() {
        let mut seen = Seen::default();
        assert!(!seen.is_repeat(ONE, 7 * DAY, 0, AT));
        assert!(seen.is_repeat(ONE, 7 * DAY, DAY, 2 * AT));
        assert!(!seen.is_repeat(ONE, 7 * DAY, DAY, AT), "a replay of the same position");
        assert!(!seen.is_repeat(ONE, 7 * DAY, 8 * DAY, 3 * AT), "outside the window");
        assert!(!seen.is_repeat(TWO, 7 * DAY, 0, 4 * AT), "another key");
    }

    #[test]
    fn what_lies_outside_the_window_is_forgotten() {
        let mut seen = Seen::default();
        seen.is_repeat(ONE, DAY, 0, AT);
        seen.is_repeat(TWO, DAY, 3 * DAY, 2 * AT);
        seen.forget_old(DAY);
        assert_eq!(seen.len(), 1);
    }

    #[test]
    fn parts_are_kept_apart() {
        assert_ne!(content_key(&["ab", "c"]), content_key(&["a", "bc"]));
        let unordered =
            |parts: &[(&'static str, &'static str)]| unordered_key("x", parts.iter().copied());
        assert_eq!(unordered(&[("a", "b"), ("c", "d")]), unordered(&[("c", "d"), ("a", "b")]));
        assert_ne!(unordered(&[("a", "b"), ("c", "d")]), unordered(&[("a", "d"), ("c", "b")]));
        assert_ne!(unordered(&[("ab", "c")]), unordered(&[("a", "bc")]));
        assert_ne!(unordered(&[("a", "b")]), unordered(&[("a", "b"), ("a", "b")]));
        assert_ne!(unordered_key("x", [].into_iter()), unordered_key("y", [].into_iter()));
        assert_eq!(hex(0xab), format!("{:032x}", 0xab));
    }
}
