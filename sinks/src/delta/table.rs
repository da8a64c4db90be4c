//! One Delta table: opening it, making it, and what it is known to hold.
//!
//! A table is only trusted after its newest commit has been looked at (after a power cut it may be empty
//! or cut short, and Delta readers take an empty commit for "nothing changed") and after what a killed
//! predecessor left unsynced has been synced. Positions are read from the snapshot that the next commit
//! is based on, and kept only as long as that snapshot is ours.

use std::collections::HashMap;

use deltalake_core::kernel::transaction::CommitData;
use deltalake_core::kernel::{Action, Protocol, StructType, new_metadata};
use deltalake_core::logstore::{CommitOrBytes, LogStoreRef};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use deltalake_core::{DeltaTable, DeltaTableError};
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use ringlake_transform::{LogPartition, TableSpec};

use super::rows::Held;
use super::{schema, stats};
use crate::error::SinkError;
use crate::root::Root;

const RETENTION: &str = "delta.setTransactionRetentionDuration";

/// A table that exists.
pub(crate) struct Table {
    pub spec: &'static TableSpec,
    pub root: Root,
    pub delta: DeltaTable,
    /// Positions read from the present snapshot; empty after it was replaced.
    held: Held,
    /// Whether the snapshot has taken in commits of other writers since `take_adopted`.
    adopted: bool,
    pub commits_since_checkpoint: u64,
}

/// The name under which a table keeps the position of a log partition.
pub(crate) fn app_id(partition: &LogPartition) -> String {
    format!("ringlake/{}/{}", partition.topic, partition.partition)
}

impl Table {
    /// The table, if it exists.
    pub async fn open(root: &Root, spec: &'static TableSpec) -> Result<Option<Self>, SinkError> {
        let delta = DeltaTable::new(root.log_store(spec.name)?);
        let exists = delta.verify_deltatable_existence().await;
        if !exists.map_err(SinkError::table(spec.name, "looked for"))? {
            return Ok(None);
        }
        let held = Held::new();
        let mut table = Self {
            spec,
            root: root.clone(),
            delta,
            held,
            adopted: false,
            commits_since_checkpoint: 0,
        };
        table.root.settle(spec.name).await?;
        table.check_log().await?;
        table.delta.load().await.map_err(SinkError::table(spec.name, "read"))?;
        table.check_properties()?;
        table.commits_since_checkpoint =
            table.version().unsigned_abs().saturating_sub(table.last_checkpoint().await);
        Ok(Some(table))
    }

