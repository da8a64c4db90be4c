//! `progress`: the commit that shows a batch to readers.
//!
//! One live row per log partition says up to which offset every table is complete, and at which
//! version each table was then. A batch replaces the rows of the partitions it moved: a new file
//! in, the files with their old rows out, in one commit. What else stood in a file that goes out is
//! carried over, so a writer that owns all partitions keeps one live file of a few kilobytes. It is
//! written last and never before every table of the batch is durable.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use async_trait::async_trait;
use deltalake_core::kernel::{Action, Remove};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ringlake_transform::tables::PROGRESS;
use ringlake_transform::{LogPartition, Micros, Positions, Tally};

use super::append::growth;
use super::commit::Change;
use super::files;
use super::table::Table;
use crate::error::SinkError;
use crate::root::Root;

/// How far all tables are complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last offset, per log partition, up to which every table is complete.
    pub positions: Positions,
    /// The version of each table that shows it: the greatest that any live row names.
    pub versions: BTreeMap<String, i64>,
    /// When the newest row was committed; none before the first batch.
    pub committed_at: Option<Micros>,
    /// What became of each partition's events up to its position, where it was counted.
    pub tallies: BTreeMap<LogPartition, Tally>,
}

impl Progress {
    /// Reads `progress` below `root`, a folder or a URL; empty before the first batch.
    pub async fn load(root: &str, options: &HashMap<String, String>) -> Result<Self, SinkError> {
        let root = Root::open(root, options)?;
        match Table::open(&root, &PROGRESS).await? {
            Some(table) => Ok(Self::of(&live(&table, &Cache::default()).await?)),
            None => Ok(Self::default()),
        }
    }

    pub(crate) fn of(live: &[LiveFile]) -> Self {
        let mut progress = Self::default();
        for row in live.iter().flat_map(|file| file.rows.iter()) {
            progress.positions.advance(row.partition.clone(), row.position);
            if let Some(tally) = row.tally {
                progress.tallies.insert(row.partition.clone(), tally);
            }
            progress.committed_at = progress.committed_at.max(Some(row.committed_at));
            for (table, version) in row.tables.iter() {
                let known = progress.versions.entry(table.clone()).or_insert(*version);
                *known = (*known).max(*version);
            }
        }
        progress
    }
}

/// One row of `progress`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub partition: LogPartition,
    pub position: i64,
    pub committed_at: Micros,
    pub tables: Arc<BTreeMap<String, i64>>,
    /// Of all events up to the position; unknown where a version that did not count wrote some.
    pub tally: Option<Tally>,
}

/// A file of the present snapshot, with its rows.
pub(crate) struct LiveFile {
    pub path: String,
    pub size: i64,
    pub rows: Arc<Vec<Row>>,
}

/// Rows of files that were read or written before: a file never changes.
pub(crate) type Cache = Mutex<HashMap<String, Arc<Vec<Row>>>>;

/// The files of the present snapshot. Reads only those that `cache` does not know, and leaves in it
/// only those that are live.
pub(crate) async fn live(table: &Table, cache: &Cache) -> Result<Vec<LiveFile>, SinkError> {
    let mut files = Vec::with_capacity(table.files().len());
    for (path, size) in table.files() {
        let known = lock(cache).get(path).cloned();
        let rows = match known {
            Some(rows) => rows,
            None => Arc::new(read(table, path).await?),
        };
        files.push(LiveFile { path: path.clone(), size: *size, rows });
    }
    *lock(cache) = files.iter().map(|file| (file.path.clone(), Arc::clone(&file.rows))).collect();
    Ok(files)
}

fn lock(cache: &Cache) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Vec<Row>>>> {
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}

/// With more live files than this all become one: each import leaves one behind, and readers open
/// all.
const MANY_FILES: usize = 16;

/// Replaces the rows of the partitions that a batch moved.
pub(crate) struct Advance<'a> {
    /// Their tallies are of the batch alone: the sums are made from the rows that go out.
    pub rows: Vec<Row>,
    pub cache: &'a Cache,
    pub level: i32,
}

