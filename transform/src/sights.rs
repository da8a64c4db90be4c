//! Keys with when and where they were seen, in little memory: ten million in at most 256 MiB.
//!
//! A hash map doubles when it is full, and holds both halves while it does. Here the keys are spread over
//! many small tables that each grow by an eighth. In a table a key's place follows from its size, so the
//! entries lie sorted with gaps: a search ends at the first larger key, so that tables may be four
//! fifths full.
//!
//! An entry is 16 bytes: 76 bits of the key with those that its table stands for, 34 of the place, and the
//! receipt to 4 s. A new key is taken for one of ten million others once in 7·10¹⁵, and a repeat for a replay
//! of the same place once in 1.7·10¹⁰. It must never give up more bits of either for less memory: the one
//! loses an event, the other doubles it.

use crate::event::Micros;

/// The upper bits of a key choose its table, and need not be kept in it.
const TABLE_BITS: u32 = 12;
const TABLES: usize = 1 << TABLE_BITS;
/// The bits of a key that nothing keeps.
const DROPPED_BITS: u32 = 64 - TABLE_BITS;
/// The bits that are kept of the hash of a place; the others tell the time.
const PLACE_BITS: u32 = 34;
/// Slots behind the last place that a key can have, for those that are pushed on.
const SLACK: usize = 16;
/// The unit of time.
const TICK: Micros = 4_000_000;

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    key: u64,
    sight: Sight,
}

/// Entries sorted by key, with gaps; each lies at its home or, with no gap between, behind it.
#[derive(Debug, Default)]
struct Table {
    slots: Vec<Entry>,
    count: usize,
}

