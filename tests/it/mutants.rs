//! `ringlake torture` itself: over Kafka, and on deliberate faults, each in a build that is otherwise ours,
//! every one of which it must notice.
//!
//! A harness that finds nothing has shown nothing until it has found something. The mutants are those of
//! `MUTANTS`; the ends of the lives are the ones under which a fault can show.

use ringlake_transform::faults::MUTANTS;

use crate::harness::kafka;
use crate::harness::process::Place;

/// Some tables have a batch, and others or the readers do not.
const BETWEEN_COMMITS: &str = "sinks:commit-calls,sinks:commit-deals,sinks:progress:before";

/// Each mutant, and the ends under which it has to be noticed. Where that needs a death between two steps,
/// the fail points are named; all other ends come at any moment, while events flow.
const NOTICED_BY: &[(&str, &[&str])] = &[
    ("answer-before-write", &["--ends", "kill"]),
    ("answer-despite-error", &["--ends", "trouble"]),
    ("log-without-sync", &["--ends", "cut"]),
    ("trim-too-early", &["--ends", "kill"]),
    ("file-without-sync", &["--ends", "cut"]),
    ("folder-without-sync", &["--ends", "cut"]),
    ("position-off-by-one", &["--ends", "kill"]),
    ("commit-without-position", &["--ends", "abort", "--at", BETWEEN_COMMITS]),
    ("blind-replay", &["--ends", "abort", "--at", BETWEEN_COMMITS]),
    ("forgotten-table", &["--ends", "stop"]),
    ("progress-first", &["--ends", "abort", "--at", BETWEEN_COMMITS]),
    ("repeats-unnoticed", &["--ends", "stop"]),
    ("memory-not-restored", &["--ends", "stop"]),
];

/// Writers that die, come and go over a real Kafka: each acknowledged event is in the tables once.
#[test]
fn nothing_is_lost_or_doubled_over_kafka() {
    let place = Place::new();
    let folder = place.path().to_str().unwrap();
    let broker = kafka::shared();
    let flags = ["--seed", "1", "--rounds", "1", "--lives", "6", "--events", "1500"];
    let arguments = [&["torture", "--kafka", &broker, "--folder", folder][..], &flags].concat();
    let line = place.ok(&arguments);
    assert!(line.contains("; 0 lost, 0 twice, 0 wrong;"), "{line}");
    assert!(line.contains(" rebalances;") && !line.contains(" 0 acknowledged"), "{line}");
}

#[test]
fn every_mutant_is_here() {
    let here: Vec<&str> = NOTICED_BY.iter().map(|(name, _)| *name).collect();
    let all: Vec<&str> = MUTANTS.iter().map(|(name, _)| *name).collect();
    assert_eq!(here, all);
}

/// Kills, cuts and failing disks where no file system can be mounted: the server tells what it syncs. How
/// much is unsynced when a cut comes is chance; that it is taken back is what the mutants below show.
#[test]
fn nothing_is_lost_when_the_power_is_cut_by_a_model() {
    let place = Place::new();
    let folder = place.path().to_str().unwrap();
    let flags = ["--seed", "1", "--rounds", "2", "--lives", "8", "--events", "1500"];
    let ends = ["--power", "modelled", "--ends", "kill,cut,trouble"];
    let arguments = [&["torture", "--folder", folder][..], &ends, &flags].concat();
    let line = place.ok(&arguments);
    assert!(line.contains("; 0 lost, 0 twice, 0 wrong;"), "{line}");
    assert!(line.contains(" power cuts (modelled: ") && !line.contains(" 0 power cuts"), "{line}");
    assert!(!line.contains(" 0 storage troubles") && !line.contains("(0 calls refused)"), "{line}");
}

fn is_noticed(mutant: &str, power: &[&str]) {
    let (_, ends) = NOTICED_BY.iter().find(|(name, _)| *name == mutant).unwrap();
    let place = Place::new().with("RINGLAKE_MUTANT", mutant);
    // The first round that notices is the last. How many that takes is chance: on a busy machine fewer events come in
    // each life, and less is under way when it ends.
    let flags = ["--seed", "1", "--rounds", "24", "--lives", "4", "--events", "400"];
    let folder = place.path().to_str().unwrap();
    let arguments = [&["torture", "--folder", folder][..], &flags, ends, power].concat();
    let ended = place.run(&arguments);
    assert_eq!(ended.code, Some(1), "{mutant} was not noticed: {ended:#?}");
    // Noticed by the count, or by what the server or `verify` said; never for want of a place.
    assert!(ended.out.starts_with("torture: "), "{ended:#?}");
    assert!(!ended.out.contains(" 0 lost, 0 twice, 0 wrong;"), "{ended:#?}");
}

macro_rules! noticed {
    ($($test:ident: $mutant:literal $(by $power:literal)?,)*) => {
        $(
            #[test]
            fn $test() {
                is_noticed($mutant, &[$("--power", $power)?]);
            }
        )*
    };
}

noticed! {
    an_answer_before_the_write: "answer-before-write",
    an_answer_despite_an_error: "answer-despite-error",
    a_log_without_sync: "log-without-sync",
    a_log_that_is_trimmed_too_early: "trim-too-early",
    a_file_without_sync: "file-without-sync",
    a_folder_without_sync: "folder-without-sync",
    a_position_that_is_off_by_one: "position-off-by-one",
    a_commit_without_position: "commit-without-position",
    a_replay_that_is_written_again: "blind-replay",
    a_table_that_is_forgotten: "forgotten-table",
    progress_before_the_tables: "progress-first",
    repeats_that_are_not_looked_for: "repeats-unnoticed",
    a_memory_that_ends_with_the_process: "memory-not-restored",
    a_log_without_sync_by_a_model: "log-without-sync" by "modelled",
    a_file_without_sync_by_a_model: "file-without-sync" by "modelled",
    a_folder_without_sync_by_a_model: "folder-without-sync" by "modelled",
}
