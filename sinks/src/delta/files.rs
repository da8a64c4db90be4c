//! From rows to Parquet files: one file per month, sorted, zstd, with statistics.
//!
//! A real path: `deals/event_month=2026-03/part-00000-0d5c….zstd.parquet`. The month is in the path
//! and in the `add` action only, as Delta has it. A file is encoded in memory, being smaller than
//! the batch it comes from, and put whole; so it is synced once, and there are no half files. A
//! file that no commit names is never read; nothing here deletes one, since the commit that names
//! it may have landed.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use bytes::Bytes;
use deltalake_core::kernel::Add;
use deltalake_core::logstore::LogStoreRef;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use ringlake_transform::columns::Kind;
use ringlake_transform::tables::{EVENT_MONTH, EXTRA};
use ringlake_transform::{Column, TableSpec};
use xxhash_rust::xxh3::xxh3_64;

use super::{columns, stats};
use crate::error::SinkError;

/// Rows of a row group; what a reader must at least read of a column it wants.
const GROUP_ROWS: usize = 128 * 1024;

/// A file that is ready to be stored.
pub(crate) struct File {
    pub add: Add,
    pub bytes: Bytes,
}

/// Encodes the rows of one table. Heavy work: not for an async thread.
pub(crate) fn encode(
    spec: &'static TableSpec,
    rows: &RecordBatch,
    level: i32,
) -> Result<Vec<File>, SinkError> {
    let order = sorted(spec, rows).map_err(SinkError::rows(spec.name, "sorted"))?;
    let writer = Encoder::new(spec, rows, level)?;
    months(rows, &order).map(|(month, order)| writer.file(month, order)).collect()
}

/// `part-00000-<unique>-<checksum>.zstd.parquet`. The checksum of the bytes is in the name because names
/// survive what `tags` do not: checkpoints, copies, other tools. `verify` reads it there.
fn name(bytes: &[u8]) -> String {
    format!("part-00000-{}-{:016x}.zstd.parquet", uuid::Uuid::new_v4(), xxh3_64(bytes))
}

/// The checksum that a file's name tells, if it is one of ours.
pub(crate) fn checksum(path: &str) -> Option<u64> {
    let (_, checksum) = path.strip_suffix(".zstd.parquet")?.rsplit_once('-')?;
    if checksum.len() == 16 { u64::from_str_radix(checksum, 16).ok() } else { None }
}

/// Stores a file and returns the action that adds it, once the file is durable.
pub(crate) async fn store(
    table: &'static str,
    log_store: &LogStoreRef,
    file: File,
) -> Result<Add, SinkError> {
    let path = Path::from(file.add.path.as_str());
    let put = log_store.object_store(None).put(&path, file.bytes.into()).await;
    put.map_err(SinkError::file(table, &path, "written"))?;
    Ok(file.add)
}

/// The order of the rows in their files: by month, then by the table's sort columns.
fn sorted(spec: &TableSpec, rows: &RecordBatch) -> Result<Vec<u32>, ArrowError> {
    let mut order: Vec<u32> = (0u32..).take(rows.num_rows()).collect();
    let keys: Vec<ArrayRef> = spec
        .partition_columns()
        .iter()
        .chain(spec.sort)
        .filter_map(|name| rows.column_by_name(name).cloned())
        .collect();
    if keys.is_empty() {
        return Ok(order);
    }
    let fields = keys.iter().map(|key| SortField::new(key.data_type().clone())).collect();
    let keys = RowConverter::new(fields)?.convert_columns(&keys)?;
    // Equal keys stay in log order, so that the same rows always make the same file.
    order.sort_by(|a, b| keys.row(*a as usize).cmp(&keys.row(*b as usize)));
    Ok(order)
}

/// The stretches of `order` that belong to one month.
fn months<'a>(
    rows: &'a RecordBatch,
    order: &'a [u32],
) -> impl Iterator<Item = (Option<&'a str>, &'a [u32])> {
    let months = rows.column_by_name(EVENT_MONTH).and_then(|column| column.as_string_opt::<i32>());
    let month = move |row: u32| months.map(|months| months.value(row as usize));
    order
        .chunk_by(move |a, b| month(*a) == month(*b))
        .filter_map(move |part| Some((month(*part.first()?), part)))
}

/// What all files of one batch of a table share.
struct Encoder<'a> {
    spec: &'static TableSpec,
    rows: &'a RecordBatch,
    /// The columns that go into the file, by their place in `rows`.
    places: Vec<usize>,
    schema: SchemaRef,
    properties: WriterProperties,
    stats: Vec<Column>,
}

