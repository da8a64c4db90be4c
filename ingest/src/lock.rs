//! One process per data folder.
//!
//! The file `<data>/ringlake.lock` is locked as long as a [`DataLock`] lives, and says which process
//! holds it. The lock is the operating system's: it ends with the process, however that ends, so a
//! file left behind by a crash locks nobody out. Opening the embedded log asks for the lock, so that
//! nothing can open it without.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use ringlake_transform::witness::tell;

use crate::error::LogError;

const FILE: &str = "ringlake.lock";

/// The right to write in a data folder.
#[derive(Debug)]
pub struct DataLock {
    folder: PathBuf,
    // Never read: the lock lasts as long as the file is open.
    _file: File,
}

impl DataLock {
    /// Makes the folder where it is missing, and locks it, or says which process has it.
    pub fn acquire(folder: impl Into<PathBuf>) -> Result<Self, LogError> {
        let folder = folder.into();
        make_folder(&folder).map_err(|error| LogError::storage(&folder, error))?;
        let path = folder.join(FILE);
        let fail = |error| LogError::storage(&path, error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LogError::InUse { pid: read_pid(&mut file), path: folder });
            }
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        }
        write_pid(&mut file).map_err(fail)?;
        Ok(Self { folder, _file: file })
    }

    /// The folder that is locked.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Makes a folder where it is missing, and sees to it that it survives a power cut: also one that is
/// there, since a killed predecessor may have made it a moment ago. Bodies hold personal data, so a new
/// folder is for its owner alone.
pub fn make_folder(folder: &Path) -> std::io::Result<()> {
    let folder = std::path::absolute(folder)?;
    let missing: Vec<&Path> = folder.ancestors().take_while(|part| !part.is_dir()).collect();
    if missing.is_empty() {
        return match folder.parent().map(sync_folder) {
            // Above a folder that was given to us there may be one that is none of ours.
            Some(Err(error)) if error.kind() != std::io::ErrorKind::PermissionDenied => Err(error),
            _ => Ok(()),
        };
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder)?;
    for part in &missing {
        tell(|witness| witness.names(part, part))?;
    }
    missing.iter().filter_map(|part| part.parent()).try_for_each(sync_folder)
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Makes a created, renamed or removed entry of this folder durable.
pub(crate) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()?;
    tell(|witness| witness.folder_synced(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_and_told_by_whom() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("new/data");
        let lock = DataLock::acquire(&folder).unwrap();
        let error = DataLock::acquire(&folder).unwrap_err();
        assert!(
            matches!(&error, LogError::InUse { pid: Some(pid), .. } if *pid == std::process::id())
        );
        drop(lock);
        DataLock::acquire(&folder).unwrap();
    }
}
