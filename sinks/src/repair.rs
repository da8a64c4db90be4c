//! Mending a log whose end a power cut, a full disk or another tool has left empty or torn.
//!
//! Rows are never made up and no file is deleted. A commit that is not whole is moved out of the table's
//! log, into `_set_aside` beside it, by which the table is at the version before. What `progress` says
//! beyond that is set aside as well, so that the next start reads the log from where *all* tables still
//! are; the tables that are ahead skip what they hold. It must run while nobody writes.

use std::collections::HashMap;

use object_store::ObjectStoreExt;
use object_store::path::Path;
use ringlake_transform::faults::{self, Side};
use ringlake_transform::tables::PROGRESS;
use ringlake_transform::{TABLES, TableSpec};

use crate::delta::log;
use crate::delta::progress::{self, Cache, Progress};
use crate::delta::table::Table;
use crate::error::SinkError;
use crate::root::Root;

const ASIDE: &str = "_set_aside";

/// A commit that was moved out of a table's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    pub table: &'static str,
    /// Relative to the table's folder.
    pub from: String,
    pub to: String,
}

/// Sets aside commits that are not whole, and those of `progress` that build on them.
pub async fn repair(
    root: &str,
    options: &HashMap<String, String>,
) -> Result<Vec<SetAside>, SinkError> {
    let root = Root::open(root, options)?;
    let mut moved = Vec::new();
    let mut newest: HashMap<&'static str, Option<u64>> = HashMap::new();
    for spec in TABLES {
        let table = whole(&root, spec, &mut moved).await?;
        newest.insert(spec.name, table.map(|table| table.version()));
    }
    while let Some(table) = whole(&root, &PROGRESS, &mut moved).await? {
        let shown = Progress::of(&progress::live(&table, &Cache::default()).await?);
        let is_there = |(name, version): (&String, &i64)| {
            let held = newest.get(name.as_str()).copied().flatten();
            held.is_some_and(|held| i64::try_from(held).is_ok_and(|held| held >= *version))
        };
        if shown.versions.iter().all(is_there) {
            break;
        }
        moved.push(set_aside(&root, &PROGRESS, &log::commit_path(table.version())).await?);
    }
    Ok(moved)
}

/// The table, its newest commits set aside until one is whole.
async fn whole(
    root: &Root,
    spec: &'static TableSpec,
    moved: &mut Vec<SetAside>,
) -> Result<Option<Table>, SinkError> {
    loop {
        match Table::open(root, spec).await {
            Err(SinkError::TornCommit { path, .. }) => {
                moved.push(set_aside(root, spec, &Path::from(path)).await?);
            }
            other => return other,
        }
    }
}

async fn set_aside(
    root: &Root,
    spec: &'static TableSpec,
    from: &Path,
) -> Result<SetAside, SinkError> {
    let store = root.log_store(spec.name)?.object_store(None);
    let file = from.filename().unwrap_or_default();
    let to = Path::from(format!("{ASIDE}/{file}.{}", uuid::Uuid::new_v4().as_fields().0));
    faults::pass("sinks:repair", Side::Before);
    store.rename(from, &to).await.map_err(SinkError::file(spec.name, from, "set aside"))?;
    // The name that is gone has to stay gone.
    root.settle(spec.name).await?;
    faults::pass("sinks:repair", Side::After);
    Ok(SetAside { table: spec.name, from: from.to_string(), to: to.to_string() })
}
