//! Rows and log positions in one Delta commit: the one place where a row becomes part of a table.
//!
//! A commit is one file of the log, named by its version and created only if nobody has that name
//! yet. It holds the new files and, per log partition, a `txn` action with the last offset in them.
//!
//! | step | what | why |
//! | --- | --- | --- |
//! | 1 | compare each position the table holds with where the rows were cut off | Delta takes any version in a `txn`: it fences, it does not compare |
//! | 2 | make the actions for the version the table has now | a column may have been added by another writer, a file of `progress` replaced |
//! | 3 | create the next version's file | fails if another writer was faster; nothing else can be in the way |
//! | 4 | after *any* failure read the versions that exist, and go to 1 | the answer may be lost though the file is there |
//!
//! At step 1 a position is where the rows were cut off (go on), at their end (our commit landed, or
//! another writer wrote the same range, which holds the same rows), or elsewhere (another writer is
//! at work on the partition: the batch goes back). So a commit that lost a race is not moved on top
//! of the winner: it is made anew. No checkpoint and no clean-up happens here, since these may fail
//! after the commit is durable. Files are never deleted here: a commit that names them may have
//! landed or be on its way.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::transaction::{CommitData, TransactionError};
use deltalake_core::kernel::{Action, Transaction};
use deltalake_core::logstore::CommitOrBytes;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use ringlake_transform::LogPartition;
use ringlake_transform::faults::{self, Mutant, Side};
use ringlake_transform::tables::PROGRESS;
use serde_json::{Value, json};

use super::table::{Table, app_id};
use crate::error::SinkError;

/// How often in a row the look after a failure may fail itself.
const LOOKS: u32 = 5;

/// One log partition's step in one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub partition: LogPartition,
    /// The position that the rows were cut off at.
    pub from: Option<i64>,
    /// The last offset in the rows.
    pub to: i64,
}

/// What a commit does beside moving positions.
#[async_trait]
pub(crate) trait Change: Send + Sync {
    fn operation(&self) -> DeltaOperation;

    /// The actions that fit the table as it is now; asked for anew before each attempt.
    async fn actions(&self, table: &Table) -> Result<Vec<Action>, SinkError>;
}

/// Commits, and returns how many attempts that took; none if the table was there already.
///
/// # Errors
/// [`SinkError::Moved`] if another writer moved one of the positions; the last attempt's error
/// after `attempts` failures, lost races not counted; [`SinkError::Unknown`] if the table cannot be
/// asked.
pub(crate) async fn commit(
    table: &mut Table,
    moves: &[Move],
    change: &dyn Change,
    attempts: u32,
) -> Result<u32, SinkError> {
    if table.is_stale() {
        table.catch_up().await?;
    }
    let (mut tried, mut failed) = (0, 0);
    while !is_there(table, moves).await? {
        tried += 1;
        match once(table, moves, change).await {
            Ok(()) => return Ok(tried),
            Err(error) if error.must_reload() => return Err(error),
            Err(SinkError::Table { source, .. })
                if matches!(*source, DeltaTableError::VersionAlreadyExists(_)) =>
            {
                look(table).await?;
            }
            Err(error) => {
                failed += 1;
                table.root.is_sound()?;
                tracing::debug!(table = table.spec.name, tried, %error, "commit failed, looking what landed");
                tokio::time::sleep(pause(failed)).await;
                look(table).await?;
                if failed >= attempts && !is_there(table, moves).await? {
                    return Err(error);
                }
            }
        }
    }
    Ok(tried)
}

/// Commits what moves no position. It is done, or of no use any more, once the change has no actions;
/// returns whether we did it.
///
/// # Errors
/// The last attempt's error after `attempts` failures, lost races not counted; [`SinkError::Unknown`]
/// if the table cannot be asked.
pub(crate) async fn rearrange(
    table: &mut Table,
    change: &dyn Change,
    attempts: u32,
) -> Result<bool, SinkError> {
    let mut failed = 0;
    loop {
        look(table).await?;
        let actions = change.actions(table).await?;
        if actions.is_empty() {
            return Ok(failed > 0);
        }
        match attempt(table, &[], change, actions).await {
            Ok(()) => return Ok(true),
            Err(SinkError::Table { source, .. })
                if matches!(*source, DeltaTableError::VersionAlreadyExists(_)) => {}
            Err(error) => {
                failed += 1;
                table.root.is_sound()?;
                if failed >= attempts {
                    return Err(error);
                }
                tokio::time::sleep(pause(failed)).await;
            }
        }
    }
}

