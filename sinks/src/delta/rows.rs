//! Which rows of a batch a table does not hold yet.
//!
//! A table's own position decides, row by row: after a crash between two tables' commits the replayed
//! batch completes the tables that miss it and doubles nothing in those that have it. Positions are
//! compared with greater-than only; a log's offsets have gaps.

use std::collections::HashMap;

use arrow::array::{AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use ringlake_transform::{LogPartition, OffsetRange};

/// The last offset held per partition, `None` where nothing of it is held.
pub(crate) type Held = HashMap<LogPartition, Option<i64>>;

/// The ranges of a batch with at most one per partition, in the order of partitions.
pub(crate) fn joined(ranges: &[(LogPartition, OffsetRange)]) -> Vec<(LogPartition, OffsetRange)> {
    let mut all: std::collections::BTreeMap<LogPartition, OffsetRange> = Default::default();
    for (partition, range) in ranges {
        all.entry(partition.clone()).and_modify(|held| *held = held.join(*range)).or_insert(*range);
    }
    all.into_iter().collect()
}

/// The rows whose offset lies after what is held of their partition.
pub(crate) fn after(rows: &RecordBatch, held: &Held) -> Result<RecordBatch, ArrowError> {
    let known: Vec<(&LogPartition, i64)> =
        held.iter().filter_map(|(partition, last)| Some((partition, (*last)?))).collect();
    if known.is_empty() {
        return Ok(rows.clone());
    }
    let topics = text(rows, "topic")?;
    let partitions = number(rows, "partition")?;
    let offsets = number(rows, "offset")?;
    let mut keep = BooleanBufferBuilder::new(rows.num_rows());
    for row in 0..rows.num_rows() {
        let (topic, partition) = (topics.value(row), partitions.value(row));
        let last = known
            .iter()
            .find(|(p, _)| i64::from(p.partition) == partition && &*p.topic == topic)
            .map(|(_, last)| *last);
        keep.append(last.is_none_or(|last| offsets.value(row) > last));
    }
    let keep = BooleanArray::new(keep.finish(), None);
    if keep.true_count() == rows.num_rows() {
        return Ok(rows.clone());
    }
    filter_record_batch(rows, &keep)
}

fn text<'a>(
    rows: &'a RecordBatch,
    name: &str,
) -> Result<&'a arrow::array::StringArray, ArrowError> {
    rows.column_by_name(name)
        .and_then(|column| column.as_string_opt::<i32>())
        .ok_or_else(|| ArrowError::SchemaError(format!("rows have no text column {name}")))
}

fn number<'a>(
    rows: &'a RecordBatch,
    name: &str,
) -> Result<&'a arrow::array::PrimitiveArray<Int64Type>, ArrowError> {
    rows.column_by_name(name)
        .and_then(|column| column.as_primitive_opt::<Int64Type>())
        .ok_or_else(|| ArrowError::SchemaError(format!("rows have no integer column {name}")))
}
