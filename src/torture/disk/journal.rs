//! What a power cut may take back of a file, in a file of its own: it outlives the process that writes.
//!
//! Before a page is changed, what is durable of it is put here; a sync empties it. A record is
//! `kind u8 | number u64 | length u16 | bytes`, little-endian; one that a kill has cut short is of a write
//! that never began, and is left out.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::content::{Content, Pages, Unsynced};

/// How long the file is for certain.
const SIZE: u8 = 0;
/// The durable bytes of a page.
const PAGE: u8 = 1;
/// The sync of all pages before this failed.
const FAILED: u8 = 2;

pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens it, or makes it for a file all of which is durable; returns that file with what was kept.
    pub fn open(path: &Path, of: &Path) -> std::io::Result<(Self, Content)> {
        let is_new = !path.exists();
        let content = Content::of_others(of, if is_new { all(of)? } else { load(path)? })?;
        let file = File::options().append(true).create(true).open(path)?;
        let mut journal = Self { path: path.to_owned(), file };
        if is_new {
            journal.synced(&content)?;
        }
        Ok((journal, content))
    }

    /// These pages are about to change.
    pub fn keep(&mut self, pages: &Pages) -> std::io::Result<()> {
        let mut records = Vec::new();
        pages.iter().for_each(|(page, bytes)| put(&mut records, PAGE, *page, bytes));
        self.file.write_all(&records)
    }

    /// What is not durable is durable now, but for what an earlier sync has left out. A kill in here may
    /// save that, as chance might have.
    pub fn synced(&mut self, content: &Content) -> std::io::Result<()> {
        let Unsynced { durable_size, forgotten, .. } = content.unsynced();
        let mut records = Vec::new();
        put(&mut records, SIZE, *durable_size, &[]);
        if !forgotten.is_empty() {
            forgotten.iter().for_each(|(page, bytes)| put(&mut records, PAGE, *page, bytes));
            put(&mut records, FAILED, 0, &[]);
        }
        // Another file in its place: were this one emptied first, a kill in between would lose its size.
        let new = self.path.with_extension("new");
        std::fs::write(&new, &records)?;
        std::fs::rename(&new, &self.path)?;
        self.file = File::options().append(true).open(&self.path)?;
        Ok(())
    }

    /// The sync failed.
    pub fn failed(&mut self) -> std::io::Result<()> {
        let mut record = Vec::new();
        put(&mut record, FAILED, 0, &[]);
        self.file.write_all(&record)
    }
}

/// Nothing of the file is unsynced.
fn all(of: &Path) -> std::io::Result<Unsynced> {
    Ok(Unsynced { durable_size: std::fs::metadata(of)?.len(), ..Unsynced::default() })
}

fn put(records: &mut Vec<u8>, kind: u8, number: u64, bytes: &[u8]) {
    records.push(kind);
    records.extend_from_slice(&number.to_le_bytes());
    records.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(0).to_le_bytes());
    records.extend_from_slice(bytes);
}

/// What was kept.
pub fn load(path: &Path) -> std::io::Result<Unsynced> {
    let records = std::fs::read(path)?;
    let (mut left, mut kept) = (records.as_slice(), Unsynced::default());
    while let Ok((kind, number, bytes)) = next(&mut left) {
        match kind {
            SIZE => kept.durable_size = number,
            FAILED => kept.forgotten.append(&mut kept.dirty),
            _ => {
                // One whose sync failed and that is written again is what it was, as far as it is durable.
                kept.forgotten.remove(&number);
                kept.dirty.insert(number, bytes);
            }
        }
    }
    Ok(kept)
}

fn next(left: &mut &[u8]) -> std::io::Result<(u8, u64, Vec<u8>)> {
    let (mut kind, mut number, mut length) = ([0; 1], [0; 8], [0; 2]);
    left.read_exact(&mut kind)?;
    left.read_exact(&mut number)?;
    left.read_exact(&mut length)?;
    let mut bytes = vec![0; usize::from(u16::from_le_bytes(length))];
    left.read_exact(&mut bytes)?;
    Ok((u8::from_le_bytes(kind), u64::from_le_bytes(number), bytes))
}
