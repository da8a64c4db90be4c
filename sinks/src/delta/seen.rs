//! Event keys back out of the tables, so that a repeat is recognised after a restart.
//!
//! Reads six columns of the files whose newest `received_at` is young enough, one row group's pages
//! at a time: memory does not grow with the table. It reads what is committed, whether or not
//! `progress` shows it yet; the position beside each key tells an event from its own replay.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use chrono::DateTime;
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use ringlake_transform::{LogPartition, Micros};
use serde::Deserialize;

use super::table::Table;
use crate::error::SinkError;

/// An event that a table holds.
#[derive(Clone, Debug)]
pub struct SeenKey<'a> {
    pub system: &'a str,
    pub event_key: &'a str,
    pub received_at: Micros,
    pub partition: LogPartition,
    pub offset: i64,
}

const COLUMNS: [&str; 6] = ["system", "event_key", "received_at", "topic", "partition", "offset"];

/// Calls `f` for each row of the table received at or after `since`; an event of several rows comes
/// several times.
pub(crate) async fn keys(
    table: &Table,
    since: Micros,
    f: &mut (dyn FnMut(SeenKey<'_>) + Send),
) -> Result<(), SinkError> {
    let snapshot = table.snapshot().await?;
    let mut files = snapshot.file_views(table.log_store(), None);
    while let Some(found) =
        files.try_next().await.map_err(SinkError::table(table.spec.name, "listed"))?
    {
        if found.stats().as_deref().and_then(newest).is_none_or(|newest| newest >= since) {
            file(table, found.object_store_path(), found.size(), since, f).await?;
        }
    }
    Ok(())
}

/// The newest `received_at` of a file, if its statistics tell.
fn newest(stats: &str) -> Option<Micros> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Stats {
        max_values: Bounds,
    }
    #[derive(Deserialize)]
    struct Bounds {
        received_at: String,
    }
    let stats: Stats = serde_json::from_str(stats).ok()?;
    let newest = DateTime::parse_from_rfc3339(&stats.max_values.received_at).ok()?;
    // A writer other than ours may have cut the time to the millisecond.
    Some(newest.timestamp_micros() + 1000)
}

async fn file(
    table: &Table,
    path: Path,
    size: i64,
    since: Micros,
    f: &mut (dyn FnMut(SeenKey<'_>) + Send),
) -> Result<(), SinkError> {
    let name = table.spec.name;
    let reader =
        StoredFile { store: table.log_store().object_store(None), path, size: size.unsigned_abs() };
    let builder = ParquetRecordBatchStreamBuilder::new(reader)
        .await
        .map_err(SinkError::parquet(name, "opened"))?;
    let columns = ProjectionMask::columns(builder.parquet_schema(), COLUMNS);
    let mut batches =
        builder.with_projection(columns).build().map_err(SinkError::parquet(name, "opened"))?;
    while let Some(batch) = batches.try_next().await.map_err(SinkError::parquet(name, "read"))? {
        // A file without these columns is none of ours.
        let _ = each(&batch, since, f);
    }
    Ok(())
}

fn each(batch: &RecordBatch, since: Micros, f: &mut (dyn FnMut(SeenKey<'_>) + Send)) -> Option<()> {
    let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
    let number = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<Int64Type>();
    let (systems, keys, topics) = (text("system")?, text("event_key")?, text("topic")?);
    let (partitions, offsets) = (number("partition")?, number("offset")?);
    let received = batch.column_by_name("received_at")?;
    let received = received.as_primitive_opt::<TimestampMicrosecondType>()?;
    let mut topic: Arc<str> = Arc::from("");
    for row in 0..batch.num_rows() {
        if received.value(row) < since || keys.is_null(row) {
            continue;
        }
        if *topic != *topics.value(row) {
            topic = Arc::from(topics.value(row));
        }
        let Ok(partition) = i32::try_from(partitions.value(row)) else { continue };
        f(SeenKey {
            system: systems.value(row),
            event_key: keys.value(row),
            received_at: received.value(row),
            partition: LogPartition { topic: Arc::clone(&topic), partition },
            offset: offsets.value(row),
        });
    }
    Some(())
}

/// A Parquet file in a store, read range by range.
pub(crate) struct StoredFile {
    pub store: Arc<dyn ObjectStore>,
    pub path: Path,
    pub size: u64,
}

impl AsyncFileReader for StoredFile {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move { Ok(self.store.get_range(&self.path, range).await?) }.boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        async move { Ok(self.store.get_ranges(&self.path, &ranges).await?) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        async move {
            let size = self.size;
            Ok(Arc::new(ParquetMetaDataReader::new().load_and_finish(self, size).await?))
        }
        .boxed()
    }
}
