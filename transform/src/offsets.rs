//! Offsets, and which range may follow which position.
//!
//! | position held | range offered | answer |
//! | --- | --- | --- |
//! | none | any | all of it is new |
//! | p | first > p | all of it is new; a gap is legal, Kafka has them |
//! | p | first <= p < last | the part after p is new |
//! | p | last <= p | nothing is new: a replay |
//!
//! A position is never computed by adding 1 to an offset and comparing for equality: after
//! compaction or transaction markers the next offset may be any greater one.

use std::collections::BTreeMap;

use crate::event::LogPartition;

/// A closed range of offsets, `first <= last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetRange {
    pub first: i64,
    pub last: i64,
}

impl OffsetRange {
    pub fn new(first: i64, last: i64) -> Self {
        debug_assert!(first <= last);
        Self { first, last }
    }

    /// The smallest range that covers both.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }

    /// What of this range lies after `position`, by the table above.
    pub fn after(self, position: Option<i64>) -> Option<Self> {
        match position {
            None => Some(self),
            Some(held) if self.last <= held => None,
            Some(held) if self.first > held => Some(self),
            Some(held) => Some(Self { first: held + 1, last: self.last }),
        }
    }
}

/// The last offset held, per log partition: what a table, or all tables, contain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions(BTreeMap<LogPartition, i64>);

impl Positions {
    pub fn get(&self, partition: &LogPartition) -> Option<i64> {
        self.0.get(partition).copied()
    }

    /// Moves a partition forward; an older offset changes nothing.
    pub fn advance(&mut self, partition: LogPartition, last: i64) {
        self.0.entry(partition).and_modify(|held| *held = (*held).max(last)).or_insert(last);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&LogPartition, i64)> {
        self.0.iter().map(|(partition, last)| (partition, *last))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(LogPartition, i64)> for Positions {
    fn from_iter<I: IntoIterator<Item = (LogPartition, i64)>>(items: I) -> Self {
        let mut positions = Self::default();
        for (partition, last) in items {
            positions.advance(partition, last);
        }
        positions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_new_lies_after_the_position(first in 0i64..50, len in 0i64..50, held in proptest::option::of(-1i64..120)) {
            let range = OffsetRange::new(first, first + len);
            let expected: Vec<i64> = (range.first..=range.last).filter(|o| held.is_none_or(|h| *o > h)).collect();
            let got: Vec<i64> = range.after(held).map(|r| (r.first..=r.last).collect()).unwrap_or_default();
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn positions_only_move_forward(offsets in proptest::collection::vec(0i64..100, 1..20)) {
            let partition = LogPartition::new("t", 0);
            let positions: Positions = offsets.iter().map(|o| (partition.clone(), *o)).collect();
            prop_assert_eq!(positions.get(&partition), offsets.iter().copied().max());
        }
    }
}
