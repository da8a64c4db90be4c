//! Help for the tests: batches with the schemas of real tables, sinks in folders of their own, a
//! store that fails on request, and what a stranger reads from the tables.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, new_null_array};
use arrow::array::{AsArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit};
use async_trait::async_trait;
use deltalake_core::datafusion::prelude::SessionContext;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, DynObjectStore, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions,
    Result,
};
use ringlake_transform::{FlatBatch, LogPartition, OffsetRange, TableBatch, TableSpec, tables};
use tempfile::TempDir;

use crate::error::SinkError;
use crate::root::Root;
use crate::settings::SinkSettings;
use crate::sink::Sink;

pub const MARCH: i64 = 1_772_366_400_000_000;
const DAY: i64 = 24 * 3600 * 1_000_000;

pub fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub fn settings(folder: &TempDir) -> SinkSettings {
    SinkSettings {
        commit_attempts: 3,
        ..SinkSettings::new(folder.path().join("tables").to_str().unwrap())
    }
}

pub async fn sink(folder: &TempDir) -> Sink {
    Sink::open(settings(folder)).await.unwrap()
}

pub fn calls_log() -> LogPartition {
    LogPartition::new("ringlake.freshcaller", 0)
}

/// Rows of a table at these offsets of a log partition, one a day from the 1st of March 2026,
/// newest first, so that files have to sort them.
pub fn rows(spec: &'static TableSpec, log: &LogPartition, offsets: &[i64]) -> TableBatch {
    let offsets: Vec<i64> = offsets.iter().rev().copied().collect();
    let schema = spec.schema();
    let columns = schema.fields().iter().map(|field| column(field, log, &offsets)).collect();
    TableBatch { table: spec, rows: RecordBatch::try_new(schema, columns).unwrap() }
}

fn column(field: &Field, log: &LogPartition, offsets: &[i64]) -> ArrayRef {
    let text = |value: &dyn Fn(i64) -> String| {
        Arc::new(StringArray::from_iter_values(offsets.iter().map(|o| value(*o)))) as ArrayRef
    };
    let time = |offset: &i64| MARCH + offset % 100 * DAY + offset;
    match (field.name().as_str(), field.data_type()) {
        ("topic", _) => text(&|_| log.topic.to_string()),
        ("partition", _) => {
            Arc::new(Int64Array::from(vec![i64::from(log.partition); offsets.len()]))
        }
        ("offset", _) => Arc::new(Int64Array::from(offsets.to_vec())),
        ("event_key", _) => text(&|o| format!("{log}-{o}")),
        ("event_month", _) => text(&|o| {
            let at = chrono::DateTime::from_timestamp_micros(time(&o)).unwrap();
            at.format("%Y-%m").to_string()
        }),
        ("notes" | "extra", data_type) => new_null_array(data_type, offsets.len()),
        (name, DataType::Utf8) => text(&|o| format!("{name} {}", o % 7)),
        (_, DataType::Int64) => Arc::new(Int64Array::from(offsets.to_vec())),
        (_, DataType::Timestamp(TimeUnit::Microsecond, _)) => Arc::new(
            TimestampMicrosecondArray::from_iter_values(offsets.iter().map(time))
                .with_timezone("UTC"),
        ),
        (_, data_type) => new_null_array(data_type, offsets.len()),
    }
}

/// The same rows with one more text column.
pub fn with_column(mut batch: TableBatch, name: &str, label: &str) -> TableBatch {
    let mut fields: Vec<Arc<Field>> = batch.rows.schema().fields().iter().cloned().collect();
    let labels = HashMap::from([("ringlake.label".to_owned(), label.to_owned())]);
    fields.push(Arc::new(Field::new(name, DataType::Utf8, true).with_metadata(labels)));
    let mut columns = batch.rows.columns().to_vec();
    let offsets = batch.rows["offset"].as_primitive::<Int64Type>();
    let values = offsets.values().iter().map(|offset| format!("{name} of {offset}"));
    columns.push(Arc::new(StringArray::from_iter_values(values)));
    batch.rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    batch
}

pub fn batch(log: &LogPartition, first: i64, last: i64, tables: Vec<TableBatch>) -> FlatBatch {
    let ranges = vec![(log.clone(), OffsetRange::new(first, last))];
    FlatBatch { tables, ranges, ..FlatBatch::default() }
}

