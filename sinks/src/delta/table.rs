//! One Delta table: opening it, making it, and what it is known to hold.
//!
//! What a commit needs of a table is little: its version, its columns, and the positions it holds.
//! These are read once and then follow each commit, ours or another writer's, by its actions. The
//! list of all files is not kept: with it every commit would cost more the more files there are.
//!
//! A table is only trusted after its newest commit has been looked at (after a power cut it may be
//! empty or cut short, and Delta readers take an empty commit for "nothing changed") and after what
//! a killed predecessor left unsynced has been synced.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use deltalake_core::kernel::transaction::{CommitData, TransactionError};
use deltalake_core::kernel::{
    Action, EagerSnapshot, Metadata, Protocol, Snapshot, StructType, new_metadata,
};
use deltalake_core::logstore::{CommitOrBytes, LogStoreRef};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::{DeltaTable, DeltaTableError};
use futures::TryStreamExt;
use ringlake_transform::faults::{self, Side};
use ringlake_transform::tables::PROGRESS;
use ringlake_transform::{LogPartition, TableSpec};

use super::rows::Held;
use super::{log, schema, stats};
use crate::error::SinkError;
use crate::root::Root;

const RETENTION: &str = "delta.setTransactionRetentionDuration";
/// What a table may ask of its writers beyond the first protocol; none of it concerns whole new
/// files.
const FEATURES: [&str; 5] =
    ["appendOnly", "invariants", "deletionVectors", "timestampNtz", "vacuumProtocolCheck"];
/// After this long without a look at the log, versions we have not seen might have been tidied
/// away.
const STALE: Duration = Duration::from_secs(3600);

/// A table that exists.
pub(crate) struct Table {
    pub spec: &'static TableSpec,
    pub root: Root,
    log_store: LogStoreRef,
    version: u64,
    metadata: Metadata,
    schema: Arc<StructType>,
    arrow: SchemaRef,
    /// Every position that was asked for, and every one that a commit since `base` moved.
    held: Held,
    /// The snapshot that positions which are not in `held` are read from.
    base: Option<EagerSnapshot>,
    /// The live files of `progress`, with their sizes; of other tables none are kept.
    files: BTreeMap<String, i64>,
    looked_at: Instant,
    /// Whether commits of other writers were taken in since `take_adopted`.
    adopted: bool,
    pub commits_since_checkpoint: u64,
}

/// The name under which a table keeps the position of a log partition.
pub(crate) fn app_id(partition: &LogPartition) -> String {
    format!("ringlake/{}/{}", partition.topic, partition.partition)
}

/// The log partition of such a name.
fn partition_of(app_id: &str) -> Option<LogPartition> {
    let (topic, partition) = app_id.strip_prefix("ringlake/")?.rsplit_once('/')?;
    Some(LogPartition::new(topic, partition.parse().ok()?))
}

impl Table {
    /// The table, if it exists.
    pub async fn open(root: &Root, spec: &'static TableSpec) -> Result<Option<Self>, SinkError> {
        let log_store = root.log_store(spec.name)?;
        let exists = log_store.is_delta_table_location().await;
        if !exists.map_err(SinkError::table(spec.name, "looked for"))? {
            return Ok(None);
        }
        root.settle(spec.name).await?;
        let checkpoint = log::check(spec.name, &log_store).await?;
        let snapshot = Snapshot::try_new(&log_store, None)
            .await
            .map_err(SinkError::table(spec.name, "read"))?;
        check_protocol(spec.name, snapshot.protocol())?;
        let mut table = Self {
            spec,
            root: root.clone(),
            version: snapshot.version(),
            metadata: snapshot.metadata().clone(),
            arrow: arrow_schema(spec.name, &snapshot.schema())?,
            schema: snapshot.schema(),
            held: Held::new(),
            base: None,
            files: BTreeMap::new(),
            looked_at: Instant::now(),
            adopted: false,
            commits_since_checkpoint: snapshot.version().saturating_sub(checkpoint),
            log_store,
        };
        table.check_properties()?;
        if spec.name == PROGRESS.name {
            let files = snapshot.file_views(&table.log_store, None);
            let files = files.map_ok(|file| (file.path().into_owned(), file.size()));
            table.files = files.try_collect().await.map_err(SinkError::table(spec.name, "read"))?;
        }
        Ok(Some(table))
    }

