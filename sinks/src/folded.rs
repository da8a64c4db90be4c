//! Folded files: stored beside the tables, named by manifests that are created and never changed.
//!
//! A file is on the disk before the manifest that names it; the manifest is created under the next
//! number if nobody has that number yet, so of two who fold at the same time one has worked in vain
//! and nothing is mixed. It must never touch a table.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{DynObjectStore, ObjectStoreExt, PutMode};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use ringlake_transform::faults::{self, Side};
use ringlake_transform::folded::{
    FOLDED, FoldedFile, Manifest, Packed, manifest_name, manifest_number,
};
use ringlake_transform::narrow::narrowed;

use crate::error::SinkError;
use crate::root::Root;
use crate::settings::SinkSettings;

/// What errors call the folded files.
const NAME: &str = "folded";
const GROUP_ROWS: usize = 128 * 1024;

/// The place of folded files.
#[derive(Clone, Debug)]
pub struct Folded {
    root: Root,
    level: i32,
}

impl Folded {
    pub fn open(settings: &SinkSettings) -> Result<Self, SinkError> {
        let root = Root::open(&settings.root, &settings.storage_options)?;
        Ok(Self { root, level: settings.compression_level })
    }

    /// Stores rows as a file of a part whose row groups are cut at these rows, in their order; it is durable when this
    /// returns, and nobody reads it before a manifest names it.
    pub async fn put(
        &self,
        folder: &str,
        part: &str,
        packed: Packed,
        rows: RecordBatch,
        cuts: Vec<usize>,
    ) -> Result<FoldedFile, SinkError> {
        let compression = match packed {
            Packed::Fast => Compression::LZ4_RAW,
            Packed::Small => Compression::ZSTD(
                ZstdLevel::try_new(self.level).map_err(SinkError::parquet(NAME, "encoded"))?,
            ),
        };
        let count = rows.num_rows() as u64;
        let bytes = tokio::task::spawn_blocking(move || encode(&rows, &cuts, compression))
            .await
            .map_err(|source| SinkError::Task { source })?
            .map_err(SinkError::parquet(NAME, "encoded"))?;
        let path = format!("{folder}/{part}-{}.parquet", uuid::Uuid::new_v4());
        let size = bytes.len() as u64;
        faults::pass("sinks:fold-file", Side::Before);
        let put = self.store().put(&self.path(&path), bytes.into()).await;
        put.map_err(SinkError::file(NAME, &path, "written"))?;
        faults::pass("sinks:fold-file", Side::After);
        Ok(FoldedFile { path, rows: count, bytes: size })
    }

    /// Creates a manifest; false if there is one of its number.
    pub async fn publish(&self, folder: &str, manifest: &Manifest) -> Result<bool, SinkError> {
        let path = format!("{folder}/{}", manifest_name(manifest.number));
        let body = serde_json::to_vec(manifest)
            .map_err(|error| SinkError::BadProgress { what: error.to_string() })?;
        faults::pass("sinks:fold", Side::Before);
        let put =
            self.store().put_opts(&self.path(&path), body.into(), PutMode::Create.into()).await;
        let created = match put {
            Ok(_) => true,
            Err(object_store::Error::AlreadyExists { .. }) => false,
            Err(error) => return Err(SinkError::file(NAME, &path, "published")(error)),
        };
        faults::pass("sinks:fold", Side::After);
        Ok(created)
    }

    /// Deletes what no manifest names that a reader may still hold: manifests that were followed by
    /// another for longer than `grace`, their files, and files that were left behind by a kill.
    /// `folders` are those in use; folds of other definitions go when they have stood still as long.
    /// Returns how many files went, and their bytes.
    pub async fn sweep(
        &self,
        folders: &HashSet<String>,
        grace: Duration,
    ) -> Result<(u64, u64), SinkError> {
        let mut swept = (0, 0);
        let failed = |doing| SinkError::file(NAME, &FOLDED, doing);
        let top = self.path(FOLDED);
        let listed = self.store().list_with_delimiter(Some(&top)).await;
        for folder in listed.map_err(failed("listed"))?.common_prefixes {
            let name = folder.filename().unwrap_or_default();
            let used = folders.contains(&format!("{FOLDED}/{name}"));
            self.sweep_folder(&folder, used, grace, &mut swept).await?;
        }
        Ok(swept)
    }

