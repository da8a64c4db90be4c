//! Lines of a file, without copying them: a file is read in blocks that end with a line, and a line
//! is a slice of its block.

use std::io::{self, Read};

use bytes::Bytes;
use memchr::{memchr, memrchr};

/// How much is read at a time. A block lives as long as one of its lines does.
pub const BLOCK: usize = 4 << 20;
/// A longer line is no event, and would take too much memory.
pub const LONGEST_LINE: usize = 64 << 20;

/// Reads whole lines, a block at a time.
pub struct Blocks<R> {
    source: R,
    block: usize,
    /// The beginning of a line whose end is not read yet.
    rest: Vec<u8>,
    done: bool,
}

impl<R: Read> Blocks<R> {
    pub fn new(source: R, block: usize) -> Self {
        Self { source, block, rest: Vec::new(), done: false }
    }

    /// The next lines; the last of all may have no end. None at the end of the file.
    pub fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.done {
            return Ok(None);
        }
        let mut bytes = std::mem::take(&mut self.rest);
        let mut searched = 0;
        loop {
            bytes.reserve(self.block);
            let read = self.source.by_ref().take(self.block as u64).read_to_end(&mut bytes)?;
            if read == 0 {
                self.done = true;
                return Ok((!bytes.is_empty()).then(|| bytes.into()));
            }
            let fresh = bytes.get(searched..).unwrap_or_default();
            if let Some(end) = memrchr(b'\n', fresh) {
                self.rest = bytes.split_off(searched + end + 1);
                return Ok(Some(bytes.into()));
            }
            searched = bytes.len();
            if searched > LONGEST_LINE {
                let limit = LONGEST_LINE >> 20;
                return Err(io::Error::other(format!("it has a line longer than {limit} MiB")));
            }
        }
    }
}

/// The lines of a block, without their ends.
pub fn split(block: &Bytes) -> impl Iterator<Item = Bytes> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let left = block.get(at..).filter(|left| !left.is_empty())?;
        let len = memchr(b'\n', left).unwrap_or(left.len());
        let line = left.get(..len).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let slice = block.slice(at..at + line.len());
        at += len + 1;
        Some(slice)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Gives one byte at a time, as a slow pipe might.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let (Some((first, rest)), Some(to)) = (self.0.split_first(), into.first_mut()) else {
                return Ok(0);
            };
            *to = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    fn lines(source: impl Read, block: usize) -> Vec<String> {
        let mut blocks = Blocks::new(source, block);
        let mut lines = Vec::new();
        while let Some(block) = blocks.next().unwrap() {
            lines.extend(split(&block).map(|line| String::from_utf8(line.to_vec()).unwrap()));
        }
        lines
    }

    #[test]
    fn lines_are_the_same_however_the_blocks_fall() {
        let text = "one\r\n\ntwo and more\n{\"a\": 1}\nthe last has no end";
        let expected = vec!["one", "", "two and more", "{\"a\": 1}", "the last has no end"];
        for block in 1..text.len() + 2 {
            assert_eq!(lines(text.as_bytes(), block), expected, "blocks of {block}");
            assert_eq!(lines(Drip(text.as_bytes()), block), expected, "drips, blocks of {block}");
        }
    }

    #[test]
    fn an_end_at_the_end_makes_no_further_line() {
        assert_eq!(lines(&b"a\nb\n"[..], 3), ["a", "b"]);
        assert_eq!(lines(&b"\n"[..], 3), [""]);
        assert!(lines(&b""[..], 3).is_empty());
    }

    #[test]
    fn a_line_is_a_slice_of_its_block() {
        let mut blocks = Blocks::new(&b"abc\ndef\n"[..], 64);
        let block = blocks.next().unwrap().unwrap();
        let line = split(&block).next().unwrap();
        assert_eq!(line.as_ptr(), block.as_ptr(), "nothing is copied");
    }
}
