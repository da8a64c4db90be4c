//! [`Disk`] as a file system of this machine, through FUSE.
//!
//! A mount is one uptime of the machine: what the kernel has in its caches goes with it, so a power cut
//! is unmount, [`Disk::cut_power`], mount. Every call takes the whole disk's lock for as long as it works;
//! a slow sync sleeps without it. It must never let a write reach the kernel's write-back cache: the disk
//! could not lose what it does not see.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    AccessFlags, BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType,
    Filesystem, FopenFlags, Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags,
    ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use super::disk::{Disk, Entry, Ino, Refused};

/// Nobody but the kernel changes anything, so it may remember names and sizes.
const REMEMBER: Duration = Duration::from_secs(60);
const BLOCK: u32 = 4096;

pub type SharedDisk = Arc<Mutex<Disk>>;

/// Locks the disk; after a panic elsewhere it is as good as it was.
pub fn lock(disk: &SharedDisk) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A disk in its place. Dropping it unmounts.
pub struct Mounted {
    session: Option<BackgroundSession>,
}

impl Mounted {
    pub fn new(disk: &SharedDisk, place: &Path) -> std::io::Result<Self> {
        let view = View {
            disk: disk.clone(),
            listings: Mutex::default(),
            owner: std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(place)?),
        };
        let mut config = Config::default();
        config.mount_options =
            vec![MountOption::FSName("ringlake-torture".to_owned()), MountOption::NoAtime];
        config.n_threads = Some(4);
        let session = fuser::spawn_mount(view, place, &config)?;
        Ok(Self { session: Some(session) })
    }

    /// Takes the disk away, and says if somebody still has a file of it open.
    pub fn unmount(mut self) -> std::io::Result<()> {
        match self.session.take() {
            Some(session) => session.umount_and_join(),
            None => Ok(()),
        }
    }
}

struct View {
    disk: SharedDisk,
    /// What a folder held when it was opened: a listing that goes on must not skip what was renamed.
    listings: Mutex<HashMap<u64, Vec<Entry>>>,
    owner: u32,
}

impl From<Refused> for Errno {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotFound => Self::ENOENT,
            Refused::Exists => Self::EEXIST,
            Refused::NotEmpty => Self::ENOTEMPTY,
            Refused::NotAFolder => Self::ENOTDIR,
            Refused::IsAFolder => Self::EISDIR,
            Refused::Full => Self::ENOSPC,
            Refused::Device => Self::EIO,
        }
    }
}

impl View {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.disk)
    }

    fn attributes(&self, disk: &Disk, ino: Ino) -> Result<FileAttr, Refused> {
        let node = disk.node(ino)?;
        let kind = if node.is_folder() { FileType::Directory } else { FileType::RegularFile };
        Ok(FileAttr {
            ino: INodeNo(ino),
            size: node.size(),
            blocks: node.size().div_ceil(512),
            atime: node.changed,
            mtime: node.changed,
            ctime: node.changed,
            crtime: node.changed,
            kind,
            perm: node.mode,
            nlink: node.links.max(u32::from(node.is_folder())),
            uid: self.owner,
            gid: self.owner,
            rdev: 0,
            blksize: BLOCK,
            flags: 0,
        })
    }

    fn entry(&self, outcome: impl FnOnce(&mut Disk) -> Result<Ino, Refused>, reply: ReplyEntry) {
        let mut disk = self.disk();
        match outcome(&mut disk).and_then(|ino| self.attributes(&disk, ino)) {
            Ok(found) => reply.entry(&REMEMBER, &found, Generation(0)),
            Err(refused) => reply.error(refused.into()),
        }
    }

    fn empty(&self, outcome: impl FnOnce(&mut Disk) -> Result<(), Refused>, reply: ReplyEmpty) {
        match outcome(&mut self.disk()) {
            Ok(()) => reply.ok(),
            Err(refused) => reply.error(refused.into()),
        }
    }

    fn sync(&self, outcome: impl FnOnce(&mut Disk) -> Result<(), Refused>, reply: ReplyEmpty) {
        let delay = self.disk().delay();
        if delay > 0 {
            std::thread::sleep(Duration::from_millis(u64::from(delay)));
        }
        self.empty(outcome, reply);
    }
}

