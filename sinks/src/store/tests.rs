//! What is stored is whole, durable and never written over.

use futures::TryStreamExt;
use object_store::ObjectStoreExt;

use super::*;

fn store() -> (tempfile::TempDir, DurableStore, Path) {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("tables");
    let store = DurableStore::open(&base).unwrap();
    let log = Path::from_absolute_path(base).unwrap().join("calls").join("_delta_log");
    (folder, store, log)
}

async fn create(store: &DurableStore, path: &Path, body: &'static [u8]) -> Result<PutResult> {
    store.put_opts(path, PutPayload::from_static(body), PutMode::Create.into()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_create_a_name_one_succeeds() {
    let (_folder, store, log) = store();
    let path = log.join("00000000000000000001.json");
    let all = (0..32).map(|_| create(&store, &path, b"{}"));
    let done = futures::future::join_all(all).await;
    assert_eq!(done.iter().filter(|result| result.is_ok()).count(), 1);
    let refused = |result: &Result<PutResult>| {
        matches!(result, Err(object_store::Error::AlreadyExists { .. }))
    };
    assert_eq!(done.iter().filter(|result| refused(result)).count(), 31);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_syncs_the_file_its_folder_and_new_folders() {
    let (_folder, store, log) = store();
    let before = store.syncs();
    create(&store, &log.clone().join("0.json"), b"{}").await.unwrap();
    // Beside the folder of the file: that of `_delta_log` and that of `calls`.
    assert_eq!(store.syncs(), (before.0 + 1, before.1 + 3));
    create(&store, &log.clone().join("1.json"), b"{}").await.unwrap();
    assert_eq!(store.syncs(), (before.0 + 2, before.1 + 4));
    store.rename(&log.clone().join("1.json"), &log.clone().join("2.json")).await.unwrap();
    assert_eq!(store.syncs(), (before.0 + 3, before.1 + 5));
    store.copy(&log.clone().join("2.json"), &log.clone().join("3.json")).await.unwrap();
    assert_eq!(store.syncs(), (before.0 + 4, before.1 + 6));
    let mut upload = store.put_multipart(&log.clone().join("4.json")).await.unwrap();
    upload.put_part(PutPayload::from_static(b"{}")).await.unwrap();
    upload.complete().await.unwrap();
    assert_eq!(store.syncs(), (before.0 + 5, before.1 + 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_listed_as_the_inner_store_lists_it() {
    let (_folder, store, log) = store();
    for name in ["0001.json", "0002.json", "0002.checkpoint.parquet", "_last_checkpoint"] {
        store.put(&log.clone().join(name), PutPayload::from_static(b"x")).await.unwrap();
    }
    std::fs::write(
        store
            .inner
            .path_to_filesystem(&log.clone().join("0003.json"))
            .unwrap()
            .with_extension("json#17"),
        b"left by a killed process",
    )
    .unwrap();
    let offset = log.clone().join("0001.json");
    let names = |mut files: Vec<ObjectMeta>| {
        files.sort_by(|a, b| a.location.cmp(&b.location));
        files.into_iter().map(|file| (file.location, file.size)).collect::<Vec<_>>()
    };
    let own = store.list_with_offset(Some(&log), &offset).try_collect().await.unwrap();
    let inner = store.inner.list_with_offset(Some(&log), &offset).try_collect().await.unwrap();
    assert_eq!(names(own), names(inner));
    let nowhere = Path::from("nowhere/_delta_log");
    let none: Vec<_> = store.list_with_offset(Some(&nowhere), &offset).try_collect().await.unwrap();
    assert!(none.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_sync_nothing_is_written() {
    let (_folder, store, log) = store();
    let (first, second) = (log.clone().join("1.json"), log.join("2.json"));
    create(&store, &first, b"{}").await.unwrap();
    store.disk.failed.store(true, Ordering::Release);
    assert!(store.failed());
    create(&store, &second, b"{}").await.unwrap_err();
    assert!(matches!(store.head(&second).await, Err(object_store::Error::NotFound { .. })));
    assert_eq!(store.get(&first).await.unwrap().bytes().await.unwrap().as_ref(), b"{}");
}