    /// The table, made with its declared columns if it does not exist.
    pub async fn open_or_create(
        root: &Root,
        spec: &'static TableSpec,
        history: Duration,
    ) -> Result<Self, SinkError> {
        if let Some(table) = Self::open(root, spec).await? {
            return Ok(table);
        }
        create(&root.log_store(spec.name)?, spec, history)
            .await
            .map_err(SinkError::table(spec.name, "created"))?;
        Self::open(root, spec).await?.ok_or_else(|| {
            SinkError::table(spec.name, "created")(DeltaTableError::NotATable(spec.name.to_owned()))
        })
    }

    pub fn log_store(&self) -> &LogStoreRef {
        &self.log_store
    }

    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub fn schema(&self) -> &Arc<StructType> {
        &self.schema
    }

    /// The same as Arrow has it.
    pub fn arrow_schema(&self) -> SchemaRef {
        Arc::clone(&self.arrow)
    }

    /// The live files of `progress` with their sizes.
    pub fn files(&self) -> &BTreeMap<String, i64> {
        &self.files
    }

    /// The version that the next commit follows.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The position of each of these partitions.
    pub async fn held<'a>(
        &mut self,
        partitions: impl Iterator<Item = &'a LogPartition>,
    ) -> Result<Held, SinkError> {
        let mut found = Held::new();
        for partition in partitions {
            let last = match self.held.get(partition) {
                Some(last) => *last,
                None => self.read_position(partition).await?,
            };
            self.held.insert(partition.clone(), last);
            found.insert(partition.clone(), last);
        }
        Ok(found)
    }

    async fn read_position(&mut self, partition: &LogPartition) -> Result<Option<i64>, SinkError> {
        if self.version == 0 {
            return Ok(None);
        }
        let failed = || SinkError::table(self.spec.name, "asked for its positions");
        let base = match self.base.take() {
            Some(base) => base,
            None => EagerSnapshot::try_new(&self.log_store, Some(self.version))
                .await
                .map_err(failed())?,
        };
        let position = base.transaction_version(&self.log_store, app_id(partition)).await;
        self.base = Some(base);
        position.map_err(failed())
    }

    /// Lets go of the memory that positions were read from; it is read again when a partition is
    /// new.
    pub fn release(&mut self) {
        self.base = None;
    }

    /// Follows a commit by its actions.
    pub fn apply(&mut self, version: u64, actions: &[Action]) -> Result<(), SinkError> {
        for action in actions {
            match action {
                Action::Txn(txn) => {
                    if let Some(partition) = partition_of(&txn.app_id) {
                        self.held.insert(partition, Some(txn.version));
                    }
                }
                Action::Metadata(metadata) => {
                    let schema = metadata.parse_schema().map_err(DeltaTableError::from);
                    self.schema =
                        Arc::new(schema.map_err(SinkError::table(self.spec.name, "read"))?);
                    self.arrow = arrow_schema(self.spec.name, &self.schema)?;
                    self.metadata = metadata.clone();
                    self.check_properties()?;
                }
                Action::Protocol(protocol) => check_protocol(self.spec.name, protocol)?,
                Action::Add(add) if self.spec.name == PROGRESS.name => {
                    self.files.insert(add.path.clone(), add.size);
                }
                Action::Remove(remove) => _ = self.files.remove(&remove.path),
                _ => {}
            }
        }
        self.version = version;
        self.looked_at = Instant::now();
        self.commits_since_checkpoint += 1;
        Ok(())
    }

    /// Takes in what was committed since, by other writers or by a commit of ours that reported an
    /// error.
    pub async fn catch_up(&mut self) -> Result<(), SinkError> {
        if self.looked_at.elapsed() > STALE {
            return self.read_anew().await;
        }
        let before = self.version;
        loop {
            let next = self.version + 1;
            let commit = self.log_store.read_commit_entry(next).await;
            let Some(body) = commit.map_err(SinkError::table(self.spec.name, "read again"))? else {
                break;
            };
            let actions = log::parse(self.spec.name, &log::commit_path(next), &body)?;
            self.apply(next, &actions)?;
        }
        self.looked_at = Instant::now();
        if self.version != before {
            self.adopted = true;
            // Whoever wrote these commits may have died before it synced them.
            self.root.settle(self.spec.name).await?;
        }
        Ok(())
    }

    /// Whether no commit after this version changed data or columns.
    pub async fn is_rearranged_since(&self, version: u64) -> Result<bool, SinkError> {
        for version in version + 1..=self.version {
            let commit = self.log_store.read_commit_entry(version).await;
            let failed = SinkError::table(self.spec.name, "read again");
            let Some(body) = commit.map_err(failed)? else { return Ok(false) };
            let actions = log::parse(self.spec.name, &log::commit_path(version), &body)?;
            let changes = |action: &Action| match action {
                Action::Add(add) => add.data_change,
                Action::Remove(remove) => remove.data_change,
                Action::CommitInfo(_) => false,
                _ => true,
            };
            if actions.iter().any(changes) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the log may have been tidied behind our back, so that `catch_up` must come first.
    pub fn is_stale(&self) -> bool {
        self.looked_at.elapsed() > STALE
    }

    async fn read_anew(&mut self) -> Result<(), SinkError> {
        let Some(fresh) = Self::open(&self.root, self.spec).await? else {
            let gone = DeltaTableError::NotATable(self.spec.name.to_owned());
            return Err(SinkError::table(self.spec.name, "read again")(gone));
        };
        let adopted = self.adopted || fresh.version != self.version;
        *self = Self { adopted, ..fresh };
        Ok(())
    }

    /// Whether commits of others were taken in since the last call.
    pub fn take_adopted(&mut self) -> bool {
        std::mem::take(&mut self.adopted)
    }

    /// The whole table at the present version, with its files; for tidying, not for committing.
    pub async fn whole(&self) -> Result<DeltaTable, SinkError> {
        let mut delta = DeltaTable::new(Arc::clone(&self.log_store));
        let loaded = delta.load_version(self.version).await;
        loaded.map_err(SinkError::table(self.spec.name, "read whole"))?;
        Ok(delta)
    }

    /// The table at the present version, its files to be streamed.
    pub async fn snapshot(&self) -> Result<Snapshot, SinkError> {
        Snapshot::try_new(&self.log_store, Some(self.version))
            .await
            .map_err(SinkError::table(self.spec.name, "read"))
    }

    fn check_properties(&self) -> Result<(), SinkError> {
        if self.metadata.configuration().contains_key(RETENTION) {
            return Err(SinkError::Forgets { table: self.spec.name, property: RETENTION });
        }
        Ok(())
    }
}

fn arrow_schema(table: &'static str, schema: &StructType) -> Result<SchemaRef, SinkError> {
    schema::arrow_schema(schema).map_err(SinkError::table(table, "described"))
}

/// Refuses a table that another tool has given features which a writer must heed and we do not.
fn check_protocol(table: &'static str, protocol: &Protocol) -> Result<(), SinkError> {
    let asked: Vec<String> = protocol
        .writer_features()
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .filter(|feature| !FEATURES.contains(&feature.as_str()))
        .collect();
    let version = protocol.min_writer_version();
    if (version > 2 && version < 7) || !asked.is_empty() {
        return Err(SinkError::Protocol { table, version, features: asked.join(", ") });
    }
    Ok(())
}

/// Writes version 0. If another writer was first, its table is as good as ours: a second metadata
/// action must not follow, it would take back the columns that were added since.
async fn create(
    log_store: &LogStoreRef,
    spec: &'static TableSpec,
    history: Duration,
) -> Result<(), DeltaTableError> {
    let columns = schema::delta_schema(&spec.schema())?;
    let kept = format!("interval {} seconds", history.as_secs());
    let bounded: Vec<&str> = stats::columns(spec).iter().map(|column| column.name).collect();
    let properties = HashMap::from([
        ("delta.dataSkippingStatsColumns", bounded.join(",")),
        ("delta.logRetentionDuration", kept.clone()),
        ("delta.deletedFileRetentionDuration", kept),
    ]);
    let protocol: Protocol = serde_json::from_value(
        serde_json::json!({ "minReaderVersion": 1, "minWriterVersion": 2 }),
    )?;
    let metadata = new_metadata(&columns, spec.partition_columns(), properties)
        .map_err(|error| DeltaTableError::generic(error.to_string()))?;
    let operation = DeltaOperation::Create {
        mode: SaveMode::ErrorIfExists,
        location: log_store.root_url().clone(),
        protocol: protocol.clone(),
        metadata: metadata.clone(),
    };
    let actions = vec![Action::Protocol(protocol), Action::Metadata(metadata)];
    let commit = CommitData::new(actions, operation, HashMap::new(), Vec::new()).get_bytes()?;
    faults::pass_of("sinks:create", spec.name, Side::Before);
    let first = log_store
        .write_commit_entry(0, CommitOrBytes::LogBytes(commit), uuid::Uuid::new_v4())
        .await;
    faults::pass_of("sinks:create", spec.name, Side::After);
    match first {
        Err(TransactionError::VersionAlreadyExists(_)) => Ok(()),
        other => Ok(other?),
    }
}
