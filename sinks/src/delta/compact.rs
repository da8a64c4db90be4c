//! Compaction: many small files of a month become one, sorted, with the same rows.
//!
//! Each flush leaves a file a table and month. A group of them is read, sorted as the table's files
//! are, and stored as one; one commit puts it in their place and says that no data changed, so that
//! whoever follows the table passes it over. Positions are not touched. The new file is read back and
//! must hold the same rows before anybody hears of it. Appends go on meanwhile: a commit that lost a
//! race is made anew, unless another compaction took the files. Old files stay until vacuum.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use async_trait::async_trait;
use bytes::Bytes;
use deltalake_core::kernel::{Action, Add, Remove};
use deltalake_core::protocol::DeltaOperation;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ringlake_transform::TableSpec;
use ringlake_transform::faults::{self, Side};
use ringlake_transform::tables::EVENT_MONTH;
use xxhash_rust::xxh3::xxh3_128;

use super::commit::{self, Change};
use super::files;
use super::table::Table;
use crate::error::SinkError;

/// A file of this size is left as it is.
const SMALL_BYTES: i64 = 6 << 20;
/// A group ends here: its rows are in memory together.
const GROUP_BYTES: i64 = 12 << 20;
const GROUP_ROWS: usize = 200_000;

/// What compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Files that others took the place of, and how many those are.
    pub files: u64,
    pub became: u64,
    pub rows: u64,
}

#[derive(Clone, Debug)]
struct Small {
    path: String,
    bytes: i64,
    rows: usize,
    at: i64,
}

/// Small files of one month that become one.
struct Group {
    month: String,
    files: Vec<Small>,
}

/// Compacts each month of a table that has at least `least` small files.
pub(crate) async fn compact(
    table: &mut Table,
    least: usize,
    level: i32,
    attempts: u32,
) -> Result<Compacted, SinkError> {
    let mut done = Compacted::default();
    if table.spec.partition_columns().is_empty() {
        return Ok(done);
    }
    for group in groups(small_files(table).await?, least.max(2)) {
        let Some(made) = merge(table, &group, level).await? else { continue };
        let (files, became) = (group.files.len() as u64, made.len() as u64);
        let rows: usize = group.files.iter().map(|file| file.rows).sum();
        let replace = Replace { group, made };
        if commit::rearrange(table, &replace, attempts).await? {
            done.files += files;
            done.became += became;
            done.rows += rows as u64;
        }
    }
    Ok(done)
}

/// The small files of each month, oldest first.
async fn small_files(table: &Table) -> Result<BTreeMap<String, Vec<Small>>, SinkError> {
    let failed = || SinkError::table(table.spec.name, "listed");
    let snapshot = table.snapshot().await?;
    let mut views = snapshot.file_views(table.log_store(), None);
    let mut months: BTreeMap<String, Vec<Small>> = BTreeMap::new();
    while let Some(view) = views.try_next().await.map_err(failed())? {
        let path = view.path().into_owned();
        // A file that another tool has put elsewhere, or whose rows are not counted, stays its.
        let (Some(month), Some(rows)) = (month_of(&path), view.num_records()) else { continue };
        if view.size() < SMALL_BYTES && rows < GROUP_ROWS {
            let small = Small { bytes: view.size(), rows, at: view.modification_time(), path };
            months.entry(month).or_default().push(small);
        }
    }
    months.values_mut().for_each(|files| files.sort_by_key(|file| file.at));
    Ok(months)
}

fn month_of(path: &str) -> Option<String> {
    let (folder, _) = path.split_once('/')?;
    Some(folder.strip_prefix(EVENT_MONTH)?.strip_prefix('=')?.to_owned())
}

fn groups(months: BTreeMap<String, Vec<Small>>, least: usize) -> Vec<Group> {
    let mut groups = Vec::new();
    for (month, files) in months {
        let (mut group, mut bytes, mut rows) = (Vec::new(), 0, 0);
        for file in files {
            if bytes + file.bytes > GROUP_BYTES || rows + file.rows > GROUP_ROWS {
                groups.push(Group { month: month.clone(), files: std::mem::take(&mut group) });
                (bytes, rows) = (0, 0);
            }
            bytes += file.bytes;
            rows += file.rows;
            group.push(file);
        }
        groups.push(Group { month, files: group });
    }
    groups.retain(|group| group.files.len() >= least);
    groups
}

/// Stores the rows of the group as few files; none if one of its files has columns that are not the
/// table's.
async fn merge(table: &Table, group: &Group, level: i32) -> Result<Option<Vec<Add>>, SinkError> {
    let name = table.spec.name;
    let store = table.log_store().object_store(None);
    let mut bodies = Vec::with_capacity(group.files.len());
    for file in &group.files {
        let failed = || SinkError::file(name, &file.path, "read");
        let found = store.get(&Path::from(file.path.as_str())).await.map_err(failed())?;
        bodies.push(found.bytes().await.map_err(failed())?);
    }
    let (spec, schema, month) = (table.spec, table.arrow_schema(), group.month.clone());
    let made = tokio::task::spawn_blocking(move || rewrite(spec, &schema, &month, bodies, level))
        .await
        .map_err(|source| SinkError::Task { source })??;
    let Some(made) = made else { return Ok(None) };
    faults::pass("sinks:compact", Side::Before);
    let mut adds = Vec::with_capacity(made.len());
    for file in made {
        let add = files::store(name, table.log_store(), file).await?;
        adds.push(Add { data_change: false, ..add });
    }
    faults::pass("sinks:compact", Side::After);
    Ok(Some(adds))
}

