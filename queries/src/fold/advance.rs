//! Folding on: what was committed since the last manifest becomes part of the folded files.
//!
//! ```text
//! tail ─▶ pieces, in the order of their commits ─▶ fresh rows ─▶ files with touched rows written anew
//!                                                                └▶ one manifest, at the end
//! ```
//!
//! Nothing is changed in place: files are added, and then a manifest that names them, if nobody was
//! faster. So a kill leaves files that no manifest names, and of two writers who fold at the same time
//! one has worked in vain. It reads only what `progress` shows, and holds up no batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int64Type, SchemaRef};
use async_trait::async_trait;
use datafusion::datasource::TableProvider;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use ringlake_transform::folded::{FoldedFile, FoldedTo, Manifest, Packed};

use super::fresh::{Inputs, fresh};
use super::groups::cuts;
use super::place::{Place, Tail, TailFile, Texts};
use super::scope::{Scope, of_keys, of_others};
use super::{FOLDS, Fold, Part};
use crate::engine::Engine;
use crate::error::QueryError;

/// A file with fewer rows is joined with what comes.
const SMALL_ROWS: u64 = 32_000;
/// Rows of a file at most.
const FILE_ROWS: usize = 512_000;

/// Whether what came since is worth folding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Whatever came.
    Always,
    /// Once questions would notice.
    Due,
    /// All over again, from the tables alone.
    Anew,
}

/// Once as many rows came, or as many commits, a fold is due.
const DUE_ROWS: u64 = 20_000;
const DUE_COMMITS: u64 = 100;

/// Where folded files are put.
#[async_trait]
pub trait FoldStore: Send + Sync {
    /// Stores rows as a file whose row groups are cut at these rows; durable once this returns.
    async fn put(
        &self,
        folder: &str,
        part: &str,
        packed: Packed,
        rows: RecordBatch,
        cuts: Vec<usize>,
    ) -> Result<FoldedFile, Failure>;

    /// Creates a manifest; false if there is one of its number by now.
    async fn publish(&self, folder: &str, manifest: &Manifest) -> Result<bool, Failure>;
}

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What folding did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advanced {
    /// Folds that have a new manifest.
    pub folds: Vec<&'static str>,
    /// States that were folded into them.
    pub rows: u64,
}

