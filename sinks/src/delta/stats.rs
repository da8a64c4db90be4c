//! Statistics of a file for its `add` action: they let a reader skip the file without opening it.
//!
//! Only of columns that queries filter by, so that a table of 80 columns does not carry 80 bounds
//! per file through its log; the same list stands in the table's `delta.dataSkippingStatsColumns`.
//! Bounds may be wider than the values, never narrower: text is cut by the Parquet writer (a
//! maximum is then rounded up), times are rounded outwards to the millisecond that Delta knows.

use chrono::{DateTime, SecondsFormat};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use ringlake_transform::columns::Kind;
use ringlake_transform::tables::COMMON;
use ringlake_transform::{Column, TableSpec};
use serde_json::{Map, Value, json};

/// The columns of a table whose bounds are kept.
pub(crate) fn columns(spec: &TableSpec) -> Vec<Column> {
    spec.declared()
        .into_iter()
        .filter(|column| matches!(column.kind, Kind::Text | Kind::Int | Kind::Time))
        .filter(|column| !spec.partition_columns().contains(&column.name))
        .filter(|column| {
            column.kind == Kind::Time
                || COMMON.iter().any(|common| common.name == column.name)
                || spec.sort.contains(&column.name)
        })
        .collect()
}

/// The `stats` text of a file.
pub(crate) fn json(columns: &[Column], file: &ParquetMetaData) -> String {
    let (mut min, mut max, mut nulls) = (Map::new(), Map::new(), Map::new());
    let schema = file.file_metadata().schema_descr();
    for column in columns {
        let Some(index) =
            schema.columns().iter().position(|leaf| leaf.path().string() == column.name)
        else {
            continue;
        };
        let chunks: Option<Vec<(&Statistics, u64)>> = file
            .row_groups()
            .iter()
            .map(|group| Some((group.column(index).statistics()?, group.num_rows().unsigned_abs())))
            .collect();
        let Some(chunks) = chunks else { continue };
        let null_count: Option<u64> = chunks.iter().map(|(chunk, _)| chunk.null_count_opt()).sum();
        if let Some(null_count) = null_count {
            nulls.insert(column.name.to_owned(), json!(null_count));
        }
        let filled =
            chunks.into_iter().filter(|(chunk, rows)| chunk.null_count_opt() != Some(*rows));
        if let Some((low, high)) = bounds(column.kind, filled.map(|(chunk, _)| chunk)) {
            min.insert(column.name.to_owned(), low);
            max.insert(column.name.to_owned(), high);
        }
    }
    let rows = file.file_metadata().num_rows();
    json!({ "numRecords": rows, "minValues": min, "maxValues": max, "nullCount": nulls })
        .to_string()
}

/// The least and the greatest of these row groups; none if one of them has no bounds.
fn bounds<'a>(kind: Kind, chunks: impl Iterator<Item = &'a Statistics>) -> Option<(Value, Value)> {
    if kind == Kind::Text {
        let all: Option<Vec<_>> =
            chunks.map(|chunk| Some((chunk.min_bytes_opt()?, chunk.max_bytes_opt()?))).collect();
        let (low, high) = all?.into_iter().reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        return Some((
            json!(std::str::from_utf8(low).ok()?),
            json!(std::str::from_utf8(high).ok()?),
        ));
    }
    let all: Option<Vec<_>> = chunks
        .map(|chunk| match chunk {
            Statistics::Int64(values) => Some((*values.min_opt()?, *values.max_opt()?)),
            _ => None,
        })
        .collect();
    let (low, high) = all?.into_iter().reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
    match kind {
        Kind::Int => Some((json!(low), json!(high))),
        Kind::Time => {
            Some((millisecond(low.div_euclid(1000))?, millisecond(high.div_euclid(1000) + 1)?))
        }
        _ => None,
    }
}

fn millisecond(millis: i64) -> Option<Value> {
    let time = DateTime::from_timestamp_millis(millis)?;
    Some(json!(time.to_rfc3339_opts(SecondsFormat::Millis, true)))
}
