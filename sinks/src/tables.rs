//! The second half of a batch's way: durable files → one commit per table → `progress`.
//!
//! | if the process dies | then |
//! | --- | --- |
//! | before the first commit | nothing has happened; files that no commit names are never read |
//! | between two tables' commits | the replay completes the missing tables, and the others skip it |
//! | before `progress` | readers do not see the batch; the replay finds every table done |
//! | after `progress` | the log may be trimmed behind it |
//!
//! Tables are committed in the order of `TABLES`, so whoever sees a call sees its legs. It must
//! never report a position to which some table is not complete.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use ringlake_transform::faults::{self, Mutant, Side};
use ringlake_transform::tables::{DEALS, PROGRESS};
use ringlake_transform::{LogPartition, OffsetRange, TABLES, TableBatch, TableSpec, Tally};

use crate::delta::commit::{self, Move};
use crate::delta::maintain::{self, Maintained};
use crate::delta::progress::{self, Advance, Cache, Progress, Row};
use crate::delta::schema;
use crate::delta::table::Table;
use crate::error::SinkError;
use crate::metrics::Metrics;
use crate::prepare::{Prepared, Ranges, Stored, Target, moves};
use crate::root::Root;
use crate::settings::SinkSettings;

/// What writing a batch came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The version of every table, as `progress` names them now.
    pub versions: BTreeMap<String, i64>,
    /// Rows that were new to their table; less than the batch had if parts of it were a replay.
    pub rows: u64,
    pub files: u64,
    pub bytes: u64,
}

/// What can be read without waiting for a batch.
#[derive(Default)]
pub(crate) struct Shown {
    pub progress: Progress,
    pub schemas: HashMap<&'static str, SchemaRef>,
}

/// All tables that exist, and what it takes to write them.
pub(crate) struct Tables {
    root: Root,
    settings: SinkSettings,
    metrics: Metrics,
    open: HashMap<&'static str, Table>,
    /// Rows of `progress` files that were read or written before.
    cache: Cache,
    swept: Option<Instant>,
    shown: Arc<RwLock<Shown>>,
}

/// How often old files of `progress` are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

type Tallies = [(LogPartition, Tally)];

impl Tables {
    pub async fn open(
        root: Root,
        settings: SinkSettings,
        shown: Arc<RwLock<Shown>>,
    ) -> Result<Self, SinkError> {
        let metrics = Metrics::new(settings.registry.as_ref())?;
        let (open, cache) = (HashMap::new(), Cache::default());
        let mut tables = Self { root, settings, metrics, open, cache, swept: None, shown };
        tables.refresh().await?;
        Ok(tables)
    }

    pub fn table_mut(&mut self, name: &str) -> Option<&mut Table> {
        self.open.get_mut(name)
    }

