//! What a modelled power cut may take, and what it must leave.

use std::collections::HashSet;
use std::os::unix::fs::FileExt;

use rand::SeedableRng;

use super::*;

struct Place {
    folder: tempfile::TempDir,
    recorder: Recorder,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let notes = folder.path().join("notes");
        std::fs::create_dir(&notes).unwrap();
        Self { recorder: Recorder::new(notes).unwrap(), folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As the store does it.
    fn put(&self, name: &str, body: &[u8], is_file_synced: bool, is_folder_synced: bool) {
        let (staged, path) = (self.at("staged#1"), self.at(name));
        self.recorder.creates(&staged).unwrap();
        std::fs::write(&staged, body).unwrap();
        if is_file_synced {
            self.recorder.synced(&staged).unwrap();
        }
        self.recorder.names(&staged, &path).unwrap();
        std::fs::rename(&staged, &path).unwrap();
        if is_folder_synced {
            self.recorder.folder_synced(self.folder.path()).unwrap();
        }
    }

    /// As redb does it.
    fn write(&self, name: &str, offset: u64, body: &[u8]) {
        let file = File::options().write(true).open(self.at(name)).unwrap();
        self.recorder.changes(&self.at(name), offset..offset + body.len() as u64).unwrap();
        file.write_all_at(body, offset).unwrap();
    }

    fn shrink(&self, name: &str, len: u64) {
        let file = File::options().write(true).open(self.at(name)).unwrap();
        let old = file.metadata().unwrap().len();
        self.recorder.changes(&self.at(name), len..old.max(len)).unwrap();
        file.set_len(len).unwrap();
    }

    /// The next process, in the same uptime.
    fn restart(&mut self) {
        self.recorder = Recorder::new(self.at("notes")).unwrap();
    }

    fn cut(&self, seed: u64) {
        let mut modelled = Modelled::new(self.at("notes"), ChaCha8Rng::seed_from_u64(seed));
        modelled.cut_power().unwrap();
    }
}

/// All outcomes over many seeds of what `prepare` leaves behind in the file `a`.
fn outcomes(prepare: impl Fn(&mut Place)) -> HashSet<Option<Vec<u8>>> {
    let after = |seed| {
        let mut place = Place::new();
        prepare(&mut place);
        place.cut(seed);
        std::fs::read(place.at("a")).ok()
    };
    (0..100).map(after).collect()
}

#[test]
fn what_is_synced_stays() {
    let found = outcomes(|place| {
        place.put("a", b"hello", true, true);
        place.put("b", b"later", false, false);
    });
    assert_eq!(found, HashSet::from([Some(b"hello".to_vec())]));
}

#[test]
fn a_file_that_is_not_synced_loses_bytes_and_keeps_its_name() {
    let found = outcomes(|place| place.put("a", b"hello", false, true));
    assert!(found.contains(&Some(Vec::new())) && found.contains(&Some(vec![0; 5])));
    assert!(found.contains(&Some(b"hello".to_vec())) && !found.contains(&None));
}

#[test]
fn a_name_that_is_not_synced_goes_and_the_bytes_with_it() {
    let found = outcomes(|place| place.put("a", b"hello", true, false));
    assert_eq!(found, HashSet::from([None, Some(b"hello".to_vec())]));
}

#[test]
fn a_folder_goes_with_all_that_is_in_it() {
    let found = outcomes(|place| {
        let folder = place.at("folder");
        std::fs::create_dir(&folder).unwrap();
        place.recorder.names(&folder, &folder).unwrap();
        place.put("a", b"hello", true, false);
    });
    assert!(found.contains(&None) && found.contains(&Some(b"hello".to_vec())));
}

#[test]
fn a_name_that_another_has_taken_is_left_alone() {
    let found = outcomes(|place| {
        let staged = place.at("staged#1");
        place.put("a", b"first", true, true);
        std::fs::write(&staged, b"second").unwrap();
        // It was not there yet when the second looked, and was when it linked.
        let number = std::fs::metadata(&staged).unwrap().ino();
        let (name, file) = (place.at("a"), staged.display());
        place.recorder.note(format_args!("name\t{}\t{number}\t{file}", name.display())).unwrap();
        std::fs::hard_link(&staged, place.at("a")).unwrap_err();
    });
    assert_eq!(found, HashSet::from([Some(b"first".to_vec())]));
}

#[test]
fn a_page_that_is_written_again_comes_back_whole_or_torn_also_after_a_kill() {
    let found = outcomes(|place| {
        std::fs::write(place.at("a"), [1; 8192]).unwrap();
        place.write("a", 0, &[1; 4096]);
        place.recorder.synced(&place.at("a")).unwrap();
        place.write("a", 4096, &[2; 4096]);
        place.restart();
        place.write("a", 4096, &[3; 4096]);
    });
    assert!(found.contains(&Some(vec![1; 8192])), "what the first process wrote is not durable");
    for bytes in found.iter().flatten() {
        assert!(bytes[..4096].iter().all(|byte| *byte == 1), "a page that was not touched");
    }
    let torn = |bytes: &Vec<u8>| bytes[4096] == 3 && bytes[4096 + 512] == 1;
    assert!(found.iter().flatten().any(torn));
}

#[test]
fn what_was_synced_in_place_stays_and_what_was_cut_off_may_come_back() {
    let found = outcomes(|place| {
        std::fs::write(place.at("a"), [1; 8192]).unwrap();
        place.write("a", 0, &[2; 8192]);
        place.recorder.synced(&place.at("a")).unwrap();
        place.shrink("a", 4096);
    });
    let (whole, short) = (vec![2; 8192], vec![2; 4096]);
    assert!(found.contains(&Some(whole.clone())) && found.contains(&Some(short)));
    assert!(found.iter().flatten().all(|bytes| whole.starts_with(bytes)));
}

#[test]
fn what_a_failed_sync_left_is_not_saved_by_the_next_also_after_a_kill() {
    let found = outcomes(|place| {
        std::fs::write(place.at("a"), [1; 4096]).unwrap();
        place.write("a", 0, &[2; 4096]);
        let modelled = Modelled::new(place.at("notes"), ChaCha8Rng::seed_from_u64(0));
        modelled.trouble(Trouble::Syncs(1)).unwrap();
        place.recorder.synced(&place.at("a")).unwrap_err();
        assert_eq!(modelled.losses().1, 1);
        modelled.trouble(Trouble::None).unwrap();
        place.recorder.synced(&place.at("a")).unwrap();
        place.restart();
    });
    assert!(found.contains(&Some(vec![1; 4096])), "it was not written again");
}

#[test]
fn a_full_disk_refuses_what_needs_space() {
    let place = Place::new();
    let modelled = Modelled::new(place.at("notes"), ChaCha8Rng::seed_from_u64(0));
    for trouble in [Trouble::Full, Trouble::Writes(7), Trouble::Syncs(3), Trouble::Slow(2)] {
        assert_eq!(parse(&text(trouble).unwrap()), Some(trouble));
    }
    modelled.trouble(Trouble::Full).unwrap();
    let error = place.recorder.creates(&place.at("a")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    place.recorder.folder_synced(place.folder.path()).unwrap();
    modelled.trouble(Trouble::None).unwrap();
    place.recorder.creates(&place.at("a")).unwrap();
}
