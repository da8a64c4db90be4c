//! Some columns of a table's young or old rows, for those who write it.
//!
//! Reads the files whose statistics say that rows of the asked time of receipt may be in them, one row
//! group's pages at a time: memory does not grow with the table. It reads what is committed, whether
//! or not `progress` shows it yet. It is no query: what the files hold beside these columns, and rows
//! outside of the time, is for the caller to pass over.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use arrow::array::RecordBatch;
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
use ringlake_transform::Micros;
use serde::Deserialize;

use super::table::Table;
use crate::error::SinkError;

/// Calls `f` with batches of these columns, of all files that may hold rows received in this time.
pub(crate) async fn batches(
    table: &Table,
    columns: &[&str],
    received: &RangeInclusive<Micros>,
    f: &mut (dyn FnMut(&RecordBatch) + Send),
) -> Result<(), SinkError> {
    let snapshot = table.snapshot().await?;
    let mut files = snapshot.file_views(table.log_store(), None);
    while let Some(found) =
        files.try_next().await.map_err(SinkError::table(table.spec.name, "listed"))?
    {
        let bounds = found.stats().as_deref().and_then(bounds);
        if bounds.is_none_or(|(low, high)| low <= *received.end() && high >= *received.start()) {
            file(table, columns, found.object_store_path(), found.size(), f).await?;
        }
    }
    Ok(())
}

/// The least and the greatest `received_at` of a file, if its statistics tell.
fn bounds(stats: &str) -> Option<(Micros, Micros)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Stats {
        min_values: Bounds,
        max_values: Bounds,
    }
    #[derive(Deserialize)]
    struct Bounds {
        received_at: String,
    }
    let stats: Stats = serde_json::from_str(stats).ok()?;
    let time = |bounds: &Bounds| DateTime::parse_from_rfc3339(&bounds.received_at).ok();
    // A writer other than ours may have cut the times to the millisecond.
    let low = time(&stats.min_values)?.timestamp_micros();
    Some((low, time(&stats.max_values)?.timestamp_micros() + 1000))
}

async fn file(
    table: &Table,
    columns: &[&str],
    path: Path,
    size: i64,
    f: &mut (dyn FnMut(&RecordBatch) + Send),
) -> Result<(), SinkError> {
    let name = table.spec.name;
    let reader =
        StoredFile { store: table.log_store().object_store(None), path, size: size.unsigned_abs() };
    let builder = ParquetRecordBatchStreamBuilder::new(reader)
        .await
        .map_err(SinkError::parquet(name, "opened"))?;
    let columns = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let mut batches =
        builder.with_projection(columns).build().map_err(SinkError::parquet(name, "opened"))?;
    while let Some(batch) = batches.try_next().await.map_err(SinkError::parquet(name, "read"))? {
        f(&batch);
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_from_the_statistics() {
        let stats = r#"{"numRecords": 1,
            "minValues": {"received_at": "2026-03-01T00:00:00.000Z"},
            "maxValues": {"received_at": "2026-03-01T00:00:00.001Z"}}"#;
        let first = 1_772_323_200_000_000;
        assert_eq!(bounds(stats), Some((first, first + 2000)));
        assert_eq!(bounds("{}"), None);
    }
}