#[async_trait]
impl Change for Advance<'_> {
    fn operation(&self) -> DeltaOperation {
        // The predicate tells other Delta writers which rows this replaced.
        let rows: Vec<String> = self.rows.iter().map(predicate).collect();
        DeltaOperation::Write {
            mode: SaveMode::Overwrite,
            partition_by: None,
            predicate: Some(rows.join(" OR ")),
        }
    }

    async fn actions(&self, table: &Table) -> Result<Vec<Action>, SinkError> {
        let moved: HashSet<&LogPartition> = self.rows.iter().map(|row| &row.partition).collect();
        let mut out = live(table, self.cache).await?;
        if out.len() <= MANY_FILES {
            out.retain(|file| file.rows.iter().any(|row| moved.contains(&row.partition)));
        }
        let carried = out
            .iter()
            .flat_map(|file| file.rows.iter())
            .filter(|row| !moved.contains(&row.partition));
        let moved = self.rows.iter().map(|row| added(row, &out));
        let rows: Vec<Row> = moved.chain(carried.cloned()).collect();

        let batch = encode(&rows)?;
        let mut actions = Vec::with_capacity(out.len() + 2);
        actions.extend(growth(table, &batch.schema())?);
        for file in files::encode(&PROGRESS, &batch, self.level)? {
            lock(self.cache).insert(file.add.path.clone(), Arc::new(rows.clone()));
            actions.push(files::store(PROGRESS.name, table.log_store(), file).await?.into());
        }
        actions.extend(out.into_iter().map(removed));
        Ok(actions)
    }
}

fn removed(file: LiveFile) -> Action {
    Action::Remove(Remove {
        path: file.path,
        data_change: true,
        deletion_timestamp: Some(chrono::Utc::now().timestamp_millis()),
        extended_file_metadata: Some(true),
        partition_values: Some(HashMap::new()),
        size: Some(file.size),
        ..Remove::default()
    })
}

/// Names newer versions of tables in rows that are there, their positions as they are: the same rows
/// lie in other files now.
pub(crate) struct Rename<'a> {
    pub versions: BTreeMap<String, i64>,
    pub cache: &'a Cache,
    pub level: i32,
}

#[async_trait]
impl Change for Rename<'_> {
    fn operation(&self) -> DeltaOperation {
        DeltaOperation::Write { mode: SaveMode::Overwrite, partition_by: None, predicate: None }
    }

    /// None once the newest versions that `progress` names are these.
    async fn actions(&self, table: &Table) -> Result<Vec<Action>, SinkError> {
        let live = live(table, self.cache).await?;
        let shown = Progress::of(&live).versions;
        let is_news = |(table, version): (&String, &i64)| shown.get(table) < Some(version);
        let Some(out) = live.into_iter().next().filter(|_| self.versions.iter().any(is_news))
        else {
            return Ok(Vec::new());
        };
        let renamed = |row: &Row| {
            let mut tables = row.tables.as_ref().clone();
            for (table, version) in &self.versions {
                let held = tables.entry(table.clone()).or_insert(*version);
                *held = (*held).max(*version);
            }
            Row { tables: Arc::new(tables), ..row.clone() }
        };
        let rows: Vec<Row> = out.rows.iter().map(renamed).collect();
        let mut actions = Vec::new();
        for file in files::encode(&PROGRESS, &encode(&rows)?, self.level)? {
            actions.push(files::store(PROGRESS.name, table.log_store(), file).await?.into());
        }
        actions.push(removed(out));
        Ok(actions)
    }
}

/// The row with the tally of its predecessor added.
fn added(row: &Row, live: &[LiveFile]) -> Row {
    let mut rows = live.iter().flat_map(|file| file.rows.iter());
    let tally = match rows.find(|old| old.partition == row.partition) {
        Some(old) => old.tally.zip(row.tally).map(|(old, new)| old.plus(new)),
        None => row.tally,
    };
    Row { tally, ..row.clone() }
}