/// One attempt at the version after the table's present one.
async fn once(table: &mut Table, moves: &[Move], change: &dyn Change) -> Result<(), SinkError> {
    let actions = change.actions(table).await?;
    attempt(table, moves, change, actions).await
}

async fn attempt(
    table: &mut Table,
    moves: &[Move],
    change: &dyn Change,
    actions: Vec<Action>,
) -> Result<(), SinkError> {
    let name = table.spec.name;
    let commit =
        CommitData::new(actions, change.operation(), note(change, moves), positions(moves));
    let failed = || SinkError::table(name, "committed to");
    let body = commit.get_bytes().map_err(DeltaTableError::from).map_err(failed())?;
    let version = table.version() + 1;
    pass(name, Side::Before);
    table
        .log_store()
        .write_commit_entry(version, CommitOrBytes::LogBytes(body), uuid::Uuid::new_v4())
        .await
        .map_err(|error: TransactionError| failed()(error.into()))?;
    pass(name, Side::After);
    table.apply(version, &commit.actions)
}

/// Takes in the versions that exist by now. If that cannot be found out, the next start will: it
/// begins with the same question.
async fn look(table: &mut Table) -> Result<(), SinkError> {
    let mut looks = 1;
    loop {
        match table.catch_up().await {
            Err(SinkError::Table { .. } | SinkError::File { .. }) if looks < LOOKS => {
                tokio::time::sleep(pause(looks)).await;
                looks += 1;
            }
            Err(source @ (SinkError::Table { .. } | SinkError::File { .. })) => {
                let table = table.spec.name;
                return Err(SinkError::Unknown { table, source: Box::new(source) });
            }
            answer => return answer,
        }
    }
}

/// Whether the table holds these moves already; if not, it is where they start.
async fn is_there(table: &mut Table, moves: &[Move]) -> Result<bool, SinkError> {
    let held = table.held(moves.iter().map(|step| &step.partition)).await?;
    let at = |step: &Move| held.get(&step.partition).copied().flatten();
    if moves.iter().all(|step| at(step) == Some(step.to)) {
        return Ok(true);
    }
    match moves.iter().find(|step| at(step) != step.from) {
        None => Ok(false),
        Some(step) => Err(SinkError::Moved {
            table: table.spec.name,
            partition: step.partition.clone(),
            expected: step.from,
            found: at(step),
        }),
    }
}

/// The commit of `progress` has a step of its own around it.
fn pass(table: &'static str, side: Side) {
    if table != PROGRESS.name {
        faults::pass_of("sinks:commit", table, side);
    }
}

fn positions(moves: &[Move]) -> Vec<Transaction> {
    if faults::is_mutant(Mutant::CommitWithoutPosition) {
        return Vec::new();
    }
    let now = chrono::Utc::now().timestamp_millis();
    moves
        .iter()
        .map(|step| Transaction::new_with_last_update(app_id(&step.partition), step.to, Some(now)))
        .collect()
}

/// What the commit says of itself, for people and for `verify`.
fn note(change: &dyn Change, moves: &[Move]) -> HashMap<String, Value> {
    let moves: Vec<Value> = moves
        .iter()
        .map(|step| json!({ "log": step.partition.to_string(), "after": step.from, "to": step.to }))
        .collect();
    let appends =
        matches!(change.operation(), DeltaOperation::Write { mode: SaveMode::Append, .. });
    HashMap::from([
        ("ringlake".to_owned(), Value::Array(moves)),
        ("isBlindAppend".to_owned(), Value::Bool(appends)),
    ])
}

/// Doubles from 50 ms, and differs between writers so that they do not meet again.
fn pause(attempt: u32) -> Duration {
    let base = 50u64 << attempt.min(6);
    let spread = u64::from(uuid::Uuid::new_v4().as_fields().0) % base;
    Duration::from_millis(base / 2 + spread / 2)
}
