//! A disk that can lose its power: files and folders, and of each what is durable.
//!
//! What programs see is what they wrote. Beside it the disk knows, for each file, which pages were
//! changed since its last sync and what they were before, and for each folder which entries were changed
//! since the last sync of that folder. [`Disk::cut_power`] rolls back to a state that these syncs allow:
//!
//! | not synced | may be, after the cut |
//! | --- | --- |
//! | a page of a file | as before, as now, or torn: some sectors of each |
//! | a file's length | as before, as now, or between |
//! | a folder's entries | the first few of the changes, in their order; a rename within it is one change |
//!
//! A sync that was made to fail leaves its pages clean in the eyes of later syncs, yet not durable, as
//! Linux does. Contents lie in one plain file an inode, so that size is bounded by the disk below. It
//! never syncs that one: the power that goes here is make-believe.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::SystemTime;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

mod content;
mod folder;
mod journal;
#[cfg(test)]
mod tests;

pub use content::Content;
pub use folder::{Entry, Folder};
pub use journal::{Journal, load};

pub type Ino = u64;

/// The root folder.
pub const ROOT: Ino = 1;
/// Names that were removed before unreachable contents are looked for.
const REMOVED: u32 = 512;

/// Why an operation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    NotFound,
    Exists,
    NotEmpty,
    NotAFolder,
    IsAFolder,
    /// No space left: injected.
    Full,
    /// An error of the device: injected, or one of the disk below.
    Device,
}

/// What goes wrong with the device for the time being.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trouble {
    #[default]
    None,
    /// Everything that needs space is refused.
    Full,
    /// Writes fail, one in so many.
    Writes(u32),
    /// Syncs fail, one in so many.
    Syncs(u32),
    /// Each sync takes so many milliseconds more.
    Slow(u32),
}

/// What power cuts took away so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Losses {
    pub pages: u64,
    pub torn: u64,
    pub names: u64,
}

/// A file or a folder.
pub struct Node {
    pub kind: Kind,
    pub mode: u16,
    pub changed: SystemTime,
    /// How many names it has.
    pub links: u32,
    open: u32,
}

pub enum Kind {
    File(Content),
    Folder(Folder),
}

pub struct Disk {
    below: PathBuf,
    nodes: HashMap<Ino, Node>,
    next: Ino,
    removed: u32,
    dice: ChaCha8Rng,
    pub trouble: Trouble,
    pub losses: Losses,
    /// Operations that trouble refused.
    pub refusals: u64,
}

type Answer<T> = Result<T, Refused>;

impl Disk {
    /// An empty disk whose contents lie in the folder `below`.
    pub fn new(below: PathBuf, dice: ChaCha8Rng) -> Self {
        let root = Node::new(Kind::Folder(Folder::default()), 0o755);
        Self {
            below,
            nodes: HashMap::from([(ROOT, root)]),
            next: ROOT + 1,
            removed: 0,
            dice,
            trouble: Trouble::None,
            losses: Losses::default(),
            refusals: 0,
        }
    }

    pub fn node(&self, ino: Ino) -> Answer<&Node> {
        self.nodes.get(&ino).ok_or(Refused::NotFound)
    }

    pub fn folder(&self, ino: Ino) -> Answer<&Folder> {
        match &self.node(ino)?.kind {
            Kind::Folder(folder) => Ok(folder),
            Kind::File(_) => Err(Refused::NotAFolder),
        }
    }

    fn folder_mut(&mut self, ino: Ino) -> Answer<&mut Folder> {
        let node = self.nodes.get_mut(&ino).ok_or(Refused::NotFound)?;
        node.changed = SystemTime::now();
        match &mut node.kind {
            Kind::Folder(folder) => Ok(folder),
            Kind::File(_) => Err(Refused::NotAFolder),
        }
    }

    fn content(&mut self, ino: Ino) -> Answer<&mut Content> {
        let node = self.nodes.get_mut(&ino).ok_or(Refused::NotFound)?;
        match &mut node.kind {
            Kind::File(content) => Ok(content),
            Kind::Folder(_) => Err(Refused::IsAFolder),
        }
    }

