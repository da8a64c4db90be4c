//! What is asked of a folder that another process serves: files in `<data>/retries`, which it takes up.
//!
//! The embedded log is one process's. A file is one asking, a resolution a line; it is whole when it has
//! its name, and removed once the log has what it says. A process that dies in between asks the same
//! again, which adds nothing. It must never hold bodies: these are in the tables.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ringlake_transform::letters::Action;
use ringlake_transform::{Micros, Resolution};

use crate::error::Error;

const FOLDER: &str = "retries";
const ENDING: &str = "letters";

/// One asking that nobody has taken up yet.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub action: Action,
    pub asked_at: Micros,
    pub letters: Vec<String>,
}

/// Leaves a request in the data folder. Durable on return.
pub fn leave(data: &Path, request: &Request) -> Result<(), Error> {
    let folder = data.join(FOLDER);
    write(&folder, request).map_err(Error::file("write to", folder))
}

fn write(folder: &Path, request: &Request) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    for letter in &request.letters {
        let (action, asked_at) = (request.action, request.asked_at);
        let resolution = Resolution { action, asked_at, letter: letter.as_str().into() };
        writeln!(file, "{resolution}")?;
    }
    file.as_file().sync_all()?;
    let name = format!("{}-{}.{ENDING}", request.asked_at, std::process::id());
    file.persist(folder.join(name)).map_err(|error| error.error)?;
    fs::File::open(folder)?.sync_all()
}

/// The requests that wait, oldest first.
pub fn waiting(data: &Path) -> Result<Vec<PathBuf>, Error> {
    let folder = data.join(FOLDER);
    let list = || -> io::Result<Vec<PathBuf>> {
        let entries: io::Result<Vec<_>> = fs::read_dir(&folder)?.collect();
        let mut paths: Vec<PathBuf> = entries?.into_iter().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|end| end == ENDING));
        paths.sort();
        Ok(paths)
    };
    match list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(Error::file("read", folder)),
    }
}

/// Reads a request; none if it is no such file.
pub fn read(path: &Path) -> Result<Option<Request>, Error> {
    let text = fs::read_to_string(path).map_err(Error::file("read", path))?;
    let resolutions: Result<Vec<Resolution>, _> = text.lines().map(str::parse).collect();
    let Ok(resolutions) = resolutions else { return Ok(None) };
    let Some(first) = resolutions.first() else { return Ok(None) };
    let (action, asked_at) = (first.action, first.asked_at);
    let letters = resolutions.into_iter().map(|resolution| resolution.letter.into()).collect();
    Ok(Some(Request { action, asked_at, letters }))
}

/// Removes what the log has by now.
pub fn remove(path: &Path) -> Result<(), Error> {
    fs::remove_file(path).map_err(Error::file("remove", path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn a_request_is_found_whole_and_only_until_it_is_removed() {
        let data = tempfile::tempdir().unwrap();
        assert!(waiting(data.path()).unwrap().is_empty());
        let request = |asked_at| Request {
            action: Action::Drop,
            asked_at,
            letters: vec!["ringlake.vonage/0/3".to_owned(), "import:00/0/1".to_owned()],
        };
        leave(data.path(), &request(20)).unwrap();
        leave(data.path(), &request(10)).unwrap();
        fs::write(data.path().join(FOLDER).join("half.tmp"), "drop 5").unwrap();
        let found = waiting(data.path()).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(read(&found[0]).unwrap(), Some(request(10)));
        remove(&found[0]).unwrap();
        assert_eq!(waiting(data.path()).unwrap(), found[1..]);
        fs::write(&found[1], "something else\n").unwrap();
        assert_eq!(read(&found[1]).unwrap(), None);
    }
}
