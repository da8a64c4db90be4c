//! The tables as they lie on the disk, for whoever checks them: files, checksums, rows, positions.
//!
//! Everything is read at the newest version of each table, what `progress` does not show yet among it.
//! Files are streamed, so memory does not grow with them. Nothing is changed, and nothing that is wrong
//! is passed over: it comes back as a [`Fault`].

use std::collections::HashMap;

use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use ringlake_transform::tables::PROGRESS;
use ringlake_transform::{LogPartition, TABLES, TableSpec};
use xxhash_rust::xxh3::Xxh3;

use crate::delta::files;
use crate::delta::log;
use crate::delta::progress::{self, Cache, Progress};
use crate::delta::scan::StoredFile;
use crate::delta::table::Table;
use crate::error::SinkError;
use crate::root::Root;

/// Something in the tables that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub table: &'static str,
    /// The file it is about, relative to the table's folder; empty if it is about the table.
    pub path: String,
    pub what: String,
    /// What to do about it.
    pub hint: &'static str,
}

/// A file that a table is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFile {
    pub table: &'static TableSpec,
    pub path: String,
    pub bytes: u64,
    /// As the Delta log has them.
    pub rows: Option<u64>,
    location: Path,
}

/// All tables that exist and could be opened.
pub struct Audit {
    tables: Vec<Table>,
    pub progress: Progress,
    /// Why the others could not.
    pub faults: Vec<Fault>,
}

const FROM_BACKUP: &str = "restore the file from a backup, or rebuild the table from the log";
const REPORT: &str = "this is a fault of ringlake; please report it with this text";

impl Audit {
    /// Opens the tables below `root`, a folder or a URL.
    pub async fn open(root: &str, options: &HashMap<String, String>) -> Result<Self, SinkError> {
        let root = Root::open(root, options)?;
        let (mut tables, mut faults) = (Vec::new(), Vec::new());
        let mut progress = Progress::default();
        for spec in TABLES.iter().copied().chain([&PROGRESS]) {
            let opened = Table::open(&root, spec).await;
            match opened {
                Ok(Some(table)) => {
                    faults.extend(gaps(&table).await?);
                    tables.push(table);
                }
                Ok(None) => {}
                Err(error) => faults.push(Fault {
                    table: spec.name,
                    path: String::new(),
                    what: chain(&error),
                    hint: error.hint(),
                }),
            }
        }
        if let Some(table) = tables.iter().find(|table| table.spec.name == PROGRESS.name) {
            match progress::live(table, &Cache::default()).await {
                Ok(live) => progress = Progress::of(&live),
                Err(error) => faults.push(Fault {
                    table: PROGRESS.name,
                    path: String::new(),
                    what: chain(&error),
                    hint: error.hint(),
                }),
            }
        }
        let mut audit = Self { tables, progress, faults };
        audit.compare_versions();
        Ok(audit)
    }

    /// `progress` must name no version that a table does not have.
    fn compare_versions(&mut self) {
        for (name, version) in &self.progress.versions {
            let table = self.tables.iter().find(|table| table.spec.name == *name);
            let newest = table.map(|table| i64::try_from(table.version()).unwrap_or(i64::MAX));
            let broken = self.faults.iter().any(|fault| fault.table == *name);
            if newest.is_none_or(|newest| newest < *version) && !broken {
                let newest = newest.map_or("none".to_owned(), |newest| newest.to_string());
                self.faults.push(Fault {
                    table: PROGRESS.name,
                    path: String::new(),
                    what: format!("names version {version} of {name}, whose newest is {newest}"),
                    hint: "run `ringlake verify --repair`: it sets progress back, and the log is read \
                           again from there",
                });
            }
        }
    }

    /// The files of all tables.
    pub async fn files(&self) -> Result<Vec<TableFile>, SinkError> {
        let mut files = Vec::new();
        for table in &self.tables {
            let snapshot = table.snapshot().await?;
            let mut views = snapshot.file_views(table.log_store(), None);
            let failed = || SinkError::table(table.spec.name, "listed");
            while let Some(view) = views.try_next().await.map_err(failed())? {
                files.push(TableFile {
                    table: table.spec,
                    path: view.path().into_owned(),
                    bytes: view.size().unsigned_abs(),
                    rows: view.num_records().map(|rows| rows as u64),
                    location: view.object_store_path(),
                });
            }
        }
        Ok(files)
    }

