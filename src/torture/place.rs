//! Where the server's data lie: in a folder whose disk can lose its power, in one of two ways, or cannot.

use std::path::{Path, PathBuf};

use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

#[cfg(target_os = "linux")]
use super::disk::Disk;
use super::disk::{Losses, Trouble};
use super::modelled::Modelled;
#[cfg(target_os = "linux")]
use super::mount::{Mounted, SharedDisk, lock};
use crate::error::Error;
use crate::faults::WITNESS;

/// How the power is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Power {
    /// A FUSE file system forgets and tears what was not synced (Linux, /dev/fuse)
    Fuse,
    /// The log and the tables tell what they sync, and the rest is taken back
    Modelled,
    /// Never
    Off,
}

impl Power {
    /// The best that this machine allows: there may be no FUSE, or not for us.
    pub fn here() -> Self {
        let fuse = std::fs::File::options().read(true).write(true).open("/dev/fuse");
        match cfg!(target_os = "linux") && fuse.is_ok() {
            true => Self::Fuse,
            false => Self::Modelled,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fuse => "fuse",
            Self::Modelled => "modelled",
            Self::Off => "off",
        }
    }
}

/// A folder for one round; what is in it goes with it.
pub struct Place {
    powered: Powered,
    scratch: TempDir,
}

enum Powered {
    #[cfg(target_os = "linux")]
    Fuse {
        disk: SharedDisk,
        // None only while it is mounted anew.
        mounted: Option<Mounted>,
    },
    Modelled(Box<Modelled>),
    Off,
}

impl Place {
    /// Below `folder`.
    pub fn new(folder: &Path, power: Power, dice: ChaCha8Rng) -> Result<Self, Error> {
        let scratch = tempfile::Builder::new()
            .prefix("ringlake-torture-")
            .tempdir_in(folder)
            .map_err(Error::file("make a folder in", folder))?;
        for name in ["below", "disk"] {
            let path = scratch.path().join(name);
            std::fs::create_dir(&path).map_err(Error::file("make", path))?;
        }
        let below = scratch.path().join("below");
        let powered = match power {
            #[cfg(target_os = "linux")]
            Power::Fuse => {
                let disk = SharedDisk::new(Disk::new(below, dice).into());
                let mounted = Some(mount(&disk, &scratch.path().join("disk"))?);
                Powered::Fuse { disk, mounted }
            }
            #[cfg(not(target_os = "linux"))]
            Power::Fuse => {
                return Err(Error::failed("there is no FUSE here", "try --power modelled"));
            }
            Power::Modelled => Powered::Modelled(Modelled::new(below, dice).into()),
            Power::Off => Powered::Off,
        };
        Ok(Self { powered, scratch })
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.disk().join("data")
    }

    /// The tables in it.
    pub fn tables(&self) -> PathBuf {
        self.data().join("tables")
    }

    fn disk(&self) -> PathBuf {
        self.scratch.path().join("disk")
    }

    /// Where the server's messages go.
    pub fn messages(&self) -> PathBuf {
        self.scratch.path().join("messages")
    }

    /// What tells a server that it is to tell what it syncs.
    pub fn variables(&self) -> Vec<(String, String)> {
        match &self.powered {
            Powered::Modelled(modelled) => {
                vec![(WITNESS.to_owned(), modelled.folder().display().to_string())]
            }
            _ => Vec::new(),
        }
    }

    /// Copies what is there to `to`, to be looked at.
    pub fn keep(&self, to: &Path) -> std::io::Result<()> {
        copy(&self.disk(), to)?;
        std::fs::copy(self.messages(), to.join("messages")).map(|_| ())
    }

    /// Takes back what was not synced. Nobody may have a file open.
    pub fn cut_power(&mut self) -> Result<(), Error> {
        let at = self.disk();
        match &mut self.powered {
            #[cfg(target_os = "linux")]
            Powered::Fuse { disk, mounted } => {
                if let Some(mounted) = mounted.take() {
                    mounted.unmount().map_err(Error::file("unmount", &at))?;
                }
                lock(disk).cut_power();
                *mounted = Some(mount(disk, &at)?);
                Ok(())
            }
            Powered::Modelled(modelled) => {
                modelled.cut_power().map_err(Error::file("cut the power of", at))
            }
            Powered::Off => Ok(()),
        }
    }

    /// From here on the device behaves like this.
    pub fn trouble(&self, trouble: Trouble) -> Result<(), Error> {
        match &self.powered {
            #[cfg(target_os = "linux")]
            Powered::Fuse { disk, .. } => lock(disk).trouble = trouble,
            Powered::Modelled(modelled) => {
                modelled.trouble(trouble).map_err(Error::file("write in", modelled.folder()))?;
            }
            Powered::Off => {}
        }
        Ok(())
    }

    /// What power cuts took, and how many operations were refused.
    pub fn losses(&self) -> (Losses, u64) {
        match &self.powered {
            #[cfg(target_os = "linux")]
            Powered::Fuse { disk, .. } => {
                let disk = lock(disk);
                (disk.losses, disk.refusals)
            }
            Powered::Modelled(modelled) => modelled.losses(),
            Powered::Off => (Losses::default(), 0),
        }
    }
}

#[cfg(target_os = "linux")]
fn mount(disk: &SharedDisk, at: &Path) -> Result<Mounted, Error> {
    Mounted::new(disk, at).map_err(Error::file("mount a disk at", at))
}

#[cfg(target_os = "linux")]
impl Drop for Place {
    fn drop(&mut self) {
        let at = self.disk();
        let Powered::Fuse { mounted, .. } = &mut self.powered else { return };
        drop(mounted.take());
        // If somebody was still there, it goes as soon as they are not.
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        if mounts.contains(&*at.to_string_lossy()) {
            let _ = std::process::Command::new("umount").arg("-l").arg(&at).status();
        }
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
