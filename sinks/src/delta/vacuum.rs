//! Vacuum: deletes the files that no version which somebody may still ask for names.
//!
//! Kept are the files of the newest version, of the version that `progress` names, those that were
//! taken out of the table within the retention, and every file that is younger: it may belong to a
//! commit on its way. Nothing else decides, and no log file is ever deleted here.

use std::collections::HashSet;
use std::time::Duration;

use deltalake_core::DeltaTable;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStoreExt};
use ringlake_transform::faults::{self, Side};

use super::table::Table;
use crate::error::SinkError;

/// What a vacuum deleted, or would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vacuumed {
    pub files: u64,
    pub bytes: u64,
}

/// Deletes the files of a table that are out of reach; with `dry` only counts them.
pub(crate) async fn vacuum(
    table: &Table,
    shown: Option<u64>,
    keep: Duration,
    dry: bool,
) -> Result<Vacuumed, SinkError> {
    let mut done = Vacuumed::default();
    let keep = chrono::Duration::from_std(keep).unwrap_or(chrono::Duration::MAX);
    let Some(oldest) = chrono::Utc::now().checked_sub_signed(keep) else { return Ok(done) };
    let named = named(table, shown, oldest.timestamp_millis()).await?;
    let name = table.spec.name;
    let store = table.log_store().object_store(None);
    let failed = |doing| SinkError::file(name, &"the folder", doing);
    let out_of_reach = |file: &ObjectMeta| {
        let path = file.location.as_ref();
        file.location.extension() == Some("parquet")
            && !path.starts_with("_delta_log/")
            && file.last_modified < oldest
            && !named.contains(path)
    };
    let lost: Vec<ObjectMeta> = store
        .list(None)
        .try_filter(|file| std::future::ready(out_of_reach(file)))
        .try_collect()
        .await
        .map_err(failed("listed"))?;
    for file in &lost {
        done.files += 1;
        done.bytes += file.size;
    }
    if dry || lost.is_empty() {
        return Ok(done);
    }
    faults::pass("sinks:vacuum", Side::Before);
    for file in lost {
        match store.delete(&file.location).await {
            // Another process was at it as well.
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(SinkError::file(name, &file.location, "deleted")(error)),
        }
    }
    faults::pass("sinks:vacuum", Side::After);
    Ok(done)
}

/// Every file that a version in reach names.
async fn named(
    table: &Table,
    shown: Option<u64>,
    oldest: i64,
) -> Result<HashSet<String>, SinkError> {
    let failed = || SinkError::table(table.spec.name, "asked for its files");
    let mut named = HashSet::new();
    let newest = table.whole().await?;
    add(&newest, &mut named).map_err(failed())?;
    if let Some(shown) = shown.filter(|shown| *shown < table.version()) {
        let mut delta = DeltaTable::new(table.log_store().clone());
        delta.load_version(shown).await.map_err(failed())?;
        add(&delta, &mut named).map_err(failed())?;
    }
    let state = newest.snapshot().map_err(failed())?;
    let mut removed = state.all_tombstones(table.log_store());
    while let Some(file) = removed.next().await {
        let file = file.map_err(failed())?;
        if file.deletion_timestamp().is_none_or(|at| at >= oldest) {
            named.insert(file.path().into_owned());
        }
    }
    Ok(named)
}

fn add(
    table: &DeltaTable,
    named: &mut HashSet<String>,
) -> Result<(), deltalake_core::DeltaTableError> {
    named.extend(table.snapshot()?.log_data().into_iter().map(|file| file.path().into_owned()));
    Ok(())
}
