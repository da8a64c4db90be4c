//! A file whose length redb never chose.
//!
//! redb sets the length of its file before it writes there, and syncs both at the next commit. A power cut in
//! between can leave the file anywhere between the old length and the new one, also in the middle of a page, and
//! such a file redb refuses. Nothing that was committed lies in what is being added, so the file is made
//! longer, with zeros, until its length is one that redb knows. It must never be made shorter: of a file that
//! lost its end in another way, what is left may yet be read.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use redb::{Database, DatabaseError, StorageError};

use super::store::Opener;

/// How redb begins what it says of such a file.
const ODD: &str = "File length does not correspond to a valid region layout";
const PAGE: u64 = 4096;
/// By so many pages a file is made longer at most: a length is also odd within the pages at the front of a
/// region, which are fewer.
const MOST_PAGES: usize = 1_024;

/// Opens the file, after bringing its length in order where that has to be.
pub(super) fn open(path: &Path, opener: &Opener) -> Result<Database, DatabaseError> {
    let mut opened = opener(path);
    for _ in 0..MOST_PAGES {
        match &opened {
            Err(DatabaseError::Storage(StorageError::Corrupted(why))) if why.starts_with(ODD) => {}
            _ => break,
        }
        lengthen(path)?;
        opened = opener(path);
    }
    opened
}

/// To the end of the page that it ends in, or by a page.
fn lengthen(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let (old, path) = (file.metadata()?.len(), path.display());
    let new = (old / PAGE + 1) * PAGE;
    tracing::info!(%path, old, new, "the log's file has an odd length, as a power cut can leave it; making it longer");
    file.set_len(new)
}