    pub fn lookup(&self, parent: Ino, name: &OsStr) -> Answer<Ino> {
        self.folder(parent)?.get(name).ok_or(Refused::NotFound)
    }

    /// Makes a file or a folder.
    pub fn make(&mut self, parent: Ino, name: &OsStr, is_folder: bool, mode: u16) -> Answer<Ino> {
        self.needs_space()?;
        if self.folder(parent)?.get(name).is_some() {
            return Err(Refused::Exists);
        }
        let ino = self.next;
        let kind = match is_folder {
            true => Kind::Folder(Folder::default()),
            false => Kind::File(Content::create(&self.below.join(ino.to_string()))?),
        };
        self.next += 1;
        self.nodes.insert(ino, Node::new(kind, mode));
        self.folder_mut(parent)?.set(name, ino);
        Ok(ino)
    }

    pub fn link(&mut self, ino: Ino, parent: Ino, name: &OsStr) -> Answer<()> {
        self.needs_space()?;
        if self.folder(parent)?.get(name).is_some() {
            return Err(Refused::Exists);
        }
        self.folder_mut(parent)?.set(name, ino);
        self.count(ino, true);
        Ok(())
    }

    /// Removes a file's name, or an empty folder.
    pub fn remove(&mut self, parent: Ino, name: &OsStr) -> Answer<()> {
        let ino = self.lookup(parent, name)?;
        if self.folder(ino).is_ok_and(|folder| !folder.is_empty()) {
            return Err(Refused::NotEmpty);
        }
        self.folder_mut(parent)?.remove(name);
        self.count(ino, false);
        self.removed += 1;
        if self.removed >= REMOVED {
            self.collect();
        }
        Ok(())
    }

    /// Renames, over what has the new name. Into another folder it is two changes that a power cut may
    /// part: whoever does that has to link, sync and unlink.
    pub fn rename(&mut self, from: (Ino, &OsStr), to: (Ino, &OsStr)) -> Answer<()> {
        let ino = self.lookup(from.0, from.1)?;
        if let Some(old) = self.folder(to.0)?.get(to.1)
            && self.folder(old).is_ok_and(|folder| !folder.is_empty())
        {
            return Err(Refused::NotEmpty);
        }
        if let Some(old) = self.folder(to.0)?.get(to.1) {
            self.count(old, false);
        }
        if from.0 == to.0 {
            self.folder_mut(from.0)?.rename(from.1, to.1, ino);
        } else {
            self.folder_mut(to.0)?.set(to.1, ino);
            self.folder_mut(from.0)?.remove(from.1);
        }
        self.removed += 1;
        Ok(())
    }

    pub fn read(&mut self, ino: Ino, offset: u64, size: usize) -> Answer<Vec<u8>> {
        self.content(ino)?.read(offset, size)
    }

    pub fn write(&mut self, ino: Ino, offset: u64, data: &[u8]) -> Answer<()> {
        self.needs_space()?;
        if let Trouble::Writes(one_in) = self.trouble {
            self.strike(one_in, Refused::Device)?;
        }
        self.content(ino)?.write(offset, data)?;
        self.touch(ino);
        Ok(())
    }

    pub fn set_size(&mut self, ino: Ino, size: u64) -> Answer<()> {
        if size > self.content(ino)?.size() {
            self.needs_space()?;
        }
        self.content(ino)?.set_size(size)?;
        self.touch(ino);
        Ok(())
    }

    pub fn set_mode(&mut self, ino: Ino, mode: u16) -> Answer<()> {
        self.nodes.get_mut(&ino).ok_or(Refused::NotFound)?.mode = mode;
        Ok(())
    }

    /// Makes a file's content durable, not its name.
    pub fn sync(&mut self, ino: Ino) -> Answer<()> {
        if let Err(refused) = self.strikes_sync() {
            self.content(ino)?.sync_failed();
            return Err(refused);
        }
        self.content(ino)?.sync();
        Ok(())
    }

    /// Makes a folder's entries durable, not the contents they name.
    pub fn sync_folder(&mut self, ino: Ino) -> Answer<()> {
        self.strikes_sync()?;
        self.folder_mut(ino)?.sync();
        Ok(())
    }

