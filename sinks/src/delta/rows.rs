//! Which rows of a batch a table does not hold yet.
//!
//! A table's own position decides, row by row: after a crash between two tables' commits the
//! replayed batch completes the tables that miss it and doubles nothing in those that have it.
//! Positions are compared with greater-than only; a log's offsets have gaps.

use std::collections::HashMap;

use arrow::array::{AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use ringlake_transform::faults::{self, Mutant};
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
    if known.is_empty() || faults::is_mutant(Mutant::BlindReplay) {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ringlake_transform::tables;

    use super::*;
    use crate::testing;

    proptest! {
        #[test]
        fn what_lies_after_the_position_stays(
            offsets in proptest::collection::btree_set(0i64..60, 1..20),
            mine in proptest::option::of(-1i64..70),
            other in proptest::option::of(-1i64..70),
        ) {
            let offsets: Vec<i64> = offsets.into_iter().collect();
            let log = LogPartition::new("t", 3);
            let rows = testing::rows(&tables::TASKS, &log, &offsets).rows;
            let held = Held::from([
                (log, mine),
                (LogPartition::new("t", 4), other),
                (LogPartition::new("u", 3), other),
            ]);
            let kept = after(&rows, &held).unwrap();
            let mut kept = kept["offset"].as_primitive::<Int64Type>().values().to_vec();
            kept.reverse();
            let expected: Vec<i64> =
                offsets.into_iter().filter(|offset| mine.is_none_or(|mine| *offset > mine)).collect();
            prop_assert_eq!(kept, expected);
        }
    }

    #[test]
    fn ranges_of_one_partition_are_joined() {
        let log = |partition| LogPartition::new("t", partition);
        let ranges = [
            (log(1), OffsetRange::new(5, 9)),
            (log(0), OffsetRange::new(3, 4)),
            (log(1), OffsetRange::new(0, 2)),
        ];
        let joined = joined(&ranges);
        assert_eq!(joined, [(log(0), OffsetRange::new(3, 4)), (log(1), OffsetRange::new(0, 9))]);
    }
}
