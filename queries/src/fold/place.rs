//! What lies on the disk: the manifests of a fold, its files, and what was committed since.
//!
//! What came since is read from the commits themselves: the files that they added with new rows.
//! Compaction adds files without new rows, which are passed over. Where the commits are gone, or rows
//! were taken out, or a commit is another than the one that was folded up to, a fold is of no use.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::datasource::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::parquet::{ParquetFormat, transform_schema_to_view};
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::prelude::SessionContext;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::{Action, Add, LogicalFileView};
use deltalake_core::logstore::logstore_for;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use ringlake_transform::folded::{FoldedTo, Manifest, manifest_number};
use ringlake_transform::narrow::widened;
use ringlake_transform::tables::EVENT_MONTH;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use url::Url;

use super::Fold;
use super::scope::nothing;
use crate::error::QueryError;
use crate::output::cell::hex;
use crate::stores::StoreOptions;
use crate::tables::Versions;

/// How many manifests are looked at before a reader of an old state gives up and asks all states.
const MANIFESTS: usize = 64;
/// A file that does not tell its rows counts as a large one.
const ROWS_UNTOLD: u64 = 100_000;
/// Files read at the same time.
const PARALLEL: usize = 16;

/// How texts are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Texts {
    /// As the tables have them, and as they were written.
    Whole,
    /// As views into what was read, so that no step on the way to an answer copies a text: groups of agents are made in
    /// three quarters of the time. Answers tell them as whole ones.
    Views,
}

/// The root of the tables, as folds see it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    root: Url,
    store: Arc<dyn ObjectStore>,
    /// The store that the root is in.
    whole: Arc<dyn ObjectStore>,
}

/// Files that hold rows of one table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail {
    pub files: Vec<TailFile>,
    pub commits: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct TailFile {
    /// Relative to the root of the tables.
    pub path: String,
    pub rows: u64,
    /// When it was written, in milliseconds since 1970.
    pub at: i64,
}

impl Tail {
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }
}

impl TailFile {
    /// A file that a commit adds.
    fn added(table: &str, add: &Add) -> Self {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Stats {
            num_records: u64,
        }
        let stats = add.stats.as_deref().and_then(|text| serde_json::from_str::<Stats>(text).ok());
        let rows = stats.map_or(ROWS_UNTOLD, |stats| stats.num_records);
        Self { path: format!("{table}/{}", add.path), rows, at: add.modification_time }
    }

    /// A file of a table as it is at a version.
    pub fn live(table: &str, file: &LogicalFileView) -> Self {
        let rows = file.num_records().and_then(|rows| u64::try_from(rows).ok());
        Self {
            path: format!("{table}/{}", file.path()),
            rows: rows.unwrap_or(ROWS_UNTOLD),
            at: file.modification_time(),
        }
    }
}

impl Place {
    pub fn open(root: &Url, stores: &StoreOptions) -> Result<Self, QueryError> {
        let log = stores.config().and_then(|config| logstore_for(root, config));
        let log = log.map_err(failed("the tables"))?;
        let (store, whole) = (log.object_store(None), log.root_object_store(None));
        Ok(Self { root: root.clone(), store, whole })
    }

    /// The newest manifest that is no newer than these versions.
    pub async fn manifest(
        &self,
        fold: &Fold,
        versions: &Versions,
    ) -> Result<Option<Manifest>, QueryError> {
        for number in self.numbers(fold).await?.into_iter().take(MANIFESTS) {
            let path =
                format!("{}/{}", fold.folder(), ringlake_transform::folded::manifest_name(number));
            let Some(body) = self.read(&path).await? else { continue };
            let Ok(manifest) = serde_json::from_slice::<Manifest>(&body) else { continue };
            let reached = |(table, to): (&String, &FoldedTo)| {
                versions.get(table).is_some_and(|version| *version >= to.version)
            };
            if manifest.sources.iter().all(reached) {
                return Ok(Some(manifest));
            }
        }
        Ok(None)
    }

    /// The numbers of all manifests, newest first.
    pub async fn numbers(&self, fold: &Fold) -> Result<Vec<u64>, QueryError> {
        let folder = Path::from(fold.folder());
        let mut numbers = Vec::new();
        let mut files = self.store.list(Some(&folder));
        while let Some(file) = files.next().await {
            match file {
                Ok(file) => numbers.extend(file.location.filename().and_then(manifest_number)),
                Err(object_store::Error::NotFound { .. }) => break,
                Err(error) => return Err(failed(fold.name)(error.into())),
            }
        }
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        Ok(numbers)
    }

