//! The power cut where no file system can be mounted: modelled by what the log and the store tell.
//!
//! ```text
//! server: log, store ─▶ Recorder ─ names (lines), pages (Journal) ─▶ folder ─▶ Modelled: torture
//!                          ▲ refuses                                   trouble ◀─┘ cut: takes back
//! ```
//!
//! The server writes and syncs its files as ever. Its [`Recorder`] notes beside them what is not synced;
//! at a cut, when all are dead, [`Modelled`] takes back of that what chance will, by the same rules as the
//! [disk](super::disk). Only names that came may go: what was removed or replaced does not come back, and
//! what neither the log nor the tables wrote stays. Notes and files must change in an order in which a
//! kill in between leaves what some disk might have left.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use ringlake_transform::witness::Witness;

use super::disk::{Content, Journal, Losses, Refused, Trouble, load};
use super::load::lock;

/// The notes on names and new files, one a line.
const NAMES: &str = "names";
/// What ails the device; absent while nothing does.
const TROUBLE: &str = "trouble";
/// One byte for each step that was refused.
const REFUSED: &str = "refused";

/// In the server: notes what is not durable, and refuses what the trouble is about.
pub struct Recorder {
    folder: PathBuf,
    names: Mutex<File>,
    refused: Mutex<File>,
    /// The files that change in place: that of the log.
    pages: Mutex<HashMap<PathBuf, (Journal, Content)>>,
    steps: AtomicU64,
}

impl Recorder {
    /// `folder` is the one that torture has made for it.
    pub fn new(folder: PathBuf) -> io::Result<Self> {
        let open = |name| File::options().append(true).create(true).open(folder.join(name));
        let (names, refused) = (open(NAMES)?.into(), open(REFUSED)?.into());
        Ok(Self { folder, names, refused, pages: Mutex::default(), steps: AtomicU64::new(0) })
    }

    fn note(&self, line: std::fmt::Arguments<'_>) -> io::Result<()> {
        // In one write, so that no other process gets in between and no kill parts it.
        lock(&self.names).write_all(format!("{line}\n").as_bytes())
    }

    fn trouble(&self) -> Trouble {
        let told = std::fs::read_to_string(self.folder.join(TROUBLE)).unwrap_or_default();
        parse(&told).unwrap_or_default()
    }

    /// One in so many is refused.
    fn strike(&self, one_in: u32, kind: ErrorKind) -> io::Result<()> {
        let step = self.steps.fetch_add(1, Ordering::Relaxed);
        if !step.is_multiple_of(u64::from(one_in.max(1))) {
            return Ok(());
        }
        lock(&self.refused).write_all(b".")?;
        Err(io::Error::new(kind, "this disk is tortured"))
    }

    fn takes_space(&self) -> io::Result<()> {
        match self.trouble() {
            Trouble::Full => self.strike(1, ErrorKind::StorageFull),
            _ => Ok(()),
        }
    }

    fn takes_write(&self) -> io::Result<()> {
        match self.trouble() {
            Trouble::Full => self.strike(1, ErrorKind::StorageFull),
            Trouble::Writes(one_in) => self.strike(one_in, ErrorKind::Other),
            _ => Ok(()),
        }
    }