fn mode(mode: u32, umask: u32) -> u16 {
    u16::try_from(mode & !umask & 0o7777).unwrap_or(0o600)
}

impl Filesystem for View {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.entry(|disk| disk.lookup(parent.0, name), reply);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(&self.disk(), ino.0) {
            Ok(found) => reply.attr(&REMEMBER, &found),
            Err(refused) => reply.error(refused.into()),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        wanted: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut disk = self.disk();
        let outcome = wanted
            .map_or(Ok(()), |wanted| disk.set_mode(ino.0, mode(wanted, 0)))
            .and_then(|()| size.map_or(Ok(()), |size| disk.set_size(ino.0, size)))
            .and_then(|()| self.attributes(&disk, ino.0));
        match outcome {
            Ok(found) => reply.attr(&REMEMBER, &found),
            Err(refused) => reply.error(refused.into()),
        }
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        wanted: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        self.entry(|disk| disk.make(parent.0, name, true, mode(wanted, umask)), reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.empty(|disk| disk.remove(parent.0, name), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.empty(|disk| disk.remove(parent.0, name), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        to: INodeNo,
        new: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !flags.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        self.empty(|disk| disk.rename((parent.0, name), (to.0, new)), reply);
    }

    fn link(&self, _: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.entry(|disk| disk.link(ino.0, parent.0, name).map(|()| ino.0), reply);
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let mut disk = self.disk();
        match disk.node(ino.0).map(|_| ()) {
            Ok(()) => {
                disk.opened(ino.0);
                reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
            }
            Err(refused) => reply.error(refused.into()),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        wanted: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let mut disk = self.disk();
        let made = disk.make(parent.0, name, false, mode(wanted, umask));
        match made.and_then(|ino| Ok((ino, self.attributes(&disk, ino)?))) {
            Ok((ino, found)) => {
                disk.opened(ino);
                let flags = FopenFlags::FOPEN_KEEP_CACHE;
                reply.created(&REMEMBER, &found, Generation(0), FileHandle(0), flags);
            }
            Err(refused) => reply.error(refused.into()),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.disk().read(ino.0, offset, size as usize) {
            Ok(bytes) => reply.data(&bytes),
            Err(refused) => reply.error(refused.into()),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.disk().write(ino.0, offset, data) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(refused) => reply.error(refused.into()),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.disk().closed(ino.0);
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync(|disk| disk.sync(ino.0), reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync(|disk| disk.sync_folder(ino.0), reply);
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.disk().list(ino.0) {
            Ok(entries) => {
                let mut listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
                let handle = listings.keys().max().map_or(1, |last| last + 1);
                listings.insert(handle, entries);
                reply.opened(FileHandle(handle), FopenFlags::empty());
            }
            Err(refused) => reply.error(refused.into()),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = listings.get(&handle.0).map_or(&[][..], Vec::as_slice);
        let seen = usize::try_from(offset).unwrap_or(usize::MAX);
        for (at, entry) in entries.iter().enumerate().skip(seen) {
            let kind = if entry.is_folder { FileType::Directory } else { FileType::RegularFile };
            if reply.add(INodeNo(entry.ino), at as u64 + 1, kind, &entry.name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.listings.lock().unwrap_or_else(PoisonError::into_inner).remove(&handle.0);
        reply.ok();
    }

    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        reply.ok();
    }

    // Refused so, the kernel does not ask again.
    fn getxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let blocks = 1 << 28;
        reply.statfs(blocks, blocks, blocks, 1 << 20, 1 << 20, BLOCK, 255, BLOCK);
    }
}