/// Heavy work: not for an async thread.
fn rewrite(
    spec: &'static TableSpec,
    schema: &SchemaRef,
    month: &str,
    bodies: Vec<Bytes>,
    level: i32,
) -> Result<Option<Vec<files::File>>, SinkError> {
    let mut batches = Vec::new();
    for body in bodies {
        match read(spec, schema, month, body)? {
            Some(rows) => batches.extend(rows),
            None => return Ok(None),
        }
    }
    let failed = |doing| SinkError::rows(spec.name, doing);
    let rows = concat_batches(schema, &batches).map_err(failed("joined"))?;
    drop(batches);
    let files = files::encode(spec, &rows, level)?;
    let mut sum = fingerprint(&rows).map_err(failed("summed"))?;
    for file in &files {
        for batch in read(spec, schema, month, file.bytes.clone())?.unwrap_or_default() {
            let part = fingerprint(&batch).map_err(failed("summed"))?;
            sum = (sum.0.wrapping_sub(part.0), sum.1.wrapping_sub(part.1));
        }
    }
    if sum != (0, 0) {
        let what = "not those of the files it was made of".to_owned();
        let path = format!("{EVENT_MONTH}={month}");
        return Err(SinkError::TornCommit { table: spec.name, path, what });
    }
    Ok(Some(files))
}

/// The rows of a file under the table's columns; none if it has others.
fn read(
    spec: &'static TableSpec,
    schema: &SchemaRef,
    month: &str,
    body: Bytes,
) -> Result<Option<Vec<RecordBatch>>, SinkError> {
    let failed = || SinkError::parquet(spec.name, "read");
    let reader = ParquetRecordBatchReaderBuilder::try_new(body).map_err(failed())?;
    let known = |field: &arrow::datatypes::FieldRef| {
        schema.field_with_name(field.name()).is_ok_and(|own| own.data_type() == field.data_type())
    };
    if !reader.schema().fields().iter().all(known) {
        return Ok(None);
    }
    let mut batches = Vec::new();
    for batch in reader.build().map_err(failed())? {
        let batch = batch.map_err(SinkError::rows(spec.name, "read"))?;
        let aligned = aligned(schema, month, &batch);
        batches.push(aligned.map_err(SinkError::rows(spec.name, "laid out"))?);
    }
    Ok(Some(batches))
}

fn aligned(
    schema: &SchemaRef,
    month: &str,
    batch: &RecordBatch,
) -> Result<RecordBatch, ArrowError> {
    let rows = batch.num_rows();
    let column = |field: &arrow::datatypes::FieldRef| -> ArrayRef {
        if field.name() == EVENT_MONTH {
            return Arc::new(StringArray::from_iter_values(std::iter::repeat_n(month, rows)));
        }
        let held = batch.column_by_name(field.name()).cloned();
        held.unwrap_or_else(|| new_null_array(field.data_type(), rows))
    };
    RecordBatch::try_new(Arc::clone(schema), schema.fields().iter().map(column).collect())
}

/// The number of rows and the sum of their hashes: the same in whatever order they are.
fn fingerprint(rows: &RecordBatch) -> Result<(u64, u128), ArrowError> {
    let fields = rows.columns().iter().map(|c| SortField::new(c.data_type().clone())).collect();
    let values = RowConverter::new(fields)?.convert_columns(rows.columns())?;
    let sum = values.iter().fold(0u128, |sum, row| sum.wrapping_add(xxh3_128(row.as_ref())));
    Ok((rows.num_rows() as u64, sum))
}

/// Puts the new files in the place of the old.
struct Replace {
    group: Group,
    made: Vec<Add>,
}

#[async_trait]
impl Change for Replace {
    fn operation(&self) -> DeltaOperation {
        DeltaOperation::Optimize { predicate: None, target_size: GROUP_BYTES }
    }

    /// None once the old files are not all there any more: our commit landed, or another compaction
    /// took them.
    async fn actions(&self, table: &Table) -> Result<Vec<Action>, SinkError> {
        let failed = || SinkError::table(table.spec.name, "listed");
        let snapshot = table.snapshot().await?;
        let views = snapshot.file_views(table.log_store(), None);
        let live: HashSet<String> =
            views.map_ok(|view| view.path().into_owned()).try_collect().await.map_err(failed())?;
        if !self.group.files.iter().all(|file| live.contains(&file.path)) {
            return Ok(Vec::new());
        }
        let now = chrono::Utc::now().timestamp_millis();
        let partition = [(EVENT_MONTH.to_owned(), Some(self.group.month.clone()))];
        let removed = self.group.files.iter().map(|file| {
            Action::Remove(Remove {
                path: file.path.clone(),
                data_change: false,
                deletion_timestamp: Some(now),
                extended_file_metadata: Some(true),
                partition_values: Some(HashMap::from(partition.clone())),
                size: Some(file.bytes),
                ..Remove::default()
            })
        });
        Ok(self.made.iter().cloned().map(Action::Add).chain(removed).collect())
    }
}