/// Calls, their legs and changes of one range without gaps.
pub fn calls(log: &LogPartition, first: i64, last: i64) -> FlatBatch {
    let offsets: Vec<i64> = (first..=last).collect();
    let specs = [&tables::CALL_PARTICIPANTS, &tables::FIELD_CHANGES, &tables::CALLS];
    batch(log, first, last, specs.into_iter().map(|spec| rows(spec, log, &offsets)).collect())
}

/// What SQL says about one table, as a stranger opens it: `table` stands for it.
pub async fn ask(folder: &TempDir, table: &str, sql: &str) -> Vec<RecordBatch> {
    let path = folder.path().join("tables").join(table);
    let url = url::Url::from_directory_path(path.canonicalize().unwrap()).unwrap();
    let delta = deltalake_core::open_table(url).await.unwrap();
    let context = SessionContext::new();
    context.register_table(table, delta.table_provider().await.unwrap()).unwrap();
    context.sql(&sql.replace("table", table)).await.unwrap().collect().await.unwrap()
}

/// Rows, distinct event keys, least and greatest offset of a table.
pub async fn census(folder: &TempDir, table: &str) -> (i64, i64, i64, i64) {
    let sql =
        "SELECT count(*), count(DISTINCT event_key), min(\"offset\"), max(\"offset\") FROM table";
    let answer = ask(folder, table, sql).await;
    let number = |column: usize| answer[0].column(column).as_primitive::<Int64Type>().value(0);
    (number(0), number(1), number(2), number(3))
}

/// The single number of an answer.
pub fn number(answer: &[RecordBatch]) -> i64 {
    answer[0].column(0).as_primitive::<Int64Type>().value(0)
}

pub fn exists(folder: &TempDir, table: &str) -> bool {
    folder.path().join("tables").join(table).join("_delta_log").exists()
}

/// The names of a table's commits.
pub fn commits(folder: &TempDir, table: &str) -> Vec<std::path::PathBuf> {
    let log = folder.path().join("tables").join(table).join("_delta_log");
    let mut names: Vec<_> = std::fs::read_dir(log)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    names.sort();
    names
}

/// When a put to a path that contains this text fails, and how often.
#[derive(Debug)]
pub struct Fault {
    pub path: String,
    /// Whether the put is done before the error is reported.
    pub lands: bool,
    pub times: AtomicU32,
}

/// A store whose puts can be made to fail.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<DynObjectStore>,
    faults: Arc<Mutex<Vec<Fault>>>,
    /// It lets two create one name, as some file systems and stores do.
    overwrites: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Vec<Fault>>>);

impl Faults {
    pub fn add(&self, path: &str, lands: bool, times: u32) {
        let fault = Fault { path: path.to_owned(), lands, times: AtomicU32::new(times) };
        self.0.lock().unwrap().push(fault);
    }

    pub fn clear(&self) {
        self.0.lock().unwrap().clear();
    }
}

/// A sink whose store fails as `Faults` says.
pub async fn faulty_sink(folder: &TempDir) -> (Sink, Faults) {
    let faults = Faults::default();
    (over(folder, &faults, false).await.unwrap(), faults)
}

/// A sink whose store lets two create one name.
pub async fn overwriting_sink(folder: &TempDir) -> Result<Sink, SinkError> {
    over(folder, &Faults::default(), true).await
}

async fn over(folder: &TempDir, faults: &Faults, overwrites: bool) -> Result<Sink, SinkError> {
    let settings = settings(folder);
    let root = Root::open(&settings.root, &settings.storage_options).unwrap();
    let faults = Arc::clone(&faults.0);
    let root = root.through(|inner| Arc::new(FaultyStore { inner, faults, overwrites }));
    Sink::open_at(root, settings).await
}

impl FaultyStore {
    fn fault(&self, location: &Path) -> Option<bool> {
        let faults = self.faults.lock().unwrap();
        let hit = faults.iter().find(|fault| {
            location.as_ref().contains(&fault.path)
                && fault
                    .times
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                    .is_ok()
        });
        hit.map(|fault| fault.lands)
    }
}

impl std::fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FaultyStore({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut opts: PutOptions,
    ) -> Result<PutResult> {
        if self.overwrites {
            opts.mode = PutMode::Overwrite;
        }
        let fault = self.fault(location);
        if fault != Some(false) {
            let done = self.inner.put_opts(location, payload, opts).await;
            if fault.is_none() {
                return done;
            }
        }
        Err(object_store::Error::Generic { store: "FaultyStore", source: "asked to fail".into() })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}
