//! A set of offsets, dense as those of a log are: a bit each, and nothing for stretches that are full.

use std::collections::BTreeMap;

const BITS: i64 = 1 << 16;
const WORDS: usize = 1 << 10;

#[derive(Default)]
pub struct Offsets {
    stretches: BTreeMap<i64, Stretch>,
}

enum Stretch {
    Full,
    Some { words: Box<[u64]>, count: u32 },
}

impl Offsets {
    /// Adds an offset; false if it is there already.
    pub fn insert(&mut self, offset: i64) -> bool {
        let stretch = self.stretches.entry(offset.div_euclid(BITS)).or_insert_with(Stretch::new);
        let Stretch::Some { words, count } = stretch else { return false };
        let (word, bit) = place(offset);
        let Some(word) = words.get_mut(word) else { return false };
        if *word & bit != 0 {
            return false;
        }
        *word |= bit;
        *count += 1;
        if i64::from(*count) == BITS {
            *stretch = Stretch::Full;
        }
        true
    }

    pub fn contains(&self, offset: i64) -> bool {
        match self.stretches.get(&offset.div_euclid(BITS)) {
            None => false,
            Some(Stretch::Full) => true,
            Some(Stretch::Some { words, .. }) => {
                let (word, bit) = place(offset);
                words.get(word).is_some_and(|word| word & bit != 0)
            }
        }
    }

    /// How many there are up to this one.
    pub fn count_to(&self, last: i64) -> u64 {
        let whole = last.div_euclid(BITS);
        let before: u64 = self.stretches.range(..whole).map(|(_, stretch)| stretch.count()).sum();
        let rest = whole * BITS..=last;
        before + rest.filter(|offset| self.contains(*offset)).count() as u64
    }
}

fn place(offset: i64) -> (usize, u64) {
    let within = offset.rem_euclid(BITS);
    (usize::try_from(within / 64).unwrap_or(0), 1 << (within % 64))
}

impl Stretch {
    fn new() -> Self {
        Self::Some { words: vec![0; WORDS].into_boxed_slice(), count: 0 }
    }

    fn count(&self) -> u64 {
        match self {
            Self::Full => BITS.unsigned_abs(),
            Self::Some { count, .. } => u64::from(*count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn it_is_the_set_that_it_says() {
        let (mut ours, mut theirs) = (Offsets::default(), BTreeSet::new());
        let scattered = (0..3_000i64).map(|n| n * n % 200_003);
        for offset in scattered.chain(65_536..131_072) {
            assert_eq!(ours.insert(offset), theirs.insert(offset), "{offset}");
        }
        assert!(matches!(ours.stretches.get(&1), Some(Stretch::Full)));
        for offset in (-1..200_010).step_by(7) {
            assert_eq!(ours.contains(offset), theirs.contains(&offset), "{offset}");
        }
        for last in [-1, 0, 65_535, 65_536, 131_071, 150_000, 300_000] {
            assert_eq!(ours.count_to(last), theirs.range(..=last).count() as u64, "{last}");
        }
    }
}
