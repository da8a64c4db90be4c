//! Where a test can interfere: the fail points, and the mutants.
//!
//! A **fail point** is a step after which something is durable that was not before. Code passes it by
//! name, before and after; the binary decides what that does (`src/faults.rs` aborts the process at
//! the one it was told to). All of them are in [`STEPS`], so that a test can die at each.
//!
//! A **mutant** is a deliberate fault, there to show that the crash tests would notice it. Mutants
//! exist in debug builds only: elsewhere [`is_mutant`] is `false` when compiled, and what it guards is
//! gone. They stand here, in the crate that all others know, because each crate has steps of its own.
//!
//! Nothing here may read the environment, end the process, or cost more than a load.

use std::sync::OnceLock;

use crate::tables::{PROGRESS, TABLES};

/// Which side of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

impl Side {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// Every step, as `<crate>:<step>`, and what lies between its two points. `TABLE` stands for each
/// table.
pub const STEPS: &[(&str, &str)] = &[
    ("ingest:create", "the log's file is made; its entry in the folder is not synced"),
    ("ingest:append", "a group of events is written to the log and synced; nobody is answered"),
    ("ingest:produce", "Kafka has acknowledged a request's events; its sender is not answered"),
    ("ingest:trim", "events that the tables have are removed from the log"),
    ("ingest:compact", "`log trim` gives the log's free space back to the disk"),
    ("ingest:tokens", "the file of tokens is replaced"),
    ("sinks:create-TABLE", "a table's first commit is written"),
    ("sinks:parquet", "all Parquet files of a batch are stored; no commit names them"),
    ("sinks:write-TABLE", "the files of one table are stored"),
    ("sinks:place", "a synced file gets its name; the folder is not synced"),
    ("sinks:commit-TABLE", "a table's Delta commit is durable"),
    ("sinks:progress", "readers can see the batch"),
    ("sinks:checkpoint", "a table's log has a checkpoint"),
    ("sinks:tidy", "expired entries of a table's log are deleted"),
    ("sinks:sweep", "old files of `progress` are deleted"),
    ("sinks:compact", "compacted files are stored; no commit names them"),
    ("sinks:vacuum", "files that no version in reach names are deleted"),
    ("sinks:fold-file", "a folded file is stored; no manifest names it"),
    ("sinks:fold", "questions are answered from what was folded"),
    ("sinks:repair", "`verify --repair` sets a damaged commit aside"),
    ("queries:export", "an export has its name; the folder above is not synced"),
    ("ringlake:release", "the log is told what the tables hold"),
    (
        "ringlake:letters",
        "what was asked of dead letters in a file is in the log; the file is removed",
    ),
];

/// All fail points: `sinks:commit-calls:before` and the others.
pub fn points() -> impl Iterator<Item = String> {
    STEPS.iter().flat_map(|(step, _)| {
        let mut tables: Vec<&str> = match step.ends_with("-TABLE") {
            true => TABLES.iter().map(|table| table.name).collect(),
            false => vec![""],
        };
        // Its files and commits are the step `sinks:progress`.
        if *step == "sinks:create-TABLE" {
            tables.push(PROGRESS.name);
        }
        tables.into_iter().flat_map(move |table| {
            let step = step.replace("TABLE", table);
            [Side::Before, Side::After].map(|side| format!("{step}:{}", side.as_str()))
        })
    })
}

/// What is called at each point, with its name.
pub type Watch = fn(&str);

static WATCH: OnceLock<Watch> = OnceLock::new();

/// From here on `watch` hears of each point; the first that is set stays.
pub fn watch(watch: Watch) {
    let _ = WATCH.set(watch);
}

/// Passes one side of a step.
pub fn pass(step: &'static str, side: Side) {
    if let Some(watch) = WATCH.get() {
        debug_assert!(STEPS.iter().any(|(known, _)| *known == step), "{step} is not in STEPS");
        watch(&format!("{step}:{}", side.as_str()));
    }
}

/// Passes one side of a step that each table has; `step` without `-TABLE`.
pub fn pass_of(step: &'static str, table: &str, side: Side) {
    if let Some(watch) = WATCH.get() {
        watch(&format!("{step}-{table}:{}", side.as_str()));
    }
}

/// Deliberate faults, each one that a reviewer might overlook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Senders hear 200 before their events are written.
    AnswerBeforeWrite,
    /// Senders hear 200 although the write failed.
    AnswerDespiteError,
    /// The log is written and not synced.
    LogWithoutSync,
    /// The log drops what the tables do not have yet.
    TrimTooEarly,
    /// A table's files and commits are written and not synced.
    FileWithoutSync,
    /// Their names are not synced.
    FolderWithoutSync,
    /// A table's position is one event ahead of its rows.
    PositionOffByOne,
    /// A table's commit carries no position.
    CommitWithoutPosition,
    /// A batch that is read again is written again.
    BlindReplay,
    /// One table's commit is left out.
    ForgottenTable,
    /// Readers and the log hear of a batch before its tables have it.
    ProgressFirst,
    /// Repeats are not looked for.
    RepeatsUnnoticed,
    /// What was seen before a restart is forgotten.
    MemoryNotRestored,
}

/// All mutants and their names.
pub const MUTANTS: &[(&str, Mutant)] = &[
    ("answer-before-write", Mutant::AnswerBeforeWrite),
    ("answer-despite-error", Mutant::AnswerDespiteError),
    ("log-without-sync", Mutant::LogWithoutSync),
    ("trim-too-early", Mutant::TrimTooEarly),
    ("file-without-sync", Mutant::FileWithoutSync),
    ("folder-without-sync", Mutant::FolderWithoutSync),
    ("position-off-by-one", Mutant::PositionOffByOne),
    ("commit-without-position", Mutant::CommitWithoutPosition),
    ("blind-replay", Mutant::BlindReplay),
    ("forgotten-table", Mutant::ForgottenTable),
    ("progress-first", Mutant::ProgressFirst),
    ("repeats-unnoticed", Mutant::RepeatsUnnoticed),
    ("memory-not-restored", Mutant::MemoryNotRestored),
];

static ACTIVE: OnceLock<Mutant> = OnceLock::new();

/// Makes this process a mutant; nothing in a release build.
pub fn mutate(mutant: Mutant) {
    if cfg!(debug_assertions) {
        let _ = ACTIVE.set(mutant);
    }
}

/// Whether this process is that mutant. Always false in a release build.
#[inline]
pub fn is_mutant(mutant: Mutant) -> bool {
    cfg!(debug_assertions) && ACTIVE.get() == Some(&mutant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_crate_step_and_side() {
        let names: Vec<String> = points().collect();
        assert!(names.contains(&"sinks:commit-calls:before".to_owned()));
        assert!(names.contains(&"ringlake:release:after".to_owned()));
        let mut distinct = names.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(names.len(), distinct.len());
        assert!(names.iter().all(|name| name.split(':').count() == 3 && !name.contains("TABLE")));
    }
}
