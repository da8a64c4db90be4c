//! The files of a table's log: which are commits, whether they are whole, what they say.
//!
//! A reader that takes an empty commit for "nothing changed" loses rows without a word, so nothing
//! here guesses: a commit is whole or it is refused by name.

use deltalake_core::kernel::Action;
use deltalake_core::logstore::LogStoreRef;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::error::SinkError;

/// Refuses a log whose end is not whole, and returns the version of its newest checkpoint. A commit
/// is one file of JSON lines; after a power cut on a disk that was not synced the newest may be
/// empty, or end within a line.
pub(crate) async fn check(table: &'static str, log_store: &LogStoreRef) -> Result<u64, SinkError> {
    let store = log_store.object_store(None);
    let log = Path::from("_delta_log");
    let checkpoint = last_checkpoint(&store).await;
    let start = log.clone().join(format!("{checkpoint:020}").as_str());
    let mut newest = None;
    let mut files = store.list_with_offset(Some(&log), &start);
    while let Some(file) = files.try_next().await.map_err(SinkError::file(table, &log, "listed"))? {
        if is_commit(&file.location) {
            if file.size == 0 {
                return Err(torn(table, &file.location, "empty"));
            }
            newest = newest.max(Some(file.location));
        }
    }
    let Some(newest) = newest else { return Ok(checkpoint) };
    let failed = || SinkError::file(table, &newest, "read");
    let body = store.get(&newest).await.map_err(failed())?.bytes().await.map_err(failed())?;
    parse(table, &newest, &body)?;
    Ok(checkpoint)
}

/// The actions of a commit.
pub(crate) fn parse(
    table: &'static str,
    path: &Path,
    body: &[u8],
) -> Result<Vec<Action>, SinkError> {
    if body.is_empty() {
        return Err(torn(table, path, "empty"));
    }
    serde_json::Deserializer::from_slice(body)
        .into_iter::<Action>()
        .collect::<Result<_, _>>()
        .map_err(|error| torn(table, path, &format!("cut short or unknown: {error}")))
}

fn torn(table: &'static str, path: &Path, what: &str) -> SinkError {
    SinkError::TornCommit { table, path: path.to_string(), what: what.to_owned() }
}

pub(crate) fn commit_path(version: u64) -> Path {
    Path::from(format!("_delta_log/{version:020}.json"))
}

fn is_commit(path: &Path) -> bool {
    path.filename()
        .and_then(|name| name.strip_suffix(".json"))
        .is_some_and(|version| version.len() == 20 && version.bytes().all(|b| b.is_ascii_digit()))
}

/// The version of the newest checkpoint, 0 without one.
pub(crate) async fn last_checkpoint(store: &dyn object_store::ObjectStore) -> u64 {
    #[derive(serde::Deserialize)]
    struct Hint {
        version: u64,
    }
    let path = Path::from("_delta_log/_last_checkpoint");
    let Ok(found) = store.get(&path).await else { return 0 };
    let Ok(body) = found.bytes().await else { return 0 };
    serde_json::from_slice::<Hint>(&body).map_or(0, |hint| hint.version)
}
