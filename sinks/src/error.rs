//! What can go wrong between rows and tables, and what to do about it.
//!
//! Texts are short and lowercase, the cause stays attached as `source`; [`SinkError::hint`] says
//! what the reader can do. Nothing here decides about retries: `delta/commit.rs` does.

use deltalake_core::DeltaTableError;
use ringlake_transform::LogPartition;
use thiserror::Error;

/// Why rows are not in the tables.
#[derive(Debug, Error)]
pub enum SinkError {
    #[error("tables cannot lie at {location:?}")]
    Location { location: String, source: Box<dyn std::error::Error + Send + Sync> },

    #[error("this build cannot reach {scheme}:// locations")]
    Feature { scheme: String, feature: &'static str },

    #[error("{location} lets two writers create the same file")]
    NotExclusive { location: String },

    #[error("table {table} cannot be {doing}")]
    Table { table: &'static str, doing: &'static str, source: Box<DeltaTableError> },

    #[error("the commit {path} of table {table} is {what}")]
    TornCommit { table: &'static str, path: String, what: String },

    #[error("table {table} forgets log positions: it sets {property}")]
    Forgets { table: &'static str, property: &'static str },

    #[error("table {table} asks its writers for version {version} [{features}]")]
    Protocol { table: &'static str, version: i32, features: String },

    #[error("column {column} of table {table} is {held}, but the rows bring {offered}")]
    ColumnType { table: &'static str, column: String, held: String, offered: String },

    #[error("another writer moved {partition} in table {table} from {expected:?} to {found:?}")]
    Moved {
        table: &'static str,
        partition: LogPartition,
        expected: Option<i64>,
        found: Option<i64>,
    },

    #[error("whether the commit to table {table} landed is not known")]
    Unknown { table: &'static str, source: Box<SinkError> },

    #[error("the disk did not confirm a write at {location}")]
    Disk { location: String },

    #[error("rows of table {table} cannot be {doing}")]
    Rows { table: &'static str, doing: &'static str, source: arrow::error::ArrowError },

    #[error("a parquet file of table {table} cannot be {doing}")]
    Parquet { table: &'static str, doing: &'static str, source: parquet::errors::ParquetError },

    #[error("{path} of table {table} cannot be {doing}")]
    File {
        table: &'static str,
        path: String,
        doing: &'static str,
        source: Box<object_store::Error>,
    },

    #[error("table progress has a row that cannot be read: {what}")]
    BadProgress { what: String },

    #[error("table {table} had {before} files before its log was tidied and has {after} now")]
    TidiedAway { table: &'static str, before: usize, after: usize },

    #[error("the task that writes the tables ended early")]
    Task { source: tokio::task::JoinError },

    #[error("metrics cannot be registered")]
    Metrics { source: prometheus::Error },
}

impl SinkError {
    pub(crate) fn table(
        table: &'static str,
        doing: &'static str,
    ) -> impl FnOnce(DeltaTableError) -> Self {
        move |source| Self::Table { table, doing, source: Box::new(source) }
    }

    pub(crate) fn rows(
        table: &'static str,
        doing: &'static str,
    ) -> impl FnOnce(arrow::error::ArrowError) -> Self {
        move |source| Self::Rows { table, doing, source }
    }

    pub(crate) fn parquet(
        table: &'static str,
        doing: &'static str,
    ) -> impl FnOnce(parquet::errors::ParquetError) -> Self {
        move |source| Self::Parquet { table, doing, source }
    }

    pub(crate) fn file(
        table: &'static str,
        path: &dyn std::fmt::Display,
        doing: &'static str,
    ) -> impl FnOnce(object_store::Error) -> Self + use<> {
        let path = path.to_string();
        move |source| Self::File { table, path, doing, source: Box::new(source) }
    }

    /// Whether the caller should call `refresh`, build its flattener anew from `schemas`, and read
    /// the log again from `positions`: the batch was right, but the tables have moved on.
    pub fn must_reload(&self) -> bool {
        matches!(self, Self::Moved { .. } | Self::ColumnType { .. })
    }

    /// What to do, in one sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Location { .. } => "give a folder that can be made and written to, or a URL",
            Self::Feature { feature: "gcs", .. } => "build with `--features ringlake-sinks/gcs`",
            Self::Feature { feature: "azure", .. } => {
                "build with `--features ringlake-sinks/azure`"
            }
            Self::Feature { .. } => {
                "use a folder or s3://; gs:// and az:// need a build with their feature"
            }
            Self::NotExclusive { .. } => {
                "use a file system with hard links, or an object store with conditional put: \
                 without them two writers overwrite each other's commits"
            }
            Self::TornCommit { .. } => {
                "a power cut or a full disk cut this file short; run `ringlake verify --repair`, then start \
                 again: its rows are still in the log and are written anew"
            }
            Self::Forgets { .. } => {
                "unset the property: with it a quiet log partition would be written again from its start"
            }
            Self::Protocol { .. } => {
                "another tool turned these features on; turn them off, or drop them from the table"
            }
            Self::ColumnType { .. } => {
                "another writer gave this column another type first; the batch is read again with it"
            }
            Self::Moved { .. } => "two writers read the same partition; one of them should stop",
            Self::Unknown { .. } => "start again: the tables know what they hold",
            Self::Disk { .. } => {
                "check the disk, then start again; nothing is lost, the log still has these events"
            }
            Self::BadProgress { .. } => "restore the progress table from a backup, or rebuild",
            Self::TidiedAway { .. } => "stop writing and restore the table's _delta_log folder",
            Self::Table { .. } | Self::File { .. } => {
                "check that the place is reachable, writable and has space"
            }
            Self::Rows { .. } | Self::Parquet { .. } | Self::Task { .. } | Self::Metrics { .. } => {
                "this is a fault of ringlake; please report it with this text"
            }
        }
    }
}