impl<'a> Encoder<'a> {
    fn new(spec: &'static TableSpec, rows: &'a RecordBatch, level: i32) -> Result<Self, SinkError> {
        let schema = rows.schema();
        let places: Vec<usize> = schema
            .fields()
            .iter()
            .enumerate()
            .filter(|(_, field)| !spec.partition_columns().contains(&field.name().as_str()))
            .map(|(place, _)| place)
            .collect();
        let schema = schema.project(&places).map_err(SinkError::rows(spec.name, "laid out"))?;
        let empty = places.iter().map(|place| rows.column(*place));
        let empty = empty.map(|column| column.null_count() == column.len()).collect::<Vec<_>>();
        let properties = properties(spec, &schema, &empty, level)
            .map_err(SinkError::parquet(spec.name, "set up"))?;
        let schema = Arc::new(schema);
        Ok(Self { spec, rows, places, schema, properties, stats: stats::columns(spec) })
    }

    fn file(&self, month: Option<&str>, order: &[u32]) -> Result<File, SinkError> {
        let table = self.spec.name;
        let mut bytes = Vec::new();
        let properties = Some(self.properties.clone());
        let writer = ArrowWriter::try_new(&mut bytes, Arc::clone(&self.schema), properties)
            .map_err(SinkError::parquet(table, "begun"))?;
        let (mut file, groups) =
            writer.into_serialized_writer().map_err(SinkError::parquet(table, "begun"))?;
        for (number, order) in order.chunks(GROUP_ROWS).enumerate() {
            self.group(&mut file, &groups, number, order)
                .map_err(SinkError::parquet(table, "encoded"))?;
        }
        let written = file.close().map_err(SinkError::parquet(table, "finished"))?;
        let folder = month.map(|month| format!("{EVENT_MONTH}={month}/")).unwrap_or_default();
        let add = Add {
            path: format!("{folder}{}", name(&bytes)),
            partition_values: month
                .map(|month| (EVENT_MONTH.to_owned(), Some(month.to_owned())))
                .into_iter()
                .collect::<HashMap<_, _>>(),
            size: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
            modification_time: chrono::Utc::now().timestamp_millis(),
            data_change: true,
            stats: Some(stats::json(&self.stats, &written)),
            ..Add::default()
        };
        Ok(File { add, bytes: bytes.into() })
    }

    fn group(
        &self,
        file: &mut SerializedFileWriter<&mut Vec<u8>>,
        groups: &ArrowRowGroupWriterFactory,
        number: usize,
        order: &[u32],
    ) -> Result<(), ParquetError> {
        let writers = groups.create_column_writers(number)?;
        let values = self.places.iter().map(|place| self.rows.column(*place));
        let columns = self.schema.fields().iter().zip(values);
        let chunks = columns::encode(columns, order, writers)?;
        let mut group = file.next_row_group()?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut group)?;
        }
        group.close()?;
        Ok(())
    }
}

/// Columns of which a file has a few values, each many times: encoded they are a few bytes.
const FEW_VALUES: &[&str] =
    &["system", "event_type", "event_time_basis", "topic", "partition", "phase", "version"];

/// How the columns of a table are encoded; `empty` are those without a value.
fn properties(
    spec: &TableSpec,
    schema: &Schema,
    empty: &[bool],
    level: i32,
) -> Result<WriterProperties, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(level)?))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_created_by(concat!("ringlake ", env!("CARGO_PKG_VERSION")).to_owned());
    let whole: Vec<&str> = spec
        .declared()
        .iter()
        .filter(|column| matches!(column.kind, Kind::Json | Kind::Binary))
        .map(|column| column.name)
        .chain([EXTRA])
        .collect();
    for column in stats::columns(spec) {
        // Bounds per page as well, where queries filter.
        let path = ColumnPath::from(column.name);
        properties = properties.set_column_statistics_enabled(path, EnabledStatistics::Page);
    }
    for (field, empty) in schema.fields().iter().zip(empty) {
        let path = leaf(field);
        if *empty || FEW_VALUES.contains(&field.name().as_str()) {
            // Each compressed column takes a megabyte of working memory: not for next to nothing.
            properties = properties.set_column_compression(path.clone(), Compression::UNCOMPRESSED);
        }
        if whole.contains(&field.name().as_str()) {
            // Long values, each its own: a dictionary or bounds of them cost and help nobody.
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_statistics_enabled(path, EnabledStatistics::None);
        } else if field.name() == "event_key" {
            properties = properties.set_column_dictionary_enabled(path, false);
        } else if field.name() == "offset" {
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
    }
    Ok(properties.build())
}