impl Engine {
    /// Folds what this engine sees and no fold holds yet, `at_once` states at a time, or as many as are in
    /// one file: they are in memory together. `tell` hears how many rows are done and how many there are,
    /// for each fold.
    pub async fn fold(
        &self,
        store: &dyn FoldStore,
        when: When,
        at_once: u64,
        tell: &(dyn Fn(&'static str, u64, u64) + Sync),
    ) -> Result<Advanced, QueryError> {
        let mut advanced = Advanced::default();
        let Some(place) = self.place()? else { return Ok(advanced) };
        for fold in FOLDS {
            let work = Work { engine: self, place: &place, store, fold, at_once };
            if let Some(rows) = work.advance(when, tell).await? {
                advanced.folds.push(fold.name);
                advanced.rows += rows;
            }
        }
        Ok(advanced)
    }
}

struct Work<'a> {
    engine: &'a Engine,
    place: &'a Place,
    store: &'a dyn FoldStore,
    fold: &'static Fold,
    at_once: u64,
}

impl Work<'_> {
    /// Returns how many rows were folded; none if nothing was done or another writer did it.
    async fn advance(
        &self,
        when: When,
        tell: &(dyn Fn(&'static str, u64, u64) + Sync),
    ) -> Result<Option<u64>, QueryError> {
        let Some((mut manifest, tails)) = self.since(when).await? else { return Ok(None) };
        let rows: u64 = tails.values().map(Tail::rows).sum();
        let commits = tails.values().map(|tail| tail.commits).max().unwrap_or(0);
        if (when == When::Due && rows < DUE_ROWS && commits < DUE_COMMITS) || commits == 0 {
            return Ok(None);
        }
        let schemas = self.schemas().await?;
        let mut done = 0;
        for piece in pieces(&tails, self.at_once) {
            tell(self.fold.name, done, rows);
            done += piece.values().flatten().map(|file| file.rows).sum::<u64>();
            self.piece(&mut manifest, &piece, &schemas).await?;
        }
        tell(self.fold.name, rows, rows);
        manifest.number += 1;
        manifest.sources = self.reached().await?;
        let published = self.store.publish(&self.fold.folder(), &manifest).await;
        Ok(published.map_err(failed)?.then_some(rows))
    }

    /// The manifest to go on from, and what came since. Where the commits do not tell, all over.
    async fn since(
        &self,
        when: When,
    ) -> Result<Option<(Manifest, BTreeMap<&'static str, Tail>)>, QueryError> {
        let versions = self.engine.versions();
        let newest = self.place.numbers(self.fold).await?.first().copied().unwrap_or(0);
        let held = self.place.manifest(self.fold, &versions).await?;
        if let Some(manifest) = held.filter(|_| when != When::Anew) {
            // There is a newer one, of versions that we do not see: another writer is ahead of us.
            if manifest.number != newest {
                return Ok(None);
            }
            if let Some(tails) = self.engine.tails(self.place, self.fold, &manifest).await? {
                return Ok(Some((manifest, tails)));
            }
        }
        let mut tails = BTreeMap::new();
        for table in self.fold.tables {
            let files = self.engine.live_files(table).await?;
            let commits = u64::from(versions.contains_key(*table));
            tails.insert(*table, Tail { files, commits });
        }
        Ok(Some((Manifest { number: newest, ..Manifest::default() }, tails)))
    }

    async fn reached(&self) -> Result<BTreeMap<String, FoldedTo>, QueryError> {
        let mut reached = BTreeMap::new();
        for table in self.fold.tables {
            let Some(version) = self.engine.versions().get(*table).copied() else { continue };
            if let Some(id) = self.place.commit_hash(table, version).await? {
                reached.insert((*table).to_owned(), FoldedTo { id, version });
            }
        }
        Ok(reached)
    }

    async fn schemas(&self) -> Result<BTreeMap<&'static str, SchemaRef>, QueryError> {
        let mut schemas = BTreeMap::new();
        for table in self.fold.tables {
            schemas.insert(*table, self.engine.table_schema(table).await?);
        }
        Ok(schemas)
    }

    /// Folds some of what came.
    async fn piece(
        &self,
        manifest: &mut Manifest,
        piece: &BTreeMap<&'static str, Vec<&TailFile>>,
        schemas: &BTreeMap<&'static str, SchemaRef>,
    ) -> Result<(), QueryError> {
        let context = self.engine.context();
        let mut inputs = Inputs {
            parts: self.engine.parts(self.place, self.fold, manifest, Texts::Whole).await?,
            beside: self.engine.beside(self.fold).await?,
            ..Inputs::default()
        };
        for (table, schema) in schemas {
            let files = piece.get(table).into_iter().flatten().map(|file| file.path.as_str());
            let tail = self.place.table_files(context, files, schema).await?;
            inputs.tail.insert(table, tail);
        }
        let mut fresh = fresh(context, self.fold, &inputs).await.map_err(QueryError::Failed)?;
        for part in self.fold.parts {
            let files = manifest.parts.remove(part.name).unwrap_or_default();
            let rows = fresh.parts.remove(part.name);
            let files = self.part(part, files, rows, &fresh.keys).await?;
            manifest.parts.insert(part.name.to_owned(), files);
        }
        Ok(())
    }

    /// The files of a part without the rows of touched entities, and with the fresh ones.
    async fn part(
        &self,
        part: &Part,
        files: Vec<FoldedFile>,
        fresh: Option<RecordBatch>,
        keys: &RecordBatch,
    ) -> Result<Vec<FoldedFile>, QueryError> {
        let mut stay = Vec::new();
        let columns = fresh.as_ref().map(RecordBatch::schema);
        let empty = files.iter().find(|file| file.rows == 0).cloned();
        let mut pool = Vec::from_iter(fresh);
        for file in files {
            let folded = self.rows_of(&file, part).await?;
            let touched = self.touched(&folded, keys).await.map_err(QueryError::Failed)?;
            let left = file.rows.saturating_sub(touched);
            if touched == 0 && left >= SMALL_ROWS {
                stay.push(file);
                continue;
            }
            let rest = self.untouched(folded, keys).await.map_err(QueryError::Failed)?;
            if left < SMALL_ROWS {
                pool.push(rest);
            } else {
                stay.extend(self.write(part, vec![rest]).await?);
            }
        }
        stay.extend(self.write(part, pool).await?);
        // Questions are asked of files: where there are no rows, one tells the columns.
        if let (true, Some(columns)) = (stay.is_empty(), columns) {
            let none = RecordBatch::new_empty(columns);
            stay.push(match empty {
                Some(file) => file,
                None => self.store_file(part, none, Vec::new()).await?,
            });
        }
        Ok(stay)
    }

    async fn rows_of(
        &self,
        file: &FoldedFile,
        part: &Part,
    ) -> Result<Arc<dyn TableProvider>, QueryError> {
        let schema = self.engine.part_schema(self.fold, part.name).await?;
        let paths = std::iter::once(file.path.as_str());
        self.place.files(self.engine.context(), paths, schema, Texts::Whole).await
    }

    async fn touched(
        &self,
        folded: &Arc<dyn TableProvider>,
        keys: &RecordBatch,
    ) -> datafusion::error::Result<u64> {
        let scope = Scope::beside(self.engine.context());
        scope.add("folded", Arc::clone(folded))?;
        scope.add_rows("keys", keys.clone())?;
        let sql = of_keys("count(*) AS n", "folded", keys, self.fold.key);
        let counted = scope.rows(&sql).await?;
        let n = counted.column_by_name("n").and_then(|n| n.as_primitive_opt::<Int64Type>());
        Ok(n.filter(|n| !n.is_empty()).map_or(0, |n| n.value(0).unsigned_abs()))
    }

    async fn untouched(
        &self,
        folded: Arc<dyn TableProvider>,
        keys: &RecordBatch,
    ) -> datafusion::error::Result<RecordBatch> {
        let scope = Scope::beside(self.engine.context());
        scope.add("folded", folded)?;
        scope.add_rows("keys", keys.clone())?;
        scope.rows(&of_others(self.fold.key)).await
    }

    /// Sorts rows and stores them in as many files as they need.
    async fn write(
        &self,
        part: &Part,
        pool: Vec<RecordBatch>,
    ) -> Result<Vec<FoldedFile>, QueryError> {
        let mut files = Vec::new();
        let mut waiting: Vec<RecordBatch> = Vec::new();
        let mut sorted = match sorted(self.engine.context(), part, pool).await {
            Ok(Some(sorted)) => sorted,
            Ok(None) => return Ok(files),
            Err(error) => return Err(QueryError::Failed(error)),
        };
        while let Some(batch) = sorted.try_next().await.map_err(QueryError::Failed)? {
            waiting.push(batch);
            if waiting.iter().map(RecordBatch::num_rows).sum::<usize>() >= FILE_ROWS {
                files.extend(self.put(part, &mut waiting).await?);
            }
        }
        // What is being sorted is not needed while the last file is encoded.
        drop(sorted);
        files.extend(self.put(part, &mut waiting).await?);
        Ok(files)
    }

    async fn put(
        &self,
        part: &Part,
        waiting: &mut Vec<RecordBatch>,
    ) -> Result<Option<FoldedFile>, QueryError> {
        let batches = std::mem::take(waiting);
        let Some(first) = batches.first() else { return Ok(None) };
        let rows = concat_batches(&first.schema(), &batches)
            .map_err(|error| QueryError::Failed(error.into()))?;
        drop(batches);
        if rows.num_rows() == 0 {
            return Ok(None);
        }
        let cuts = cuts(&rows, part.sort).map_err(|error| QueryError::Failed(error.into()))?;
        self.store_file(part, rows, cuts).await.map(Some)
    }

    async fn store_file(
        &self,
        part: &Part,
        rows: RecordBatch,
        cuts: Vec<usize>,
    ) -> Result<FoldedFile, QueryError> {
        let folder = self.fold.folder();
        let put = self.store.put(&folder, part.name, part.packed, rows, cuts);
        put.await.map_err(failed)
    }
}

async fn sorted(
    context: &SessionContext,
    part: &Part,
    pool: Vec<RecordBatch>,
) -> datafusion::error::Result<Option<datafusion::execution::SendableRecordBatchStream>> {
    let pool: Vec<RecordBatch> = pool.into_iter().filter(|rows| rows.num_rows() > 0).collect();
    if pool.is_empty() {
        return Ok(None);
    }
    let scope = Scope::beside(context);
    let mut both = Vec::new();
    for (n, rows) in pool.into_iter().enumerate() {
        scope.add_rows(&format!("pool_{n}"), rows)?;
        both.push(format!("SELECT * FROM pool_{n}"));
    }
    let by: Vec<String> = part.sort.iter().map(|column| format!("\"{column}\"")).collect();
    let sql = format!("{} ORDER BY {}", both.join(" UNION ALL "), by.join(", "));
    scope.context().sql(&sql).await?.execute_stream().await.map(Some)
}

/// What came, in pieces that fit in memory; files that were written at one time are in one piece, so
/// that a call comes with its legs.
fn pieces<'a>(
    tails: &'a BTreeMap<&'static str, Tail>,
    at_once: u64,
) -> Vec<BTreeMap<&'static str, Vec<&'a TailFile>>> {
    let mut files: Vec<(&'static str, &TailFile)> = tails
        .iter()
        .flat_map(|(table, tail)| tail.files.iter().map(|file| (*table, file)))
        .collect();
    files.sort_by_key(|(_, file)| file.at);
    let mut pieces: Vec<BTreeMap<&'static str, Vec<&TailFile>>> = Vec::new();
    let mut room = 0;
    for (table, file) in files {
        if room < file.rows || pieces.is_empty() {
            pieces.push(BTreeMap::new());
            room = at_once;
        }
        room = room.saturating_sub(file.rows);
        if let Some(piece) = pieces.last_mut() {
            piece.entry(table).or_default().push(file);
        }
    }
    pieces
}

fn failed(source: Failure) -> QueryError {
    QueryError::Fold { source }
}
