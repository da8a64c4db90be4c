//! What a sink can be told. Everything has a default that suits one small machine.

use std::collections::HashMap;
use std::time::Duration;

use prometheus::Registry;

/// How and where the tables are written.
#[derive(Clone, Debug)]
pub struct SinkSettings {
    /// A folder, or a URL such as `s3://bucket/ringlake`; each table is a folder below it.
    pub root: String,
    /// Settings of the object store, as `object_store` names them.
    pub storage_options: HashMap<String, String>,
    /// zstd level of the Parquet files: 1 writes fastest, 3 is some 5 % smaller.
    pub compression_level: i32,
    /// How many tables' files are stored at the same time.
    pub parallelism: usize,
    /// A table gets a checkpoint when it has had this many commits since its last.
    pub checkpoint_every: u64,
    /// How far back older versions of a table can be read. Taken over when a table is created.
    pub history: Duration,
    /// How often a commit is tried before the batch is given back.
    pub commit_attempts: u32,
    /// Where the counts go.
    pub registry: Option<Registry>,
}

impl SinkSettings {
    pub fn new(root: impl Into<String>) -> Self {
        Self {
            root: root.into(),
            storage_options: HashMap::new(),
            compression_level: 1,
            parallelism: 4,
            checkpoint_every: 50,
            history: Duration::from_secs(7 * 24 * 3600),
            commit_attempts: 6,
            registry: None,
        }
    }
}