    async fn sweep_folder(
        &self,
        folder: &Path,
        used: bool,
        grace: Duration,
        swept: &mut (u64, u64),
    ) -> Result<(), SinkError> {
        let failed = |doing| SinkError::file(NAME, folder, doing);
        let store = self.store();
        let files: Vec<_> =
            store.list(Some(folder)).try_collect().await.map_err(failed("listed"))?;
        let grace = chrono::Duration::from_std(grace).unwrap_or(chrono::Duration::MAX);
        let Some(oldest) = chrono::Utc::now().checked_sub_signed(grace) else { return Ok(()) };
        let number = |path: &Path| path.filename().and_then(manifest_number);
        let mut manifests: Vec<_> =
            files.iter().filter_map(|file| Some((number(&file.location)?, file))).collect();
        manifests.sort_by_key(|(number, _)| *number);
        // A manifest is in reach of readers until its successor has stood for the time of grace; the
        // newest has none.
        let next = manifests.iter().skip(1).map(|(_, file)| Some(file.last_modified)).chain([None]);
        let (mut kept, mut gone) = (HashSet::new(), HashSet::new());
        for ((_, file), followed) in manifests.iter().zip(next) {
            let followed = followed.or((!used).then_some(file.last_modified));
            if followed.is_none_or(|followed| followed >= oldest) {
                kept.extend(self.named_by(&file.location).await?);
            } else {
                gone.insert(file.location.clone());
            }
        }
        for file in &files {
            let is_manifest = number(&file.location).is_some();
            let is_lost = !is_manifest
                && file.last_modified < oldest
                && !kept.iter().any(|path| file.location.as_ref().ends_with(path));
            if gone.contains(&file.location) || is_lost {
                store.delete(&file.location).await.map_err(failed("swept"))?;
                swept.0 += 1;
                swept.1 += file.size;
            }
        }
        Ok(())
    }

    async fn named_by(&self, manifest: &Path) -> Result<Vec<String>, SinkError> {
        let failed = || SinkError::file(NAME, manifest, "read");
        let found = self.store().get(manifest).await.map_err(failed())?;
        let body = found.bytes().await.map_err(failed())?;
        // One that cannot be read names nothing that anybody could read.
        let manifest: Manifest = serde_json::from_slice(&body).unwrap_or_default();
        Ok(manifest.parts.into_values().flatten().map(|file| file.path).collect())
    }

    fn store(&self) -> Arc<DynObjectStore> {
        self.root.store()
    }

    fn path(&self, path: &str) -> Path {
        self.root.path(path)
    }
}

fn encode(
    rows: &RecordBatch,
    cuts: &[usize],
    compression: Compression,
) -> Result<Vec<u8>, parquet::errors::ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_created_by(concat!("ringlake ", env!("CARGO_PKG_VERSION")).to_owned())
        .build();
    let rows = narrowed(rows)?;
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties))?;
    let mut from = 0;
    for until in cuts.iter().copied().chain([rows.num_rows()]) {
        writer.write(&rows.slice(from, until - from))?;
        writer.flush()?;
        from = until;
    }
    writer.close()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::{Arc, Compression, RecordBatch, encode};

    #[test]
    fn all_rows_are_stored_wherever_they_are_cut() {
        let rows = |n| {
            let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..n));
            RecordBatch::try_from_iter([("n", column)]).unwrap()
        };
        let read = |bytes: Vec<u8>| {
            let file = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
            let groups = file.metadata().row_groups().iter().map(|group| group.num_rows());
            let groups: Vec<i64> = groups.collect();
            let read: Vec<RecordBatch> = file.build().unwrap().map(Result::unwrap).collect();
            (groups, read)
        };
        let encoded = |n, cuts: &[usize]| encode(&rows(n), cuts, Compression::LZ4_RAW).unwrap();
        assert_eq!(read(encoded(9, &[4, 5])), (vec![4, 1, 4], vec![rows(9)]));
        assert_eq!(read(encoded(9, &[0, 4, 4, 9])), (vec![4, 5], vec![rows(9)]));
        assert_eq!(read(encoded(9, &[])), (vec![9], vec![rows(9)]));
        assert_eq!(read(encoded(0, &[])), (vec![], vec![]));
    }
}