    /// What was committed to a table after a version and up to another; none if the commits do not
    /// tell.
    pub async fn tail(
        &self,
        table: &str,
        after: Option<&FoldedTo>,
        to: u64,
    ) -> Result<Option<Tail>, QueryError> {
        if let Some(after) = after
            && self.commit_hash(table, after.version).await?.as_ref() != Some(&after.id)
        {
            return Ok(None);
        }
        let first = after.map_or(0, |after| after.version + 1);
        let commits: Vec<_> = futures::stream::iter(first..=to)
            .map(|version| self.commit(table, version))
            .buffered(PARALLEL)
            .try_collect()
            .await?;
        let mut tail = Tail::default();
        let mut compacted = HashSet::new();
        for body in commits {
            let Some(actions) = body.as_deref().and_then(actions) else { return Ok(None) };
            for action in actions {
                match action {
                    Action::Add(add) if add.data_change => {
                        tail.files.push(TailFile::added(table, &add));
                    }
                    Action::Remove(remove) if remove.data_change => return Ok(None),
                    Action::Remove(remove) => {
                        compacted.insert(format!("{table}/{}", remove.path));
                    }
                    _ => {}
                }
            }
            tail.commits += 1;
        }
        // Files that others took the place of are there until a vacuum.
        for file in tail.files.iter().filter(|file| compacted.contains(&file.path)) {
            match self.store.head(&Path::from(file.path.as_str())).await {
                Ok(_) => {}
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(failed(&file.path)(error.into())),
            }
        }
        Ok(Some(tail))
    }

    /// What tells this commit from any other of the same version; none if it is gone.
    pub async fn commit_hash(
        &self,
        table: &str,
        version: u64,
    ) -> Result<Option<String>, QueryError> {
        let body = self.commit(table, version).await?;
        Ok(body.map(|body| hex(&Sha256::digest(&body))))
    }

    async fn commit(&self, table: &str, version: u64) -> Result<Option<bytes::Bytes>, QueryError> {
        self.read(&format!("{table}/_delta_log/{version:020}.json")).await
    }

    async fn read(&self, path: &str) -> Result<Option<bytes::Bytes>, QueryError> {
        let read = async { self.store.get(&Path::from(path)).await?.bytes().await };
        match read.await {
            Ok(body) => Ok(Some(body)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(path)(error.into())),
        }
    }

    /// These files as one table; its columns are those of the first file where no schema is given.
    pub async fn files(
        &self,
        context: &SessionContext,
        paths: impl Iterator<Item = &str>,
        schema: Option<SchemaRef>,
        texts: Texts,
    ) -> Result<Arc<dyn TableProvider>, QueryError> {
        let urls: Vec<ListingTableUrl> = paths
            .map(|path| ListingTableUrl::parse(format!("{}{path}", self.root)))
            .collect::<Result<_, _>>()
            .map_err(QueryError::Failed)?;
        if urls.is_empty() {
            let schema = schema.unwrap_or_else(|| Arc::new(Schema::empty()));
            return Ok(Arc::new(EmptyTable::new(schema)));
        }
        if self.root.scheme() != "file" {
            context.register_object_store(&self.root, Arc::clone(&self.whole));
        }
        let views = texts == Texts::Views;
        // Metadata says of a column what it was before it was narrowed.
        let format =
            ParquetFormat::default().with_force_view_types(views).with_skip_metadata(false);
        let format: Arc<dyn FileFormat> = Arc::new(format);
        let options = ListingOptions::new(format).with_file_extension(".parquet");
        let schema = match (schema, urls.first()) {
            (Some(schema), _) if views => Arc::new(transform_schema_to_view(&schema)),
            (Some(schema), _) => schema,
            (None, Some(first)) => {
                let stored = options.infer_schema(&context.state(), first).await;
                Arc::new(widened(&*stored.map_err(QueryError::Failed)?))
            }
            (None, None) => Arc::new(Schema::empty()),
        };
        let config = ListingTableConfig::new_with_multi_paths(urls)
            .with_listing_options(options)
            .with_schema(schema);
        let table = ListingTable::try_new(config).map_err(QueryError::Failed)?;
        // What is known of a file is worked out once, and not for each plan: it never changes.
        let known = context.runtime_env().cache_manager.get_file_statistic_cache();
        Ok(Arc::new(table.with_cache(known)))
    }

