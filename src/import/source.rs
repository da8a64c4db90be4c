//! Which file it is: the name of its log follows from what is in it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use xxhash_rust::xxh3::Xxh3;

use super::Reading;
use crate::error::Error;

pub struct Source {
    path: PathBuf,
    topic: String,
    bytes: u64,
    /// Where stdin was written to; removed with this.
    _spool: Option<NamedTempFile>,
}

impl Source {
    /// Reads the file once for its hash, which also finds out whether it can be read at all.
    pub fn open(path: &Path, reading: &Reading) -> Result<Self, Error> {
        let mut file = File::open(path).map_err(Error::file("read", path))?;
        let (topic, bytes) =
            identify(&mut file, reading, &mut io::sink()).map_err(Error::file("read", path))?;
        Ok(Self { path: path.to_owned(), topic, bytes, _spool: None })
    }

    /// Copies stdin into a file of the folder: an import may have to be resumed, a pipe cannot.
    pub fn spool(folder: &Path, reading: &Reading) -> Result<Self, Error> {
        let fail = || Error::file("write", folder);
        let mut spool = NamedTempFile::with_prefix_in("import-", folder).map_err(fail())?;
        let (topic, bytes) =
            identify(&mut io::stdin().lock(), reading, &mut spool).map_err(fail())?;
        spool.flush().map_err(fail())?;
        Ok(Self { path: spool.path().to_owned(), topic, bytes, _spool: Some(spool) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// `import:` and 32 hex digits, and the number of bytes.
fn identify(
    from: &mut dyn Read,
    reading: &Reading,
    copy: &mut dyn Write,
) -> io::Result<(String, u64)> {
    let mut hash = Xxh3::new();
    for part in reading.identity() {
        hash.update(part.as_bytes());
        hash.update(&[0]);
    }
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok((format!("import:{:032x}", hash.digest128()), bytes)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let piece = buffer.get(..read).unwrap_or_default();
        hash.update(piece);
        copy.write_all(piece)?;
        bytes += read as u64;
    }
}
