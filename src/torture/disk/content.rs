//! A file's bytes: as they are, and what is durable of them.
//!
//! The bytes as they are lie in a plain file. Of each page that was changed since the last sync the
//! durable bytes are kept in memory, so what that costs is bounded by what a program leaves unsynced.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{Losses, Refused};

const PAGE: u64 = 4096;
/// What a disk writes whole.
const SECTOR: usize = 512;

/// Durable bytes of pages, by page number; shorter than a page where the durable file ends.
type Pages = BTreeMap<u64, Vec<u8>>;

pub struct Content {
    file: File,
    size: u64,
    durable_size: u64,
    /// Pages that the next sync makes durable.
    dirty: Pages,
    /// Pages whose sync failed: no later sync cares for them unless they are written again.
    forgotten: Pages,
}

fn device<T>(outcome: std::io::Result<T>) -> Result<T, Refused> {
    outcome.map_err(|_| Refused::Device)
}

impl Content {
    pub fn create(path: &Path) -> Result<Self, Refused> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path);
        let (dirty, forgotten) = (Pages::new(), Pages::new());
        Ok(Self { file: device(file)?, size: 0, durable_size: 0, dirty, forgotten })
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn read(&self, offset: u64, size: usize) -> Result<Vec<u8>, Refused> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; size.min(left)];
        device(self.file.read_exact_at(&mut bytes, offset))?;
        Ok(bytes)
    }

    pub fn write(&mut self, offset: u64, data: &[u8]) -> Result<(), Refused> {
        if data.is_empty() {
            return Ok(());
        }
        let end = offset + data.len() as u64;
        for page in offset / PAGE..end.div_ceil(PAGE) {
            self.change(page)?;
        }
        device(self.file.write_all_at(data, offset))?;
        self.size = self.size.max(end);
        Ok(())
    }

    pub fn set_size(&mut self, size: u64) -> Result<(), Refused> {
        // What is cut off may come back.
        for page in size / PAGE..self.durable_size.div_ceil(PAGE) {
            self.change(page)?;
        }
        device(self.file.set_len(size))?;
        self.size = size;
        Ok(())
    }

    /// Keeps what is durable of a page that is about to change.
    fn change(&mut self, page: u64) -> Result<(), Refused> {
        if self.dirty.contains_key(&page) {
            return Ok(());
        }
        let durable = match self.forgotten.remove(&page) {
            Some(durable) => durable,
            None => {
                let start = page * PAGE;
                // Nothing of the page was changed, so what is there is durable.
                let length = self.durable_size.min(self.size).saturating_sub(start).min(PAGE);
                let mut durable = vec![0; usize::try_from(length).unwrap_or(0)];
                device(self.file.read_exact_at(&mut durable, start))?;
                durable
            }
        };
        self.dirty.insert(page, durable);
        Ok(())
    }

    pub fn sync(&mut self) {
        self.dirty.clear();
        self.durable_size = self.size;
    }

    /// The sync failed: the pages count as clean from now on, and are not durable.
    pub fn sync_failed(&mut self) {
        self.forgotten.append(&mut self.dirty);
    }

    pub fn cut_power(&mut self, dice: &mut ChaCha8Rng, losses: &mut Losses) {
        let mut pages = std::mem::take(&mut self.forgotten);
        pages.append(&mut self.dirty);
        if pages.is_empty() && self.size == self.durable_size {
            return;
        }
        let size = match dice.random_range(0..3) {
            0 => self.durable_size,
            1 => self.size,
            _ => dice
                .random_range(self.durable_size.min(self.size)..=self.durable_size.max(self.size)),
        };
        // One roll a file, so that "all of it" and "nothing of it" come up often.
        let kept = [0.0, 0.5, 1.0].get(dice.random_range(0..3)).copied().unwrap_or(0.5);
        let end = self.size;
        for (page, durable) in pages {
            // What was cut off is there as it was, if the length is.
            let cut_off = page * PAGE >= end;
            if cut_off || !dice.random_bool(kept) {
                let torn = !cut_off && dice.random_bool(0.2);
                losses.pages += 1;
                losses.torn += u64::from(torn);
                self.roll_back(page, &durable, torn.then_some(&mut *dice));
            }
        }
        let _ = self.file.set_len(size);
        self.size = size;
        self.durable_size = size;
    }

    /// Puts a page's durable bytes back: all of them, or those of some sectors.
    fn roll_back(&mut self, page: u64, durable: &[u8], torn: Option<&mut ChaCha8Rng>) {
        // Beyond what was durable the disk has zeros.
        let mut bytes = durable.to_vec();
        bytes.resize(PAGE as usize, 0);
        let all = u8::MAX;
        let sectors = torn.map_or(all, |dice| dice.random_range(1..all));
        for (sector, bytes) in bytes.chunks(SECTOR).enumerate() {
            if sectors & (1 << sector) != 0 {
                let at = page * PAGE + (sector * SECTOR) as u64;
                let _ = self.file.write_all_at(bytes, at);
            }
        }
    }
}
