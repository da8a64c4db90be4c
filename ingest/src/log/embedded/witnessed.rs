//! The log's file where somebody is told what is synced and what is not (`ringlake_transform::witness`).
//!
//! It is redb's own file but for that. It is used under torture alone.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, StorageBackend};
use ringlake_transform::faults::{self, Mutant};
use ringlake_transform::witness::{self, tell};

/// Whether this process needs it.
pub(super) fn is_needed() -> bool {
    witness::is_watched() || faults::is_mutant(Mutant::LogWithoutSync)
}

/// Opens the file as redb does, or makes it.
pub(super) fn open(builder: &Builder, path: &Path) -> Result<Database, DatabaseError> {
    let is_new = !path.exists();
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    if is_new {
        tell(|witness| witness.names(path, path))?;
    }
    let file = FileBackend::new(file)?;
    builder.create_with_backend(Witnessed { path: path.to_owned(), file })
}

#[derive(Debug)]
struct Witnessed {
    path: PathBuf,
    file: FileBackend,
}

impl StorageBackend for Witnessed {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let end = self.file.len()?.max(len);
        tell(|witness| witness.changes(&self.path, len..end))?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if faults::is_mutant(Mutant::LogWithoutSync) {
            return Ok(());
        }
        self.file.sync_data()?;
        tell(|witness| witness.synced(&self.path))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        tell(|witness| witness.changes(&self.path, offset..offset + data.len() as u64))?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}