/// Where a file has the values of a column.
fn leaf(field: &Field) -> ColumnPath {
    let name = field.name().clone();
    match field.data_type() {
        DataType::List(element) => vec![name, "list".to_owned(), element.name().clone()].into(),
        _ => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Int64Type;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use ringlake_transform::tables;
    use serde_json::json;

    use super::*;
    use crate::testing::{MARCH, calls_log, rows, with_column};

    #[test]
    fn a_file_a_month_sorted_and_with_bounds() {
        let offsets: Vec<i64> = (0..60).collect();
        let batch = rows(&tables::CALLS, &calls_log(), &offsets);
        let files = encode(&tables::CALLS, &batch.rows, 1).unwrap();
        let folders: Vec<&str> =
            files.iter().filter_map(|file| file.add.path.split('/').next()).collect();
        assert_eq!(folders, ["event_month=2026-03", "event_month=2026-04"]);

        let file = &files[0];
        assert_eq!(file.add.partition_values["event_month"].as_deref(), Some("2026-03"));
        assert_eq!(file.add.size as usize, file.bytes.len());
        let reader = ParquetRecordBatchReaderBuilder::try_new(file.bytes.clone()).unwrap();
        let batch = reader.build().unwrap().next().unwrap().unwrap();
        assert_eq!(batch.num_rows(), 31);
        assert!(batch.column_by_name("event_month").is_none());
        let ids: Vec<_> = batch["call_id"].as_string::<i32>().iter().flatten().collect();
        let offsets: Vec<_> = batch["offset"].as_primitive::<Int64Type>().values().to_vec();
        let mut sorted: Vec<_> = ids.into_iter().zip(offsets).collect();
        let found = sorted.clone();
        sorted.sort_unstable();
        assert_eq!(found, sorted);

        let stats: serde_json::Value =
            serde_json::from_str(file.add.stats.as_deref().unwrap()).unwrap();
        assert_eq!(stats["numRecords"], 31);
        assert_eq!(stats["minValues"]["offset"], 0);
        assert_eq!(stats["maxValues"]["offset"], 30);
        // 30 days and 30 µs later, rounded outwards.
        assert_eq!(stats["minValues"]["event_time"], "2026-03-01T12:00:00.000Z");
        assert_eq!(stats["maxValues"]["event_time"], "2026-03-31T12:00:00.001Z");
        assert_eq!(MARCH % 1_000_000, 0);
        assert_eq!(stats["minValues"]["call_id"], "call_id 0");
        assert_eq!(stats["nullCount"]["started_at"], 0);
        assert_eq!(stats["maxValues"]["notes"], json!(null), "not a column that queries filter by");
    }

    #[test]
    fn a_file_is_what_parquets_own_writer_makes() {
        // Enough rows for threads and for more than one slice.
        let batch = rows(&tables::CALLS, &calls_log(), &[7; 5000]);
        let file = encode(&tables::CALLS, &batch.rows, 1).unwrap().remove(0);
        let encoder = Encoder::new(&tables::CALLS, &batch.rows, 1).unwrap();
        let mut bytes = Vec::new();
        let properties = Some(encoder.properties.clone());
        let mut writer =
            ArrowWriter::try_new(&mut bytes, encoder.schema.clone(), properties).unwrap();
        for start in [0, 4096] {
            let slice = batch.rows.project(&encoder.places).unwrap();
            writer.write(&slice.slice(start, 4096.min(5000 - start))).unwrap();
        }
        writer.close().unwrap();
        assert!(file.bytes == bytes, "{} bytes, not {}", file.bytes.len(), bytes.len());
    }

    #[test]
    fn long_text_has_bounds_that_hold() {
        let batch = rows(&tables::CALLS, &calls_log(), &[1]);
        let place = batch.rows.schema().index_of("event_type").unwrap();
        let mut columns = batch.rows.columns().to_vec();
        let long = "é".repeat(500);
        columns[place] = Arc::new(arrow::array::StringArray::from(vec![long.as_str()]));
        let batch = RecordBatch::try_new(batch.rows.schema(), columns).unwrap();
        let files = encode(&tables::CALLS, &batch, 1).unwrap();
        let stats: serde_json::Value =
            serde_json::from_str(files[0].add.stats.as_deref().unwrap()).unwrap();
        let (low, high) =
            (stats["minValues"]["event_type"].as_str(), stats["maxValues"]["event_type"].as_str());
        assert!(low.unwrap() < long.as_str() && high.unwrap() > long.as_str());
        assert!(high.unwrap().len() < 100);
    }

    #[test]
    fn labels_are_in_the_file_too() {
        let batch = with_column(rows(&tables::DEALS, &calls_log(), &[1]), "cf_area", "Area");
        let files = encode(&tables::DEALS, &batch.rows, 1).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(files[0].bytes.clone()).unwrap();
        let field = reader.schema().field_with_name("cf_area").unwrap();
        assert_eq!(field.metadata()["ringlake.label"], "Area");
    }
}