    /// Files of a table, with the table's columns: the month is in a file's path, and in its rows only
    /// by their time.
    pub async fn table_files(
        &self,
        context: &SessionContext,
        paths: impl Iterator<Item = &str>,
        schema: &SchemaRef,
    ) -> Result<Arc<dyn TableProvider>, QueryError> {
        let stored: Vec<_> =
            schema.fields().iter().filter(|field| field.name() != EVENT_MONTH).cloned().collect();
        let stored = Arc::new(Schema::new(stored));
        let files = self.files(context, paths, Some(stored), Texts::Whole).await?;
        let columns = schema.fields().iter().map(|field| {
            use datafusion::functions::expr_fn::to_char;
            use datafusion::prelude::{ident, lit};
            if field.name() == EVENT_MONTH {
                to_char(ident("event_time"), lit("%Y-%m")).alias(EVENT_MONTH)
            } else {
                ident(field.name())
            }
        });
        let frame = context.read_table(files).and_then(|frame| frame.select(columns));
        Ok(frame.map_err(QueryError::Failed)?.into_view())
    }

    /// The folded files of each part that has any. States are merged as the tables have them.
    pub async fn parts(
        &self,
        context: &SessionContext,
        fold: &Fold,
        manifest: &Manifest,
        schema: Option<SchemaRef>,
        texts: Texts,
    ) -> Result<BTreeMap<&'static str, Arc<dyn TableProvider>>, QueryError> {
        let mut parts = BTreeMap::new();
        for part in fold.parts {
            let Some(files) = manifest.parts.get(part.name).filter(|files| !files.is_empty())
            else {
                continue;
            };
            let paths = files.iter().map(|file| file.path.as_str());
            let texts = if part.view.is_some() { texts } else { Texts::Whole };
            let rows = self.files(context, paths, schema.clone(), texts).await?;
            let none = files.iter().all(|file| file.rows == 0);
            let rows =
                if none { nothing(&rows.schema()).map_err(QueryError::Failed)? } else { rows };
            parts.insert(part.name, rows);
        }
        Ok(parts)
    }
}

/// The actions of a commit; none if it cannot be read.
fn actions(body: &[u8]) -> Option<Vec<Action>> {
    serde_json::Deserializer::from_slice(body).into_iter::<Action>().collect::<Result<_, _>>().ok()
}

fn failed(what: &str) -> impl FnOnce(DeltaTableError) -> QueryError {
    let table = what.to_owned();
    move |source| QueryError::Table { table, source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, RecordBatch};
    use arrow::datatypes::{DataType, Decimal128Type};
    use parquet::arrow::ArrowWriter;
    use ringlake_transform::narrow::narrowed;

    use super::*;

    const AMOUNT: DataType = DataType::Decimal128(28, 9);
    const MANY_DIGITS: i128 = 10_i128.pow(24);

    /// Writes a file as it is folded; returns the type that its amounts have there.
    fn written(file: &std::path::Path, amounts: &[i128]) -> DataType {
        let amounts = Decimal128Array::from_iter_values(amounts.iter().copied());
        let amounts: ArrayRef = Arc::new(amounts.with_data_type(AMOUNT));
        let rows = narrowed(&RecordBatch::try_from_iter([("cost", amounts)]).unwrap()).unwrap();
        let file = File::create(file).unwrap();
        let mut writer = ArrowWriter::try_new(file, rows.schema(), None).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
        rows.column(0).data_type().clone()
    }

    #[tokio::test]
    async fn amounts_are_read_whole_whichever_file_is_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert_ne!(written(&at("few.parquet"), &[1, -2]), AMOUNT);
        assert_eq!(written(&at("many.parquet"), &[MANY_DIGITS, 3]), AMOUNT);
        let root = Url::from_directory_path(folder.path()).unwrap();
        let place = Place::open(&root, &StoreOptions::default()).unwrap();
        for files in [["few.parquet", "many.parquet"], ["many.parquet", "few.parquet"]] {
            let context = SessionContext::new();
            let read = place.files(&context, files.into_iter(), None, Texts::Views).await.unwrap();
            assert_eq!(*read.schema().field(0).data_type(), AMOUNT);
            let read = context.read_table(read).unwrap().collect().await.unwrap();
            let amounts = read.iter().flat_map(|rows| {
                let amounts = rows.column(0).as_primitive::<Decimal128Type>();
                assert_eq!(*amounts.data_type(), AMOUNT);
                amounts.values().iter().copied()
            });
            let mut amounts: Vec<i128> = amounts.collect();
            amounts.sort_unstable();
            assert_eq!(amounts, [-2, 1, 3, MANY_DIGITS]);
        }
    }
}