fn predicate(row: &Row) -> String {
    let topic = row.partition.topic.replace('\'', "''");
    format!("(topic = '{topic}' AND \"partition\" = {})", row.partition.partition)
}

fn encode(rows: &[Row]) -> Result<RecordBatch, SinkError> {
    let tables: Result<Vec<String>, _> =
        rows.iter().map(|row| serde_json::to_string(row.tables.as_ref())).collect();
    let tables = tables.map_err(|error| SinkError::BadProgress { what: error.to_string() })?;
    let int = |value: fn(&Row) -> i64| {
        Arc::new(rows.iter().map(value).collect::<Int64Array>()) as ArrayRef
    };
    let count = |value: fn(&Tally) -> u64| {
        let counts = rows.iter().map(|row| i64::try_from(value(row.tally.as_ref()?)).ok());
        Arc::new(counts.collect::<Int64Array>()) as ArrayRef
    };
    let at: TimestampMicrosecondArray = rows.iter().map(|row| Some(row.committed_at)).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &*row.partition.topic))),
        int(|row| i64::from(row.partition.partition)),
        int(|row| row.position),
        Arc::new(at.with_timezone("UTC")),
        Arc::new(StringArray::from_iter_values(tables)),
        count(|tally| tally.events),
        count(|tally| tally.dead_lettered),
        count(|tally| tally.repeated),
    ];
    RecordBatch::try_new(PROGRESS.schema(), columns)
        .map_err(SinkError::rows(PROGRESS.name, "built"))
}

async fn read(table: &Table, path: &str) -> Result<Vec<Row>, SinkError> {
    let failed = || SinkError::file(PROGRESS.name, &path, "read");
    let store = table.log_store().object_store(None);
    let body =
        store.get(&Path::from(path)).await.map_err(failed())?.bytes().await.map_err(failed())?;
    let batches = ParquetRecordBatchReaderBuilder::try_new(body)
        .and_then(|reader| reader.build())
        .map_err(SinkError::parquet(PROGRESS.name, "read"))?;
    let mut rows = Vec::new();
    for batch in batches {
        let batch = batch.map_err(SinkError::rows(PROGRESS.name, "read"))?;
        rows.extend(decode(&batch).ok_or_else(|| SinkError::BadProgress {
            what: format!("{path} has other columns than expected"),
        })??);
    }
    Ok(rows)
}

/// `None` if the columns are not those of `progress`.
fn decode(batch: &RecordBatch) -> Option<Result<Vec<Row>, SinkError>> {
    let topics = batch.column_by_name("topic")?.as_string_opt::<i32>()?;
    let partitions = batch.column_by_name("partition")?.as_primitive_opt::<Int64Type>()?;
    let positions = batch.column_by_name("position")?.as_primitive_opt::<Int64Type>()?;
    let times = batch.column_by_name("committed_at")?;
    let times = times.as_primitive_opt::<TimestampMicrosecondType>()?;
    let tables = batch.column_by_name("tables")?.as_string_opt::<i32>()?;
    let count = |name: &str, row: usize| {
        let counts = batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
        counts.is_valid(row).then(|| counts.value(row).unsigned_abs())
    };
    let tally = |row: usize| {
        Some(Tally {
            events: count("events", row)?,
            dead_lettered: count("dead_lettered", row)?,
            repeated: count("repeated", row)?,
        })
    };
    let row = |row: usize| {
        let partition = i32::try_from(partitions.value(row))
            .map_err(|error| SinkError::BadProgress { what: error.to_string() })?;
        let tables = serde_json::from_str(tables.value(row))
            .map_err(|error| SinkError::BadProgress { what: error.to_string() })?;
        Ok(Row {
            partition: LogPartition::new(topics.value(row), partition),
            position: positions.value(row),
            committed_at: times.value(row),
            tables: Arc::new(tables),
            tally: tally(row),
        })
    };
    Some((0..batch.num_rows()).map(row).collect())
}