    /// The versions that readers see.
    pub fn shown_versions(&self) -> BTreeMap<String, i64> {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).progress.versions.clone()
    }

    /// Shows readers the versions since the ones that `progress` names in which no data changed. Where
    /// data did, a batch is on its way, and its own end will name them.
    pub async fn show_rearranged(&mut self) -> Result<(), SinkError> {
        let mut versions = BTreeMap::new();
        for (name, shown) in self.shown_versions() {
            let Some(table) = self.open.get(name.as_str()) else { continue };
            let newest = i64::try_from(table.version()).unwrap_or(i64::MAX);
            if newest > shown && table.is_rearranged_since(shown.unsigned_abs()).await? {
                versions.insert(name, newest);
            }
        }
        let rename = progress::Rename {
            versions,
            cache: &self.cache,
            level: self.settings.compression_level,
        };
        if let Some(table) = self.open.get_mut(PROGRESS.name) {
            commit::rearrange(table, &rename, self.settings.commit_attempts).await?;
        }
        self.publish().await
    }

    pub fn table(&self, name: &str) -> Option<&Table> {
        self.open.get(name)
    }

    /// Where this part's rows go, and what the table holds of these partitions.
    pub async fn target(
        &mut self,
        part: &TableBatch,
        ranges: &Ranges,
    ) -> Result<Target, SinkError> {
        let spec = part.table;
        let table = open_or_create(&mut self.open, &self.root, &self.settings, spec).await?;
        schema::missing(spec.name, table.schema(), &part.rows.schema())?;
        let held = table.held(ranges.iter().map(|(partition, _)| partition)).await?;
        Ok(Target { log_store: Arc::clone(table.log_store()), held })
    }

    /// Commits one batch and shows it.
    pub async fn commit(&mut self, batch: &Prepared) -> Result<Written, SinkError> {
        self.root.is_sound()?;
        let mut written = Written::default();
        if faults::is_mutant(Mutant::ProgressFirst) {
            self.advance(&batch.ranges, &batch.tallies).await?;
        }
        for part in &batch.parts {
            if !(faults::is_mutant(Mutant::ForgottenTable) && part.spec.name == DEALS.name) {
                self.commit_part(part, &mut written).await?;
            }
        }
        self.advance(&batch.ranges, &batch.tallies).await?;
        self.open.values_mut().for_each(Table::release);
        self.publish().await?;
        written.versions = self.versions();
        self.metrics.batch_seconds.observe(batch.started.elapsed().as_secs_f64());
        Ok(written)
    }

    async fn commit_part(&mut self, part: &Stored, written: &mut Written) -> Result<(), SinkError> {
        let name = part.spec.name;
        let table = open_or_create(&mut self.open, &self.root, &self.settings, part.spec).await?;
        let attempts = self.settings.commit_attempts;
        let tried = commit::commit(table, &part.moves, &part.append, attempts).await?;
        let bytes: i64 = part.append.files.iter().map(|file| file.size).sum();
        let (rows, files, bytes) =
            (part.rows as u64, part.append.files.len() as u64, bytes.unsigned_abs());
        self.metrics.rows.with_label_values(&[name]).inc_by(rows);
        self.metrics.files.with_label_values(&[name]).inc_by(files);
        self.metrics.bytes.with_label_values(&[name]).inc_by(bytes);
        self.metrics.commits.with_label_values(&[name]).inc();
        self.metrics.retries.with_label_values(&[name]).inc_by(u64::from(tried.saturating_sub(1)));
        written.rows += rows;
        written.files += files;
        written.bytes += bytes;
        Ok(())
    }

    /// Shows the batch: moves `progress` past its ranges.
    async fn advance(&mut self, ranges: &Ranges, tallies: &Tallies) -> Result<(), SinkError> {
        // Our commit may sit on top of another writer's batch, of which we have not seen every
        // table. What refers to others is read first, so that what it refers to is in what is read
        // after it.
        let adopted = self.open.values_mut().filter_map(|table| table.take_adopted().then_some(()));
        if adopted.count() > 0 {
            self.catch_up().await?;
        }
        let versions = Arc::new(self.versions());
        let table = open_or_create(&mut self.open, &self.root, &self.settings, &PROGRESS).await?;
        let held = table.held(ranges.iter().map(|(partition, _)| partition)).await?;
        let moves = moves(ranges, &held);
        if moves.is_empty() {
            return Ok(());
        }
        let now = chrono::Utc::now();
        let rows = moves.iter().map(|step| Row {
            partition: step.partition.clone(),
            position: step.to,
            committed_at: now.timestamp_micros(),
            tables: Arc::clone(&versions),
            tally: tally_of(tallies, ranges, step),
        });
        let advance = Advance {
            rows: rows.collect(),
            cache: &self.cache,
            level: self.settings.compression_level,
        };
        faults::pass("sinks:progress", Side::Before);
        let tried = commit::commit(table, &moves, &advance, self.settings.commit_attempts).await?;
        faults::pass("sinks:progress", Side::After);
        table.take_adopted();
        self.metrics.commits.with_label_values(&[PROGRESS.name]).inc();
        let retries = self.metrics.retries.with_label_values(&[PROGRESS.name]);
        retries.inc_by(u64::from(tried.saturating_sub(1)));
        self.metrics.progress_seconds.set(now.timestamp());
        Ok(())
    }

    /// Takes in what other writers have committed.
    pub async fn refresh(&mut self) -> Result<(), SinkError> {
        self.catch_up().await?;
        match self.open.get_mut(PROGRESS.name) {
            Some(table) => table.catch_up().await?,
            None => {
                if let Some(table) = Table::open(&self.root, &PROGRESS).await? {
                    self.open.insert(PROGRESS.name, table);
                }
            }
        }
        self.open.values_mut().for_each(|table| _ = table.take_adopted());
        self.publish().await
    }

    async fn catch_up(&mut self) -> Result<(), SinkError> {
        for spec in TABLES.iter().rev() {
            match self.open.get_mut(spec.name) {
                Some(table) => table.catch_up().await?,
                None => {
                    if let Some(table) = Table::open(&self.root, spec).await? {
                        self.open.insert(spec.name, table);
                    }
                }
            }
        }
        Ok(())
    }

    /// Tidies every table that needs it.
    pub async fn maintain(&mut self) -> Result<Maintained, SinkError> {
        let mut done = Maintained::default();
        for table in self.open.values_mut() {
            done.add(maintain::tidy(table, self.settings.checkpoint_every).await?);
        }
        let history = self.settings.history;
        let pause = history.min(SWEEP_EVERY);
        if let Some(progress) = self.open.get(PROGRESS.name)
            && self.swept.is_none_or(|swept| swept.elapsed() >= pause)
        {
            done.files = maintain::sweep(progress, history).await?;
            self.swept = Some(Instant::now());
        }
        Ok(done)
    }

    fn versions(&self) -> BTreeMap<String, i64> {
        let data = self.open.values().filter(|table| table.spec.name != PROGRESS.name);
        let signed = |version| i64::try_from(version).unwrap_or(i64::MAX);
        data.map(|table| (table.spec.name.to_owned(), signed(table.version()))).collect()
    }

    async fn publish(&mut self) -> Result<(), SinkError> {
        let progress = match self.open.get(PROGRESS.name) {
            Some(table) => Progress::of(&progress::live(table, &self.cache).await?),
            None => Progress::default(),
        };
        let data = self.open.values().filter(|table| table.spec.name != PROGRESS.name);
        let schemas = data.map(|table| (table.spec.name, table.arrow_schema())).collect();
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Shown { progress, schemas };
        Ok(())
    }
}

/// What became of the partition's events in this batch. Unknown if `progress` has shown a part of it
/// already, which only a race with another writer can bring about: which part the repeats are in is not
/// known here.
fn tally_of(tallies: &Tallies, ranges: &Ranges, step: &Move) -> Option<Tally> {
    let is_whole = |(partition, range): &(LogPartition, OffsetRange)| {
        *partition != step.partition || step.from.is_none_or(|from| range.first > from)
    };
    let of_it = tallies.iter().filter(|(partition, _)| *partition == step.partition);
    let sum = of_it.fold(Tally::default(), |sum, (_, tally)| sum.plus(*tally));
    ranges.iter().all(is_whole).then_some(sum)
}

async fn open_or_create<'a>(
    open: &'a mut HashMap<&'static str, Table>,
    root: &Root,
    settings: &SinkSettings,
    spec: &'static TableSpec,
) -> Result<&'a mut Table, SinkError> {
    match open.entry(spec.name) {
        std::collections::hash_map::Entry::Occupied(table) => Ok(table.into_mut()),
        std::collections::hash_map::Entry::Vacant(place) => {
            Ok(place.insert(Table::open_or_create(root, spec, settings.history).await?))
        }
    }
}