    /// The position of each of these partitions in every table that exists, by the table's name.
    pub async fn positions(
        &mut self,
        partitions: &[LogPartition],
    ) -> Result<HashMap<&'static str, HashMap<LogPartition, i64>>, SinkError> {
        let mut all = HashMap::new();
        for table in &mut self.tables {
            let held = table.held(partitions.iter()).await?;
            let known = held.into_iter().filter_map(|(partition, last)| Some((partition, last?)));
            all.insert(table.spec.name, known.collect());
            table.release();
        }
        Ok(all)
    }

    /// Checks a file against the Delta log and its own checksum.
    pub async fn check(&self, file: &TableFile) -> Result<Option<Fault>, SinkError> {
        let Some(store) = self.store(file) else { return Ok(None) };
        let fault = |what: String| {
            Ok(Some(Fault {
                table: file.table.name,
                path: file.path.clone(),
                what,
                hint: FROM_BACKUP,
            }))
        };
        let found = match store.get(&file.location).await {
            Err(object_store::Error::NotFound { .. }) => return fault("is missing".to_owned()),
            found => found.map_err(SinkError::file(file.table.name, &file.path, "read"))?,
        };
        if found.meta.size != file.bytes {
            let size = found.meta.size;
            return fault(format!("has {size} bytes, not the {} of the Delta log", file.bytes));
        }
        let Some(expected) = files::checksum(&file.path) else { return Ok(None) };
        let (mut sum, mut bytes) = (Xxh3::new(), found.into_stream());
        let failed = || SinkError::file(file.table.name, &file.path, "read");
        while let Some(part) = bytes.try_next().await.map_err(failed())? {
            sum.update(&part);
        }
        match sum.digest() == expected {
            true => Ok(None),
            false => fault("is not what was written: its checksum differs".to_owned()),
        }
    }

    /// Calls `f` with the rows of a file, of these columns or all, and returns how many they were.
    pub async fn read(
        &self,
        file: &TableFile,
        columns: Option<&[&str]>,
        f: &mut (dyn FnMut(&RecordBatch) + Send),
    ) -> Result<u64, SinkError> {
        let Some(store) = self.store(file) else { return Ok(0) };
        let name = file.table.name;
        let reader = StoredFile { store, path: file.location.clone(), size: file.bytes };
        let builder = ParquetRecordBatchStreamBuilder::new(reader)
            .await
            .map_err(SinkError::parquet(name, "opened"))?;
        let columns = match columns {
            Some(columns) => {
                ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied())
            }
            None => ProjectionMask::all(),
        };
        let batches = builder.with_projection(columns).with_batch_size(8192).build();
        let mut batches = batches.map_err(SinkError::parquet(name, "opened"))?;
        let mut rows = 0;
        while let Some(batch) =
            batches.try_next().await.map_err(SinkError::parquet(name, "read"))?
        {
            rows += batch.num_rows() as u64;
            f(&batch);
        }
        Ok(rows)
    }

    /// What a count of rows says of a file.
    pub fn compare_rows(file: &TableFile, rows: u64) -> Option<Fault> {
        let expected = file.rows?;
        (rows != expected).then(|| Fault {
            table: file.table.name,
            path: file.path.clone(),
            what: format!("has {rows} rows, not the {expected} of the Delta log"),
            hint: REPORT,
        })
    }

    fn store(&self, file: &TableFile) -> Option<std::sync::Arc<dyn object_store::ObjectStore>> {
        let table = self.tables.iter().find(|table| table.spec.name == file.table.name)?;
        Some(table.log_store().object_store(None))
    }
}

/// Commits that are missing or broken between the newest checkpoint and the newest version.
async fn gaps(table: &Table) -> Result<Option<Fault>, SinkError> {
    let name = table.spec.name;
    let store = table.log_store().object_store(None);
    let first = log::last_checkpoint(&store).await + 1;
    for version in first..=table.version() {
        let path = log::commit_path(version);
        let body = match store.get(&path).await {
            Err(object_store::Error::NotFound { .. }) => None,
            found => {
                let found = found.map_err(SinkError::file(name, &path, "read"))?;
                Some(found.bytes().await.map_err(SinkError::file(name, &path, "read"))?)
            }
        };
        let what = match body.map(|body| log::parse(name, &path, &body)) {
            None => "is missing".to_owned(),
            Some(Err(error)) => chain(&error),
            Some(Ok(_)) => continue,
        };
        let hint = FROM_BACKUP;
        return Ok(Some(Fault { table: name, path: path.to_string(), what, hint }));
    }
    Ok(None)
}

/// The error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
