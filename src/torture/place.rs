//! Where the server's data lie: on a disk that can lose its power, or, where there is no FUSE, in a folder.

use std::path::{Path, PathBuf};

use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use super::disk::{Disk, Losses, Trouble};
use crate::error::Error;

#[cfg(target_os = "linux")]
use super::mount::{Mounted, SharedDisk, lock};

/// A folder for one round; what is in it goes with it.
pub struct Place {
    #[cfg(target_os = "linux")]
    powered: Option<Powered>,
    scratch: TempDir,
}

#[cfg(target_os = "linux")]
struct Powered {
    disk: SharedDisk,
    // None only while it is mounted anew.
    mounted: Option<Mounted>,
}

/// Whether this machine can mount such a disk: there is FUSE, and we may use it.
pub fn has_power() -> bool {
    let fuse = std::fs::File::options().read(true).write(true).open("/dev/fuse");
    cfg!(target_os = "linux") && fuse.is_ok()
}

impl Place {
    /// Below `folder`; with `power`, on a disk of its own.
    pub fn new(folder: &Path, power: bool, dice: ChaCha8Rng) -> Result<Self, Error> {
        let scratch = tempfile::Builder::new()
            .prefix("ringlake-torture-")
            .tempdir_in(folder)
            .map_err(Error::file("make a folder in", folder))?;
        for name in ["below", "disk"] {
            let path = scratch.path().join(name);
            std::fs::create_dir(&path).map_err(Error::file("make", path))?;
        }
        #[cfg(target_os = "linux")]
        {
            let mut place = Self { powered: None, scratch };
            if power {
                let disk = Disk::new(place.scratch.path().join("below"), dice);
                let disk = SharedDisk::new(disk.into());
                let mounted = Some(place.mount(&disk)?);
                place.powered = Some(Powered { disk, mounted });
            }
            Ok(place)
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (power, dice);
            Ok(Self { scratch })
        }
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.scratch.path().join("disk/data")
    }

    /// The tables in it.
    pub fn tables(&self) -> PathBuf {
        self.data().join("tables")
    }

    /// Where the server's messages go.
    pub fn messages(&self) -> PathBuf {
        self.scratch.path().join("messages")
    }

    /// Copies what is there to `to`, to be looked at.
    pub fn keep(&self, to: &Path) -> std::io::Result<()> {
        copy(&self.scratch.path().join("disk"), to)?;
        std::fs::copy(self.messages(), to.join("messages")).map(|_| ())
    }
}

#[cfg(target_os = "linux")]
impl Drop for Place {
    fn drop(&mut self) {
        let Some(powered) = self.powered.take() else { return };
        drop(powered.mounted);
        // If somebody was still there, it goes as soon as they are not.
        let at = self.scratch.path().join("disk");
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        if mounts.contains(&*at.to_string_lossy()) {
            let _ = std::process::Command::new("umount").arg("-l").arg(&at).status();
        }
    }
}

#[cfg(target_os = "linux")]
impl Place {
    fn mount(&self, disk: &SharedDisk) -> Result<Mounted, Error> {
        let at = self.scratch.path().join("disk");
        Mounted::new(disk, &at).map_err(Error::file("mount a disk at", at))
    }

    /// Unmounts, rolls back to what is durable, mounts again. Nobody may have a file open.
    pub fn cut_power(&mut self) -> Result<(), Error> {
        let Some(mut powered) = self.powered.take() else { return Ok(()) };
        if let Some(mounted) = powered.mounted.take() {
            let at = self.scratch.path().join("disk");
            mounted.unmount().map_err(Error::file("unmount", at))?;
        }
        lock(&powered.disk).cut_power();
        powered.mounted = Some(self.mount(&powered.disk)?);
        self.powered = Some(powered);
        Ok(())
    }

    /// From here on the device behaves like this.
    pub fn trouble(&self, trouble: Trouble) {
        if let Some(powered) = &self.powered {
            lock(&powered.disk).trouble = trouble;
        }
    }

    /// What power cuts took, and how many operations were refused.
    pub fn losses(&self) -> (Losses, u64) {
        self.powered.as_ref().map_or((Losses::default(), 0), |powered| {
            let disk = lock(&powered.disk);
            (disk.losses, disk.refusals)
        })
    }
}

#[cfg(not(target_os = "linux"))]
impl Place {
    pub fn cut_power(&mut self) -> Result<(), Error> {
        Ok(())
    }

    pub fn trouble(&self, _: Trouble) {}

    pub fn losses(&self) -> (Losses, u64) {
        (Losses::default(), 0)
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => _ = std::fs::copy(entry.path(), target)?,
        }
    }
    Ok(())
}