    /// Milliseconds that a sync takes now beyond its work.
    pub fn delay(&self) -> u32 {
        if let Trouble::Slow(millis) = self.trouble { millis } else { 0 }
    }

    pub fn opened(&mut self, ino: Ino) {
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.open += 1;
        }
    }

    pub fn closed(&mut self, ino: Ino) {
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.open = node.open.saturating_sub(1);
        }
    }

    /// The power goes: nobody has anything open any more, and what was not synced is as chance has it.
    pub fn cut_power(&mut self) {
        let mut inos: Vec<Ino> = self.nodes.keys().copied().collect();
        inos.sort_unstable();
        for ino in inos {
            let Some(node) = self.nodes.get_mut(&ino) else { continue };
            node.open = 0;
            match &mut node.kind {
                Kind::File(content) => content.cut_power(&mut self.dice, &mut self.losses),
                Kind::Folder(folder) => self.losses.names += folder.cut_power(&mut self.dice),
            }
        }
        self.collect();
        self.count_links();
    }

    /// The entries of a folder, in the order of their names.
    pub fn list(&self, ino: Ino) -> Answer<Vec<Entry>> {
        let entries = self.folder(ino)?.entries().map(|(name, ino)| Entry {
            ino,
            name: name.to_owned(),
            is_folder: self.folder(ino).is_ok(),
        });
        Ok(entries.collect())
    }

    fn count(&mut self, ino: Ino, more: bool) {
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.links = if more { node.links + 1 } else { node.links.saturating_sub(1) };
        }
    }

    /// Counts all names anew.
    fn count_links(&mut self) {
        let mut links: HashMap<Ino, u32> = HashMap::new();
        for node in self.nodes.values() {
            if let Kind::Folder(folder) = &node.kind {
                folder.entries().for_each(|(_, ino)| *links.entry(ino).or_default() += 1);
            }
        }
        for (ino, node) in &mut self.nodes {
            node.links = links.get(ino).copied().unwrap_or(0);
        }
    }

    fn touch(&mut self, ino: Ino) {
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.changed = SystemTime::now();
        }
    }

    fn needs_space(&mut self) -> Answer<()> {
        match self.trouble {
            Trouble::Full => self.strike(1, Refused::Full),
            _ => Ok(()),
        }
    }

    fn strikes_sync(&mut self) -> Answer<()> {
        match self.trouble {
            Trouble::Syncs(one_in) => self.strike(one_in, Refused::Device),
            _ => Ok(()),
        }
    }

    fn strike(&mut self, one_in: u32, refused: Refused) -> Answer<()> {
        if self.dice.random_range(0..one_in.max(1)) > 0 {
            return Ok(());
        }
        self.refusals += 1;
        Err(refused)
    }

    /// Forgets what no name leads to, neither now nor after a power cut, and nobody has open.
    fn collect(&mut self) {
        self.removed = 0;
        let mut reached = HashSet::from([ROOT]);
        let mut waiting = vec![ROOT];
        while let Some(ino) = waiting.pop() {
            let Ok(folder) = self.folder(ino) else { continue };
            let news: Vec<Ino> = folder.all().filter(|ino| !reached.contains(ino)).collect();
            for ino in news {
                if reached.insert(ino) {
                    waiting.push(ino);
                }
            }
        }
        let below = &self.below;
        self.nodes.retain(|ino, node| {
            let stays = reached.contains(ino) || node.open > 0;
            if !stays {
                let _ = std::fs::remove_file(below.join(ino.to_string()));
            }
            stays
        });
    }
}

impl Node {
    fn new(kind: Kind, mode: u16) -> Self {
        Self { kind, mode, changed: SystemTime::now(), links: 1, open: 0 }
    }

    pub fn size(&self) -> u64 {
        match &self.kind {
            Kind::File(content) => content.size(),
            Kind::Folder(_) => 0,
        }
    }

    pub fn is_folder(&self) -> bool {
        matches!(self.kind, Kind::Folder(_))
    }
}
