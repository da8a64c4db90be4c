//! Keys with when and where they were seen, in little memory: ten million in at most 256 MiB.
//!
//! A hash map doubles when it is full, and holds both halves while it does. Here the keys are spread over
//! many small tables that each grow by an eighth. In a table a key's place follows from its size, so the
//! entries lie sorted with gaps: a search ends at the first larger key, and tables may be nine tenths full.
//!
//! An entry is 16 bytes. It keeps 76 bits of the key, so that among ten million keys a new one is taken for
//! one of them once in 7·10¹⁵; the time in seconds; and 32 bits of where it was, which together with the
//! time tell a replay from a repeat.

use crate::event::Micros;

/// The upper bits of a key choose its table, and need not be kept in it.
const TABLE_BITS: u32 = 12;
const TABLES: usize = 1 << TABLE_BITS;
/// Slots behind the last place that a key can have, for those that are pushed on.
const SLACK: usize = 32;
const SECOND: Micros = 1_000_000;

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    key: u64,
    /// Since 1970; 0 is an empty slot.
    seconds: u32,
    place: u32,
}

/// Entries sorted by key, with gaps; each lies at its home or, with no gap between, behind it.
#[derive(Debug, Default)]
struct Table {
    slots: Vec<Entry>,
    count: usize,
}

/// When and where a key was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    seconds: u32,
    place: u32,
}

#[derive(Debug)]
pub(crate) struct Sights {
    tables: Vec<Table>,
    count: usize,
}

impl Default for Sights {
    fn default() -> Self {
        Self { tables: std::iter::repeat_with(Table::default).take(TABLES).collect(), count: 0 }
    }
}

impl Sight {
    /// `place` is a hash of the log position.
    pub(crate) fn new(received_at: Micros, place: u64) -> Self {
        let seconds = u32::try_from(received_at.div_euclid(SECOND)).unwrap_or(u32::MAX);
        // The upper half is as good a hash as the whole, only shorter.
        Self { seconds: seconds.max(1), place: (place >> 32) as u32 }
    }

    /// Whether the other lies within so many microseconds, to the second.
    pub(crate) fn is_within(self, window: Micros, other: Self) -> bool {
        i64::from(self.seconds.abs_diff(other.seconds)) <= window / SECOND
    }
}

impl Sights {
    pub(crate) fn get(&self, key: u128) -> Option<Sight> {
        let (table, key) = self.place_of(key)?;
        table.get(key)
    }

    /// Sets it, whether or not it was there.
    pub(crate) fn insert(&mut self, key: u128, sight: Sight) {
        let (table, key) = split(key);
        if let Some(table) = self.tables.get_mut(table) {
            let before = table.count;
            table.insert(Entry { key, seconds: sight.seconds, place: sight.place });
            self.count += table.count - before;
        }
    }

    /// Keeps only what was seen at or after this time.
    pub(crate) fn forget_before(&mut self, oldest: Micros) {
        let oldest = Sight::new(oldest, 0).seconds;
        for table in &mut self.tables {
            table.keep(|entry| entry.seconds >= oldest);
        }
        self.count = self.tables.iter().map(|table| table.count).sum();
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The memory that the entries take, with their gaps.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        let slots: usize = self.tables.iter().map(|table| table.slots.capacity()).sum();
        slots * size_of::<Entry>() + self.tables.capacity() * size_of::<Table>()
    }

    fn place_of(&self, key: u128) -> Option<(&Table, u64)> {
        let (table, key) = split(key);
        Some((self.tables.get(table)?, key))
    }
}

/// Its table, and the bits that are kept there.
fn split(key: u128) -> (usize, u64) {
    let table = (key >> (128 - TABLE_BITS)) as usize;
    (table, (key >> (64 - TABLE_BITS)) as u64)
}

impl Table {
    /// How many homes there are.
    fn homes(&self) -> usize {
        self.slots.len().saturating_sub(SLACK)
    }

    /// The first slot where the key could be; larger keys have larger homes.
    fn home(&self, key: u64) -> usize {
        ((u128::from(key) * self.homes() as u128) >> 64) as usize
    }

    /// Where the key is, or has to be put: the first slot that is empty or has no smaller key.
    fn find(&self, key: u64) -> usize {
        let home = self.home(key);
        let rest = self.slots.get(home..).unwrap_or_default();
        let end = rest.iter().position(|entry| entry.seconds == 0 || entry.key >= key);
        home + end.unwrap_or(rest.len())
    }

