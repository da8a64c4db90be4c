//! The columns of a row group, each encoded from its first value to its last before another begins.
//!
//! Not slice by slice through all columns, as Parquet's own Arrow writer does: each compressed column
//! takes a megabyte of working memory, and so only one per thread does at a time. And a batch is mostly
//! one table's: its columns keep many cores busy where its one writer would not.
//!
//! It must never change what is in a file: the chunks are those of Parquet's own writer.

use std::sync::{Mutex, PoisonError};
use std::{panic, thread};

use arrow::array::{ArrayRef, UInt32Array, new_empty_array};
use arrow::compute::take;
use arrow::datatypes::FieldRef;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::errors::ParquetError;

/// Rows that are gathered and encoded at a time: few enough to stay in the processor's cache.
const SLICE_ROWS: usize = 4096;
/// Fewer rows are encoded sooner than another thread has begun.
const ROWS_FOR_THREADS: usize = 1024;

type Chunks = Result<Vec<ArrowColumnChunk>, ParquetError>;

/// One column: its values, and what encodes them, a writer for each leaf of its type.
struct Column<'a> {
    field: &'a FieldRef,
    values: &'a ArrayRef,
    writers: Vec<ArrowColumnWriter>,
}

/// Encodes the rows of these columns in this order. `writers` are those of the row group; the chunks
/// come in their order.
pub(super) fn encode<'a>(
    columns: impl Iterator<Item = (&'a FieldRef, &'a ArrayRef)>,
    order: &[u32],
    writers: Vec<ArrowColumnWriter>,
) -> Chunks {
    let mut writers = writers.into_iter();
    let columns = columns.map(|(field, values)| {
        let leaves = compute_leaves(field, &new_empty_array(field.data_type()))?.len();
        Ok(Column { field, values, writers: writers.by_ref().take(leaves).collect() })
    });
    let columns: Vec<Column<'_>> = columns.collect::<Result<_, ParquetError>>()?;
    let slices: Vec<UInt32Array> =
        order.chunks(SLICE_ROWS).map(|slice| UInt32Array::from(slice.to_vec())).collect();
    let threads = if order.len() < ROWS_FOR_THREADS { 1 } else { spare_cores() };

    let left = Mutex::new(columns.into_iter().enumerate());
    let work = || {
        let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
        std::iter::from_fn(next)
            .map(|(place, column)| (place, column.encode(&slices)))
            .collect::<Vec<_>>()
    };
    let mut encoded = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut encoded = work();
        for other in others {
            encoded.extend(other.join().unwrap_or_else(|panic| panic::resume_unwind(panic)));
        }
        encoded
    });
    encoded.sort_unstable_by_key(|(place, _)| *place);
    let mut chunks = Vec::with_capacity(encoded.len());
    for (_, column) in encoded {
        chunks.extend(column?);
    }
    Ok(chunks)
}

/// All but one, which is left to whoever makes the next batch: a batch takes longer to make than to
/// encode, and whoever makes it should never wait for a core.
fn spare_cores() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get() - 1).max(1)
}

impl Column<'_> {
    fn encode(mut self, slices: &[UInt32Array]) -> Chunks {
        for slice in slices {
            let values = take(self.values, slice, None)?;
            for (writer, leaf) in self.writers.iter_mut().zip(compute_leaves(self.field, &values)?)
            {
                writer.write(&leaf)?;
            }
        }
        self.writers.into_iter().map(ArrowColumnWriter::close).collect()
    }
}
