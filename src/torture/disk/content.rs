//! A file's bytes: as they are, and what is durable of them.
//!
//! The bytes as they are lie in a plain file. Of each page that was changed since the last sync the
//! durable bytes are kept in memory, so what that costs is bounded by what a program leaves unsynced.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{Losses, Refused};

const PAGE: u64 = 4096;
/// What a disk writes whole.
const SECTOR: usize = 512;

/// Durable bytes of pages, by page number; shorter than a page where the durable file ends.
pub type Pages = BTreeMap<u64, Vec<u8>>;

/// What a power cut may take back of a file.
#[derive(Default)]
pub struct Unsynced {
    pub durable_size: u64,
    /// Pages that the next sync makes durable.
    pub dirty: Pages,
    /// Pages whose sync failed: no later sync cares for them unless they are written again.
    pub forgotten: Pages,
}

pub struct Content {
    file: File,
    size: u64,
    unsynced: Unsynced,
}

fn device<T>(outcome: std::io::Result<T>) -> Result<T, Refused> {
    outcome.map_err(|_| Refused::Device)
}

impl Content {
    pub fn create(path: &Path) -> Result<Self, Refused> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path);
        Ok(Self { file: device(file)?, size: 0, unsynced: Unsynced::default() })
    }

    /// A file that others write, who say beforehand what they change.
    pub fn of_others(path: &Path, unsynced: Unsynced) -> std::io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { file, size, unsynced })
    }

    /// The same, of one of which nothing is durable.
    pub fn new_of_others(path: &Path) -> std::io::Result<Self> {
        let mut content = Self::of_others(path, Unsynced::default())?;
        let pages = 0..content.size.div_ceil(PAGE);
        content.unsynced.dirty = pages.map(|page| (page, Vec::new())).collect();
        Ok(content)
    }

    /// Sees how long the file is now.
    pub fn look(&mut self) -> std::io::Result<()> {
        self.size = self.file.metadata()?.len();
        Ok(())
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
        self.change(offset..end)?;
        device(self.file.write_all_at(data, offset))?;
        self.size = self.size.max(end);
        Ok(())
    }

    pub fn set_size(&mut self, size: u64) -> Result<(), Refused> {
        // What is cut off may come back.
        self.change(size..self.unsynced.durable_size.max(size))?;
        device(self.file.set_len(size))?;
        self.size = size;
        Ok(())
    }

    /// Keeps what is durable of the pages that are about to change; returns those that were clean.
    pub fn change(&mut self, stretch: Range<u64>) -> Result<Pages, Refused> {
        let mut kept = Pages::new();
        if stretch.is_empty() {
            return Ok(kept);
        }
        for page in stretch.start / PAGE..stretch.end.div_ceil(PAGE) {
            if self.unsynced.dirty.contains_key(&page) {
                continue;
            }
            let durable = match self.unsynced.forgotten.remove(&page) {
                Some(durable) => durable,
                None => self.durable(page)?,
            };
            kept.insert(page, durable.clone());
            self.unsynced.dirty.insert(page, durable);
        }
        Ok(kept)
    }

    /// The bytes of a page of which nothing was changed: what is there is durable.
    fn durable(&self, page: u64) -> Result<Vec<u8>, Refused> {
        let start = page * PAGE;
        let end = self.unsynced.durable_size.min(self.size);
        let length = end.saturating_sub(start).min(PAGE);
        let mut durable = vec![0; usize::try_from(length).unwrap_or(0)];
        device(self.file.read_exact_at(&mut durable, start))?;
        Ok(durable)
    }

    /// What a power cut may take back.
    pub fn unsynced(&self) -> &Unsynced {
        &self.unsynced
    }

    pub fn sync(&mut self) {
        self.unsynced.dirty.clear();
        self.unsynced.durable_size = self.size;
    }

    /// The sync failed: the pages count as clean from now on, and are not durable.
    pub fn sync_failed(&mut self) {
        let Unsynced { dirty, forgotten, .. } = &mut self.unsynced;
        forgotten.append(dirty);
    }

    pub fn cut_power(&mut self, dice: &mut ChaCha8Rng, losses: &mut Losses) {
        let Unsynced { durable_size, mut dirty, forgotten: mut pages } =
            std::mem::take(&mut self.unsynced);
        pages.append(&mut dirty);
        self.unsynced.durable_size = durable_size;
        if pages.is_empty() && self.size == durable_size {
            return;
        }
        let size = match dice.random_range(0..3) {
            0 => durable_size,
            1 => self.size,
            _ => dice.random_range(durable_size.min(self.size)..=durable_size.max(self.size)),
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
        self.unsynced.durable_size = size;
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