    /// The table, made with its declared columns if it does not exist.
    pub async fn open_or_create(
        root: &Root,
        spec: &'static TableSpec,
        history: std::time::Duration,
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

    pub fn log_store(&self) -> LogStoreRef {
        self.delta.log_store()
    }

    pub fn state(&self) -> Result<&DeltaTableState, SinkError> {
        self.delta.snapshot().map_err(SinkError::table(self.spec.name, "read"))
    }

    pub fn schema(&self) -> Result<std::sync::Arc<StructType>, SinkError> {
        Ok(self.state()?.schema())
    }

    /// The version of the present snapshot, in the signed form that `progress` keeps.
    pub fn version(&self) -> i64 {
        self.delta.version().and_then(|version| i64::try_from(version).ok()).unwrap_or(-1)
    }

    /// The position of each of these partitions in the present snapshot.
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

    async fn read_position(&self, partition: &LogPartition) -> Result<Option<i64>, SinkError> {
        self.state()?
            .transaction_version(&self.log_store(), app_id(partition))
            .await
            .map_err(SinkError::table(self.spec.name, "asked for its positions"))
    }

    /// Takes over the snapshot of a commit of ours, which moved these positions.
    pub fn committed<'a>(
        &mut self,
        state: DeltaTableState,
        moved: impl Iterator<Item = (&'a LogPartition, i64)>,
    ) {
        let ours = self.delta.version().map(|version| version + 1) == Some(state.version());
        if !ours {
            self.held.clear();
            self.adopted = true;
        }
        self.commits_since_checkpoint += 1;
        self.delta.state = Some(state);
        for (partition, last) in moved {
            self.held.insert(partition.clone(), Some(last));
        }
    }

    /// Takes in what other writers committed, or what a commit of ours left in doubt.
    pub async fn reload(&mut self) -> Result<(), SinkError> {
        let before = self.version();
        self.root.settle(self.spec.name).await?;
        self.delta.update_state().await.map_err(SinkError::table(self.spec.name, "read again"))?;
        if self.version() != before {
            self.held.clear();
            self.adopted = true;
            self.check_properties()?;
        }
        Ok(())
    }

    /// Whether commits of others were taken in since the last call.
    pub fn take_adopted(&mut self) -> bool {
        std::mem::take(&mut self.adopted)
    }

    fn check_properties(&self) -> Result<(), SinkError> {
        if self.state()?.metadata().configuration().contains_key(RETENTION) {
            return Err(SinkError::Forgets { table: self.spec.name, property: RETENTION });
        }
        Ok(())
    }

    /// Refuses a log whose end is not whole. A commit is one file of JSON lines; after a power cut on a
    /// disk that was not synced its newest may be empty, or end within a line.
    async fn check_log(&self) -> Result<(), SinkError> {
        let store = self.delta.object_store();
        let torn = |path: &Path, what: String| SinkError::TornCommit {
            table: self.spec.name,
            path: path.to_string(),
            what,
        };
        let read = |path: &Path| SinkError::file(self.spec.name, path, "read");
        let log = Path::from("_delta_log");
        let hint = format!("{:020}", self.last_checkpoint().await);
        let start = log.clone().join(hint.as_str());
        let mut newest = None;
        let mut files = store.list_with_offset(Some(&log), &start);
        while let Some(file) = files.try_next().await.map_err(read(&log))? {
            if is_commit(&file.location) {
                if file.size == 0 {
                    return Err(torn(&file.location, "empty".to_owned()));
                }
                newest = newest.max(Some(file.location));
            }
        }
        let Some(newest) = newest else { return Ok(()) };
        let body = store.get(&newest).await.map_err(read(&newest))?;
        let body = body.bytes().await.map_err(read(&newest))?;
        for line in serde_json::Deserializer::from_slice(&body).into_iter::<Action>() {
            line.map_err(|error| torn(&newest, format!("cut short: {error}")))?;
        }
        Ok(())
    }

    /// The version of the newest checkpoint, 0 without one.
    async fn last_checkpoint(&self) -> u64 {
        #[derive(serde::Deserialize)]
        struct Hint {
            version: u64,
        }
        let path = Path::from("_delta_log/_last_checkpoint");
        let Ok(found) = self.delta.object_store().get(&path).await else { return 0 };
        let Ok(body) = found.bytes().await else { return 0 };
        serde_json::from_slice::<Hint>(&body).map_or(0, |hint| hint.version)
    }
}

fn is_commit(path: &Path) -> bool {
    path.filename()
        .and_then(|name| name.strip_suffix(".json"))
        .is_some_and(|version| version.len() == 20 && version.bytes().all(|b| b.is_ascii_digit()))
}

/// Writes version 0. If another writer was first, its table is as good as ours: a second metadata action
/// must not follow, it would take back the columns that were added since.
async fn create(
    log_store: &LogStoreRef,
    spec: &'static TableSpec,
    history: std::time::Duration,
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
    let first = log_store
        .write_commit_entry(0, CommitOrBytes::LogBytes(commit), uuid::Uuid::new_v4())
        .await;
    match first {
        Err(deltalake_core::kernel::transaction::TransactionError::VersionAlreadyExists(_)) => {
            Ok(())
        }
        other => Ok(other?),
    }
}