    fn takes_sync(&self) -> io::Result<()> {
        match self.trouble() {
            Trouble::Syncs(one_in) => self.strike(one_in, ErrorKind::Other),
            Trouble::Slow(millis) => {
                std::thread::sleep(Duration::from_millis(u64::from(millis)));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn journal(&self, file: &Path) -> PathBuf {
        journal(&self.folder, file)
    }
}

fn journal(folder: &Path, file: &Path) -> PathBuf {
    folder.join(file.file_name().unwrap_or_default()).with_extension("pages")
}

fn failed(refused: Refused) -> io::Error {
    io::Error::other(format!("the disk below: {refused:?}"))
}

impl Witness for Recorder {
    fn creates(&self, file: &Path) -> io::Result<()> {
        self.takes_write()?;
        self.note(format_args!("new\t{}", file.display()))
    }

    fn changes(&self, file: &Path, stretch: Range<u64>) -> io::Result<()> {
        self.takes_write()?;
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if !pages.contains_key(file) {
            self.note(format_args!("pages\t{}", file.display()))?;
            pages.insert(file.to_owned(), Journal::open(&self.journal(file), file)?);
        }
        let Some((journal, content)) = pages.get_mut(file) else { return Ok(()) };
        content.look()?;
        let kept = content.change(stretch).map_err(failed)?;
        journal.keep(&kept)
    }

    fn synced(&self, file: &Path) -> io::Result<()> {
        let taken = self.takes_sync();
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((journal, content)) = pages.get_mut(file) else {
            return taken.and_then(|()| self.note(format_args!("synced\t{}", file.display())));
        };
        if let Err(refused) = taken {
            content.sync_failed();
            journal.failed()?;
            return Err(refused);
        }
        content.look()?;
        content.sync();
        journal.synced(content)
    }

    fn names(&self, file: &Path, name: &Path) -> io::Result<()> {
        self.takes_space()?;
        if file != name && name.exists() {
            // Taken, or replaced by something newer: it will be there either way.
            return Ok(());
        }
        // Whoever finds the name taken must not have it taken back from another: the number tells.
        let number = std::fs::metadata(file)?.ino();
        self.note(format_args!("name\t{}\t{number}\t{}", name.display(), file.display()))
    }

    fn folder_synced(&self, folder: &Path) -> io::Result<()> {
        self.takes_sync()?;
        self.note(format_args!("folder\t{}", folder.display()))
    }
}

fn text(trouble: Trouble) -> Option<String> {
    match trouble {
        Trouble::None => None,
        Trouble::Full => Some("full 0".to_owned()),
        Trouble::Writes(one_in) => Some(format!("writes {one_in}")),
        Trouble::Syncs(one_in) => Some(format!("syncs {one_in}")),
        Trouble::Slow(millis) => Some(format!("slow {millis}")),
    }
}

fn parse(text: &str) -> Option<Trouble> {
    let (kind, number) = text.split_once(' ')?;
    let number = number.parse().ok()?;
    match kind {
        "full" => Some(Trouble::Full),
        "writes" => Some(Trouble::Writes(number)),
        "syncs" => Some(Trouble::Syncs(number)),
        "slow" => Some(Trouble::Slow(number)),
        _ => None,
    }
}

/// On the side of torture: cuts the power.
pub struct Modelled {
    folder: PathBuf,
    dice: ChaCha8Rng,
    losses: Losses,
}

/// What the lines say is not durable.
#[derive(Default)]
struct Notes {
    files: BTreeSet<PathBuf>,
    /// New names by folder, in their order, with the number of what they name.
    names: BTreeMap<PathBuf, Vec<(PathBuf, u64)>>,
    paged: BTreeSet<PathBuf>,
}

impl Notes {
    fn read(folder: &Path) -> Self {
        let text = std::fs::read_to_string(folder.join(NAMES)).unwrap_or_default();
        let mut notes = Self::default();
        for line in text.lines() {
            match *line.split('\t').collect::<Vec<_>>().as_slice() {
                ["new", file] => _ = notes.files.insert(file.into()),
                ["synced", file] => _ = notes.files.remove(Path::new(file)),
                ["name", name, number, file] => notes.name(name.into(), number, Path::new(file)),
                ["folder", folder] => _ = notes.names.remove(Path::new(folder)),
                ["pages", file] => _ = notes.paged.insert(file.into()),
                _ => {}
            }
        }
        notes
    }

    fn name(&mut self, name: PathBuf, number: &str, file: &Path) {
        if self.files.contains(file) {
            self.files.insert(name.clone());
        }
        if let (Some(folder), Ok(number)) = (name.parent(), number.parse()) {
            self.names.entry(folder.to_owned()).or_default().push((name, number));
        }
    }
}

impl Modelled {
    /// `folder` is for the notes alone.
    pub fn new(folder: PathBuf, dice: ChaCha8Rng) -> Self {
        Self { folder, dice, losses: Losses::default() }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes back what was not synced, as chance has it. Nobody may have a file open.
    pub fn cut_power(&mut self) -> io::Result<()> {
        let notes = Notes::read(&self.folder);
        for changes in notes.names.into_values() {
            let kept = self.dice.random_range(0..=changes.len());
            for (name, number) in changes.into_iter().skip(kept).rev() {
                self.losses.names += u64::from(take_back(&name, number)?);
            }
        }
        for file in notes.files.iter().filter(|file| file.exists()) {
            let mut content = Content::new_of_others(file)?;
            content.cut_power(&mut self.dice, &mut self.losses);
        }
        for file in &notes.paged {
            let pages = journal(&self.folder, file);
            if file.exists() && pages.exists() {
                let mut content = Content::of_others(file, load(&pages)?)?;
                content.cut_power(&mut self.dice, &mut self.losses);
            }
            let _ = std::fs::remove_file(&pages);
        }
        File::options().write(true).create(true).truncate(true).open(self.folder.join(NAMES))?;
        Ok(())
    }

    /// From here on the device behaves like this.
    pub fn trouble(&self, trouble: Trouble) -> io::Result<()> {
        let (now, new) = (self.folder.join(TROUBLE), self.folder.join("trouble.new"));
        match text(trouble) {
            Some(text) => std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &now)),
            None if now.exists() => std::fs::remove_file(&now),
            None => Ok(()),
        }
    }

    /// What power cuts took, and how many steps were refused.
    pub fn losses(&self) -> (Losses, u64) {
        let refused = std::fs::metadata(self.folder.join(REFUSED));
        (self.losses, refused.map_or(0, |refused| refused.len()))
    }
}

/// Removes a name, if it is still the one that was noted.
fn take_back(name: &Path, number: u64) -> io::Result<bool> {
    match std::fs::symlink_metadata(name) {
        Ok(found) if found.ino() != number => return Ok(false),
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(name)?,
        Ok(_) => std::fs::remove_file(name)?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
