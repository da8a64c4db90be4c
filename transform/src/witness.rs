//! Who is told what the log and the tables write to the disk, and what of it they sync.
//!
//! `ringlake torture` cuts the power by a file system that knows what was synced. Where none can be
//! mounted, the log and the store tell it themselves: every write, name and sync on the way of an event
//! goes by [`tell`], and a [`Witness`] keeps what a power cut may take back. It may also refuse, as a
//! failing disk does. There is none but under torture; then telling costs a load.
//!
//! Nothing here may touch a file, and nobody may do anything else for being watched.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

/// Each is told before the step, and the syncs after theirs; what it refuses counts as failed.
pub trait Witness: Send + Sync {
    /// A new file is made, of which nothing is durable.
    fn creates(&self, file: &Path) -> io::Result<()>;
    /// These bytes of a file change.
    fn changes(&self, file: &Path, stretch: Range<u64>) -> io::Result<()>;
    /// A file's bytes were synced.
    fn synced(&self, file: &Path) -> io::Result<()>;
    /// A file or folder that is there gets this name, or has got it just now.
    fn names(&self, file: &Path, name: &Path) -> io::Result<()>;
    /// A folder's names were synced.
    fn folder_synced(&self, folder: &Path) -> io::Result<()>;
}

static WITNESS: OnceLock<Box<dyn Witness>> = OnceLock::new();

/// From here on `witness` is told; the first that is set stays.
pub fn watch(witness: Box<dyn Witness>) {
    let _ = WITNESS.set(witness);
}

/// Whether anybody is told.
pub fn is_watched() -> bool {
    WITNESS.get().is_some()
}

/// Tells the witness, if there is one.
///
/// # Errors
/// What the witness has instead of the step.
pub fn tell(what: impl FnOnce(&dyn Witness) -> io::Result<()>) -> io::Result<()> {
    WITNESS.get().map_or(Ok(()), |witness| what(witness.as_ref()))
}
