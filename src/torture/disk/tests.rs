//! What a power cut may take, and what it must leave.

use rand::SeedableRng;

use super::*;

fn disk(seed: u64) -> (tempfile::TempDir, Disk) {
    let below = tempfile::tempdir().unwrap();
    let disk = Disk::new(below.path().to_owned(), ChaCha8Rng::seed_from_u64(seed));
    (below, disk)
}

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

/// All outcomes over many seeds of what `prepare` leaves behind, as `look` sees it.
fn outcomes(
    prepare: impl Fn(&mut Disk),
    look: impl Fn(&mut Disk) -> Option<Vec<u8>>,
) -> HashSet<Option<Vec<u8>>> {
    let after = |seed| {
        let (_below, mut disk) = disk(seed);
        prepare(&mut disk);
        disk.cut_power();
        look(&mut disk)
    };
    (0..200).map(after).collect()
}

fn whole(disk: &mut Disk, at: &str) -> Option<Vec<u8>> {
    let ino = disk.lookup(ROOT, name(at)).ok()?;
    let size = disk.node(ino).unwrap().size();
    Some(disk.read(ino, 0, size as usize).unwrap())
}

#[test]
fn what_is_synced_stays() {
    let found = outcomes(
        |disk| {
            let ino = disk.make(ROOT, name("a"), false, 0o600).unwrap();
            disk.write(ino, 0, b"hello").unwrap();
            disk.sync(ino).unwrap();
            disk.sync_folder(ROOT).unwrap();
        },
        |disk| whole(disk, "a"),
    );
    assert_eq!(found, HashSet::from([Some(b"hello".to_vec())]));
}

#[test]
fn a_name_that_is_not_synced_may_go_and_so_may_bytes() {
    let found = outcomes(
        |disk| {
            let ino = disk.make(ROOT, name("a"), false, 0o600).unwrap();
            disk.write(ino, 0, b"hello").unwrap();
        },
        |disk| whole(disk, "a"),
    );
    assert!(found.contains(&None), "the name");
    assert!(found.contains(&Some(Vec::new())), "all bytes");
    assert!(found.contains(&Some(b"hello".to_vec())), "nothing");
    assert!(found.contains(&Some(vec![0; 5])), "the bytes, not the length");
    assert!(found.contains(&Some(b"he".to_vec())), "the end");
}

#[test]
fn a_synced_page_that_is_overwritten_comes_back_whole_or_torn() {
    let found = outcomes(
        |disk| {
            let ino = disk.make(ROOT, name("a"), false, 0o600).unwrap();
            disk.write(ino, 0, &[1; 8192]).unwrap();
            disk.sync(ino).unwrap();
            disk.sync_folder(ROOT).unwrap();
            disk.write(ino, 4096, &[2; 4096]).unwrap();
            disk.set_size(ino, 5000).unwrap();
            disk.set_size(ino, 8192).unwrap();
        },
        |disk| whole(disk, "a"),
    );
    assert!(found.contains(&Some(vec![1; 8192])));
    for outcome in &found {
        let bytes = outcome.as_ref().unwrap();
        assert_eq!(bytes.len(), 8192);
        assert!(bytes[..4096].iter().all(|byte| *byte == 1), "a page that was not touched");
    }
    let torn = |bytes: &Vec<u8>| bytes[4096] == 2 && bytes[4096 + 512] == 1;
    assert!(found.iter().flatten().any(torn));
}

#[test]
fn a_rename_is_one_change_and_changes_keep_their_order() {
    let found = outcomes(
        |disk| {
            let ino = disk.make(ROOT, name("new"), false, 0o600).unwrap();
            disk.write(ino, 0, b"new").unwrap();
            disk.sync(ino).unwrap();
            disk.sync_folder(ROOT).unwrap();
            disk.rename((ROOT, name("new")), (ROOT, name("a"))).unwrap();
            disk.remove(ROOT, name("a")).unwrap();
        },
        |disk| whole(disk, "new").or_else(|| whole(disk, "a").map(|bytes| bytes.to_vec())),
    );
    assert_eq!(found, HashSet::from([None, Some(b"new".to_vec())]));
}

#[test]
fn what_a_failed_sync_left_is_not_saved_by_the_next() {
    let found = outcomes(
        |disk| {
            let ino = disk.make(ROOT, name("a"), false, 0o600).unwrap();
            disk.write(ino, 0, &[1; 4096]).unwrap();
            disk.sync(ino).unwrap();
            disk.sync_folder(ROOT).unwrap();
            disk.write(ino, 0, &[2; 4096]).unwrap();
            disk.trouble = Trouble::Syncs(1);
            assert_eq!(disk.sync(ino), Err(Refused::Device));
            disk.trouble = Trouble::None;
            disk.sync(ino).unwrap();
        },
        |disk| whole(disk, "a"),
    );
    assert!(found.contains(&Some(vec![1; 4096])), "it was not written again");
}

#[test]
fn a_file_without_names_is_there_as_long_as_it_is_open() {
    let (below, mut disk) = disk(1);
    let ino = disk.make(ROOT, name("a"), false, 0o600).unwrap();
    disk.sync_folder(ROOT).unwrap();
    disk.opened(ino);
    disk.remove(ROOT, name("a")).unwrap();
    disk.sync_folder(ROOT).unwrap();
    disk.collect();
    disk.write(ino, 0, b"still").unwrap();
    disk.closed(ino);
    disk.collect();
    assert_eq!(disk.write(ino, 0, b"gone"), Err(Refused::NotFound));
    assert_eq!(std::fs::read_dir(below.path()).unwrap().count(), 0);
}