    fn get(&self, key: u64) -> Option<Sight> {
        let found = self.slots.get(self.find(key))?;
        let is_it = found.seconds != 0 && found.key == key;
        is_it.then_some(Sight { seconds: found.seconds, place: found.place })
    }

    fn insert(&mut self, entry: Entry) {
        loop {
            let at = self.find(entry.key);
            if let Some(slot) = self.slots.get_mut(at)
                && slot.seconds != 0
                && slot.key == entry.key
            {
                *slot = entry;
                return;
            }
            let is_full = (self.count + 1) * 10 > self.homes() * 9;
            if !is_full && self.put(at, entry) {
                self.count += 1;
                return;
            }
            let homes = self.homes();
            self.lay_out(homes + homes / 8 + 8, |_| true);
        }
    }

    /// Puts it into this slot and pushes what follows into the next gap. False if there is none.
    fn put(&mut self, at: usize, entry: Entry) -> bool {
        let rest = self.slots.get_mut(at..).unwrap_or_default();
        let Some(gap) = rest.iter().position(|entry| entry.seconds == 0) else { return false };
        rest.copy_within(..gap, 1);
        match rest.first_mut() {
            Some(first) => *first = entry,
            None => return false,
        }
        true
    }

    fn keep(&mut self, keep: impl Fn(&Entry) -> bool) {
        let kept = self.slots.iter().filter(|entry| entry.seconds != 0 && keep(entry)).count();
        if kept < self.count {
            self.lay_out(kept * 10 / 8 + 8, keep);
        }
    }

    /// Moves the entries that are kept into a new table, in order; one of at least so many homes.
    fn lay_out(&mut self, mut homes: usize, keep: impl Fn(&Entry) -> bool) {
        let old = std::mem::take(&mut self.slots);
        loop {
            self.slots = Vec::new();
            self.slots.reserve_exact(homes + SLACK);
            self.slots.resize(homes + SLACK, Entry::default());
            self.count = 0;
            let mut next = 0;
            let kept = old.iter().filter(|entry| entry.seconds != 0 && keep(entry));
            let all = kept.copied().all(|entry| {
                let at = self.home(entry.key).max(next);
                next = at + 1;
                self.count += 1;
                self.slots.get_mut(at).map(|slot| *slot = entry).is_some()
            });
            if all {
                return;
            }
            homes += homes / 8 + 8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spreads a number over all bits.
    fn key(n: u64) -> u128 {
        let half = |n: u64| {
            let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            n ^ (n >> 31)
        };
        (u128::from(half(n + 1)) << 64) | u128::from(half(!n))
    }

    fn sight(n: u64) -> Sight {
        Sight::new((n as i64 + 1) * SECOND, n << 32)
    }

    #[test]
    fn does_as_a_map_does() {
        let mut sights = Sights::default();
        let mut map = std::collections::HashMap::new();
        let mut state = 7u64;
        for step in 0..60_000u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Few tables and neighbouring keys, so that they fill up and run into each other.
            let key = match step % 3 {
                0 => key(state >> 48),
                1 => u128::from(state >> 44) << 50,
                _ => u128::MAX - (u128::from(state >> 44) << 52),
            };
            assert_eq!(sights.get(key), map.get(&(key >> 52)).copied(), "step {step}");
            sights.insert(key, sight(step));
            map.insert(key >> 52, sight(step));
            assert_eq!(sights.len(), map.len());
            if step % 20_000 == 19_999 {
                let oldest = (step as i64 - 10_000) * SECOND;
                sights.forget_before(oldest);
                map.retain(|_, sight| i64::from(sight.seconds) * SECOND >= oldest);
                assert_eq!(sights.len(), map.len());
            }
        }
    }

    #[test]
    fn ten_million_keys_take_less_than_256_mib() {
        let mut sights = Sights::default();
        for n in 0..10_000_000 {
            sights.insert(key(n), sight(n % 600_000));
        }
        let mib = sights.bytes() >> 20;
        assert!(mib <= 256, "{mib} MiB");
        assert_eq!(sights.len(), 10_000_000);
        assert_eq!(sights.get(key(1_234_567)), Some(sight(1_234_567 % 600_000)));
        assert_eq!(sights.get(key(10_000_001)), None);
        sights.forget_before(300_000 * SECOND);
        assert!(sights.bytes() >> 20 <= 140, "what was forgotten is given back");
    }
}