/// When and where a key was seen: ticks since 1970, and below them the place. 0 is an empty slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sight(u64);

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
        let ticks = received_at.div_euclid(TICK).clamp(1, (1 << (64 - PLACE_BITS)) - 1);
        Self((ticks.unsigned_abs() << PLACE_BITS) | (place >> (64 - PLACE_BITS)))
    }

    fn ticks(self) -> i64 {
        (self.0 >> PLACE_BITS) as i64
    }

    /// Whether the other is of the same place, whenever that was.
    pub(crate) fn is_at(self, other: Self) -> bool {
        (self.0 ^ other.0) << (64 - PLACE_BITS) == 0
    }

    /// Whether the other lies within so many microseconds, to 4 s.
    pub(crate) fn is_within(self, window: Micros, other: Self) -> bool {
        (self.ticks() - other.ticks()).abs() <= window / TICK
    }

    fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl Sights {
    pub(crate) fn get(&self, key: u128) -> Option<Sight> {
        let (table, key) = split(key);
        self.tables.get(table)?.get(key)
    }

    /// Sets it, whether or not it was there.
    pub(crate) fn insert(&mut self, key: u128, sight: Sight) {
        let (table, key) = split(key);
        if let Some(table) = self.tables.get_mut(table) {
            let before = table.count;
            table.insert(Entry { key, sight });
            self.count += table.count - before;
        }
    }

    /// Keeps only what was seen at or after this time.
    pub(crate) fn forget_before(&mut self, oldest: Micros) {
        let oldest = Sight::new(oldest, 0).ticks();
        for table in &mut self.tables {
            table.keep(|entry| entry.sight.ticks() >= oldest);
        }
        self.count = self.tables.iter().map(|table| table.count).sum();
    }

    /// All keys, as [`kept`] of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u128, Sight)> {
        self.tables.iter().enumerate().flat_map(|(table, entries)| {
            let held = entries.slots.iter().filter(|entry| !entry.sight.is_none());
            held.map(move |entry| {
                let upper = (table as u128) << (128 - TABLE_BITS);
                (upper | (u128::from(entry.key) << DROPPED_BITS), entry.sight)
            })
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }
}

/// What is kept of a key.
pub fn kept(key: u128) -> u128 {
    (key >> DROPPED_BITS) << DROPPED_BITS
}

/// Its table, and the bits that are kept there.
fn split(key: u128) -> (usize, u64) {
    ((key >> (128 - TABLE_BITS)) as usize, (key >> DROPPED_BITS) as u64)
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
        let end = rest.iter().position(|entry| entry.sight.is_none() || entry.key >= key);
        home + end.unwrap_or(rest.len())
    }

    fn get(&self, key: u64) -> Option<Sight> {
        let found = self.slots.get(self.find(key))?;
        (!found.sight.is_none() && found.key == key).then_some(found.sight)
    }

    fn insert(&mut self, entry: Entry) {
        loop {
            let at = self.find(entry.key);
            if let Some(slot) = self.slots.get_mut(at)
                && !slot.sight.is_none()
                && slot.key == entry.key
            {
                *slot = entry;
                return;
            }
            let is_full = (self.count + 1) * 5 > self.homes() * 4;
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
        let Some(gap) = rest.iter().position(|entry| entry.sight.is_none()) else { return false };
        rest.copy_within(..gap, 1);
        match rest.first_mut() {
            Some(first) => *first = entry,
            None => return false,
        }
        true
    }

    fn keep(&mut self, keep: impl Fn(&Entry) -> bool) {
        let kept = self.slots.iter().filter(|entry| !entry.sight.is_none() && keep(entry)).count();
        if kept < self.count {
            self.lay_out(kept * 3 / 2 + 8, keep);
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
            let kept = old.iter().filter(|entry| !entry.sight.is_none() && keep(entry));
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
        Sight::new((n as i64 + 1) * TICK, key(n) as u64)
    }

    fn bytes(sights: &Sights) -> usize {
        let slots: usize = sights.tables.iter().map(|table| table.slots.capacity()).sum();
        slots * size_of::<Entry>() + sights.tables.capacity() * size_of::<Table>()
    }

    #[test]
    fn does_as_a_map_does() {
        let mut sights = Sights::default();
        let mut map = std::collections::HashMap::new();
        let mut state = 7u64;
        for step in 0..60_000u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Often the same again, in few tables, and neighbours that run into each other.
            let spread = key(state >> 50);
            let key = match step % 3 {
                0 => spread,
                1 => (spread >> 12) | (u128::from(step % 4) << 116),
                _ => (spread & (u128::MAX << 56)) | (u128::from(step % 8) << DROPPED_BITS),
            };
            assert_eq!(sights.get(key), map.get(&kept(key)).copied(), "step {step}");
            sights.insert(key, sight(step));
            map.insert(kept(key), sight(step));
            assert_eq!(sights.len(), map.len());
            if step % 20_000 == 19_999 {
                let oldest = (step as i64 - 10_000) * TICK;
                sights.forget_before(oldest);
                map.retain(|_, sight| sight.ticks() * TICK >= oldest);
                assert_eq!(sights.len(), map.len());
            }
        }
        assert_eq!(sights.iter().collect::<std::collections::HashMap<_, _>>(), map);
    }

    /// Ten million keys fill all tables as these 312,500 fill the first in 32.
    #[test]
    fn ten_million_keys_take_less_than_256_mib() {
        const SHARE: usize = 32;
        let mut sights = Sights::default();
        let few = |n: u64| key(n) >> SHARE.ilog2();
        for n in 0..312_500 {
            sights.insert(few(n), sight(n));
        }
        let empty = bytes(&Sights::default());
        let mib = ((bytes(&sights) - empty) * SHARE + empty) >> 20;
        assert!(mib <= 256, "{mib} MiB");
        assert_eq!(sights.len(), 312_500);
        assert_eq!(sights.get(few(123_456)), Some(sight(123_456)));
        assert_eq!(sights.get(few(312_500)), None);
        sights.forget_before(156_250 * TICK);
        let mib = ((bytes(&sights) - empty) * SHARE + empty) >> 20;
        assert!(mib <= 140, "what was forgotten is given back: {mib} MiB");
    }
}
