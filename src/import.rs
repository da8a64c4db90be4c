//! History from files, straight into the tables.
//!
//! ```text
//! read lines ─▶ flatten ─▶ write
//! a thread      a thread   a task
//! ```
//!
//! All three work at the same time, each on one batch, and none begins another before the next hop has
//! room for it: so memory is bounded by the size of a batch, not by that of the file.
//!
//! A file is a log of its own: its topic is `import:` and the hash of what is in it, its offset the
//! number of the line, from 0. So the tables say how far a killed import came, and the same file a
//! second time adds nothing.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use indicatif::ProgressBar;
use ringlake_transform::{LogPartition, RawBatch};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::pipeline::Writer;

mod lines;
mod reading;
mod source;

pub use reading::Reading;
pub use source::Source;

/// What one file brought.
#[derive(Clone, Copy, Debug, Default)]
pub struct Imported {
    /// Lines that were read this time.
    pub lines: u64,
    /// Lines that the tables had before, passed over.
    pub skipped: u64,
}

/// A batch of lines, and how far into the file it reaches.
struct Piece {
    batches: Vec<RawBatch>,
    lines: u64,
    skipped: u64,
    end: u64,
}

/// Brings one file into the tables behind `writer`.
pub async fn run(
    source: &Source,
    reading: &Reading,
    max_bytes: usize,
    writer: &mut Writer,
    bar: &ProgressBar,
) -> Result<Imported, Error> {
    let partition = LogPartition::new(source.topic(), 0);
    let mut imported = Imported::default();
    loop {
        let start = writer.begin().await?;
        let mut flattener = start.flattener;
        let behind = start.positions.get(&partition);
        let (reader, mut pieces) = read(source.path(), reading, &partition, behind, max_bytes);
        imported.skipped = 0;
        while let Some(piece) = pieces.recv().await {
            imported.lines += piece.lines;
            imported.skipped += piece.skipped;
            if !piece.batches.is_empty() {
                writer.room().await?;
                let (back, flat) = writer.flatten(flattener, piece.batches).await?;
                flattener = back;
                writer.write(flat).await?;
            }
            bar.set_position(piece.end);
            if writer.fell_behind() {
                break;
            }
        }
        drop(pieces);
        reader.await??;
        writer.drain().await?;
        // Another writer got ahead: what was dropped is read again.
        if !writer.fell_behind() {
            return Ok(imported);
        }
    }
}

/// Reads on a thread of its own, one piece ahead.
fn read(
    path: &Path,
    reading: &Reading,
    partition: &LogPartition,
    behind: Option<i64>,
    max_bytes: usize,
) -> (JoinHandle<Result<(), Error>>, mpsc::Receiver<Piece>) {
    let (send, pieces) = mpsc::channel(1);
    let runtime = tokio::runtime::Handle::current();
    let (path, reading, partition) = (Arc::<Path>::from(path), reading.clone(), partition.clone());
    let work = move || {
        let fail = || Error::file("read", path.as_ref());
        let file = File::open(&path).map_err(fail())?;
        let mut pieces = reading::Pieces::new(file, reading, partition, behind, max_bytes);
        // Room first, then reading: no piece is held that nobody takes. Without room for ever, nobody
        // wants more.
        while let Ok(room) = runtime.block_on(send.reserve()) {
            match pieces.next().map_err(fail())? {
                Some(piece) => room.send(piece),
                None => break,
            }
        }
        Ok(())
    };
    (tokio::task::spawn_blocking(work), pieces)
}
