//! A folder's entries: as they are, and as they are durable.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::Ino;

/// A folder's entry as it is listed.
pub struct Entry {
    pub ino: Ino,
    pub name: OsString,
    pub is_folder: bool,
}

type Entries = BTreeMap<OsString, Ino>;

#[derive(Default)]
pub struct Folder {
    live: Entries,
    durable: Entries,
    /// The changes since the last sync, in their order.
    pending: Vec<Change>,
}

enum Change {
    Set(OsString, Ino),
    Remove(OsString),
    Rename(OsString, OsString, Ino),
}

impl Folder {
    pub fn get(&self, name: &OsStr) -> Option<Ino> {
        self.live.get(name).copied()
    }

    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    pub fn entries(&self) -> impl Iterator<Item = (&OsStr, Ino)> {
        self.live.iter().map(|(name, ino)| (name.as_os_str(), *ino))
    }

    /// Everything that has a name here, or may have one after a power cut.
    pub fn all(&self) -> impl Iterator<Item = Ino> {
        let pending = self.pending.iter().filter_map(|change| match change {
            Change::Set(_, ino) | Change::Rename(_, _, ino) => Some(*ino),
            Change::Remove(_) => None,
        });
        self.live.values().chain(self.durable.values()).copied().chain(pending)
    }

    pub fn set(&mut self, name: &OsStr, ino: Ino) {
        self.change(Change::Set(name.to_owned(), ino));
    }

    pub fn remove(&mut self, name: &OsStr) {
        self.change(Change::Remove(name.to_owned()));
    }

    pub fn rename(&mut self, from: &OsStr, to: &OsStr, ino: Ino) {
        self.change(Change::Rename(from.to_owned(), to.to_owned(), ino));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    pub fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// Keeps the first few of the changes; returns how many are gone.
    pub fn cut_power(&mut self, dice: &mut ChaCha8Rng) -> u64 {
        if self.pending.is_empty() {
            return 0;
        }
        let kept = dice.random_range(0..=self.pending.len());
        let lost = self.pending.len() - kept;
        for change in self.pending.drain(..).take(kept) {
            change.apply(&mut self.durable);
        }
        self.pending.clear();
        self.live = self.durable.clone();
        lost as u64
    }
}

impl Change {
    fn apply(&self, entries: &mut Entries) {
        match self {
            Self::Set(name, ino) => _ = entries.insert(name.clone(), *ino),
            Self::Remove(name) => _ = entries.remove(name),
            Self::Rename(from, to, ino) => {
                entries.remove(from);
                entries.insert(to.clone(), *ino);
            }
        }
    }
}
