//! The names of a table's columns, found in the order in which a vendor sends them.

use hashbrown::HashMap;

/// Names with their numbers, counted from 0.
///
/// Vendors keep their order of keys, so the name that followed last time is tried first: that is one
/// comparison where a look-up would be a hash.
#[derive(Debug, Default)]
pub(super) struct Names {
    index: HashMap<Box<str>, usize>,
    names: Vec<Box<str>>,
    /// The number that followed each number last time; the first is what began a row.
    follower: Vec<usize>,
    last: usize,
}

impl Names {
    /// The number of a name that is new.
    pub(super) fn add(&mut self, name: &str) -> usize {
        let number = self.names.len();
        self.names.push(name.into());
        self.index.insert(name.into(), number);
        self.follower.resize(number + 2, number + 1);
        number
    }

    /// The number of a name, without a guess.
    pub(super) fn look_up(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    pub(super) fn begin_row(&mut self) {
        self.last = 0;
    }

    /// The number of a name.
    pub(super) fn find(&mut self, name: &str) -> Option<usize> {
        let guess = self.follower.get(self.last).copied().unwrap_or(0);
        let found = match self.names.get(guess) {
            Some(guessed) if **guessed == *name => guess,
            _ => self.look_up(name)?,
        };
        if let Some(follower) = self.follower.get_mut(self.last) {
            *follower = found;
        }
        self.last = found + 1;
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_order() {
        let mut names = Names::default();
        for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
            assert_eq!(names.add(name), number);
        }
        for order in [["a", "b", "c"], ["c", "a", "b"], ["c", "a", "b"], ["b", "b", "a"]] {
            names.begin_row();
            for name in order {
                assert_eq!(names.find(name), names.look_up(name), "{name} of {order:?}");
                assert!(names.look_up(name).is_some());
            }
            assert_eq!(names.find("d"), None);
        }
    }
}
