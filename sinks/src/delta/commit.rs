//! Rows and log positions in one Delta commit: the one place where a row becomes part of a table.
//!
//! | step | what | why |
//! | --- | --- | --- |
//! | 1 | read each position from the snapshot the commit is based on | a `txn` action fences, it does not compare: Delta takes any version number |
//! | 2 | refuse unless each is where the rows were cut off | rows at or below it are in the table already |
//! | 3 | commit files and new positions, with no checkpoint and no clean-up | those may fail after the commit is durable, and would report the commit as failed |
//! | 4 | on any error reload, read the positions, decide from them | the answer may be lost though the commit landed |
//!
//! After an error a position is either where it was (nothing landed: try again), at the end of the batch
//! (it landed, or another writer wrote the same range, which holds the same rows), or elsewhere (another
//! writer is at work on the partition: give the batch back). Files are never deleted here: a commit that
//! names them may have landed, and one that no commit names is never read.
//!
//! A commit by another writer between our snapshot and ours is legal. Delta refuses ours if that commit
//! moved one of our positions, changed the columns, or removed a file we remove; otherwise ours follows.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties, FinalizedCommit};
use deltalake_core::kernel::{Action, Transaction};
use deltalake_core::protocol::DeltaOperation;
use ringlake_transform::LogPartition;
use serde_json::{Value, json};

use super::table::{Table, app_id};
use crate::error::SinkError;
use crate::failpoint;

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

    /// The actions that fit the table's present snapshot; asked for anew before each attempt.
    async fn actions(&self, table: &Table) -> Result<Vec<Action>, SinkError>;
}

/// What the tables say about a commit that reported an error.
enum Outcome {
    Landed,
    NotLanded,
}

/// Commits, and returns how many attempts that took.
///
/// # Errors
/// [`SinkError::Moved`] if another writer moved one of the positions; otherwise the last attempt's error.
pub(crate) async fn commit(
    table: &mut Table,
    moves: &[Move],
    change: &dyn Change,
    attempts: u32,
) -> Result<u32, SinkError> {
    if let Outcome::Landed = outcome(table, moves).await? {
        return Ok(0);
    }
    let mut attempt = 1;
    loop {
        let error = match once(table, moves, change).await {
            Ok(done) => {
                let moved = moves.iter().map(|step| (&step.partition, step.to));
                table.committed(done.snapshot, moved);
                return Ok(attempt);
            }
            Err(error) => error,
        };
        if error.must_reload() {
            return Err(error);
        }
        if let Outcome::Landed = settle(table, moves, &error).await? {
            tracing::info!(table = table.spec.name, %error, "a commit landed though it reported an error");
            return Ok(attempt);
        }
        if attempt >= attempts {
            return Err(error);
        }
        tracing::debug!(table = table.spec.name, attempt, %error, "commit is tried again");
        tokio::time::sleep(pause(attempt)).await;
        attempt += 1;
    }
}

/// One attempt on the present snapshot.
async fn once(
    table: &Table,
    moves: &[Move],
    change: &dyn Change,
) -> Result<FinalizedCommit, SinkError> {
    let name = table.spec.name;
    let actions = change.actions(table).await?;
    let now = chrono::Utc::now().timestamp_millis();
    let positions = moves
        .iter()
        .map(|step| Transaction::new_with_last_update(app_id(&step.partition), step.to, Some(now)))
        .collect();
    let properties = CommitProperties::default()
        .with_metadata(note(moves))
        .with_application_transactions(positions)
        .with_create_checkpoint(false)
        .with_cleanup_expired_logs(Some(false));
    let state = table.state()?;
    failpoint::pass("commit", Some(name), "before");
    let done = CommitBuilder::from(properties)
        .with_actions(actions)
        .build(Some(state), table.log_store(), change.operation())
        .await
        .map_err(SinkError::table(name, "committed to"))?;
    failpoint::pass("commit", Some(name), "after");
    Ok(done)
}

/// Reloads after an error and asks the table what it holds. An error that cannot be settled here is
/// settled by the next start, which begins with the same question.
async fn settle(
    table: &mut Table,
    moves: &[Move],
    error: &SinkError,
) -> Result<Outcome, SinkError> {
    let mut attempt = 1;
    loop {
        table.root.is_sound()?;
        let settled = match table.reload().await {
            Ok(()) => outcome(table, moves).await,
            Err(error) => Err(error),
        };
        match settled {
            Err(source) if source.must_reload() => return Err(source),
            Err(source) if attempt >= 5 => {
                tracing::warn!(table = table.spec.name, %error, "commit failed, and so did the look after it");
                return Err(SinkError::Unknown {
                    table: table.spec.name,
                    source: Box::new(source),
                });
            }
            Err(_) => tokio::time::sleep(pause(attempt)).await,
            Ok(outcome) => return Ok(outcome),
        }
        attempt += 1;
    }
}

/// What the positions of the present snapshot say about these moves.
async fn outcome(table: &mut Table, moves: &[Move]) -> Result<Outcome, SinkError> {
    let held = table.held(moves.iter().map(|step| &step.partition)).await?;
    let at = |step: &Move| held.get(&step.partition).copied().flatten();
    if moves.iter().all(|step| at(step) == Some(step.to)) {
        return Ok(Outcome::Landed);
    }
    match moves.iter().find(|step| at(step) != step.from) {
        None => Ok(Outcome::NotLanded),
        Some(step) => Err(SinkError::Moved {
            table: table.spec.name,
            partition: step.partition.clone(),
            expected: step.from,
            found: at(step),
        }),
    }
}

/// What the commit says of itself, for people and for `verify`.
fn note(moves: &[Move]) -> HashMap<String, Value> {
    let moves: Vec<Value> = moves
        .iter()
        .map(|step| json!({ "log": step.partition.to_string(), "after": step.from, "to": step.to }))
        .collect();
    HashMap::from([("ringlake".to_owned(), Value::Array(moves))])
}

/// Doubles from 50 ms, and differs between writers so that they do not meet again.
fn pause(attempt: u32) -> Duration {
    let base = 50u64 << attempt.min(6);
    let spread = u64::from(uuid::Uuid::new_v4().as_fields().0) % base;
    Duration::from_millis(base / 2 + spread / 2)
}
