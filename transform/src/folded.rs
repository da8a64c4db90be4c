//! What folding leaves behind: files with entities merged up to a version of their tables, and the
//! manifest that names them.
//!
//! Folded files hold nothing that the tables do not: they are there so that a question need not
//! merge all states anew. A manifest is whole or absent, its number is one more than that of the
//! manifest it follows, and whoever creates a number first has it. It must never be changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The folder below the root of the tables in which folds lie, each in one of its own.
pub const FOLDED: &str = "_folded";

/// The state of a fold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// From 1.
    pub number: u64,
    /// The tables that were folded, and up to where.
    pub sources: BTreeMap<String, FoldedTo>,
    /// The files of each part.
    pub parts: BTreeMap<String, Vec<FoldedFile>>,
}

/// How far a table was folded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldedTo {
    /// The identity that the table was created with: a table made anew has another.
    pub id: String,
    /// The version up to which its rows are in the fold.
    pub version: u64,
}

/// A Parquet file of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldedFile {
    /// Relative to the root of the tables.
    pub path: String,
    pub rows: u64,
    pub bytes: u64,
}

/// How small the files of a part are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packed {
    /// With LZ4, for what questions read: a third larger than with zstd, which took a tenth of the time of
    /// a report that computes little.
    Fast,
    /// With zstd, as tables are: what is only read when it is folded again is most of a folder.
    Small,
}

/// The folder of a fold, relative to the root of the tables. `definition` tells what was folded how:
/// a fold of another definition is none of this one's.
pub fn folder(fold: &str, definition: &str) -> String {
    format!("{FOLDED}/{fold}-{definition}")
}

/// The file name of a manifest.
pub fn manifest_name(number: u64) -> String {
    format!("{number:020}.json")
}

/// The number of a manifest, by its file name.
pub fn manifest_number(name: &str) -> Option<u64> {
    name.strip_suffix(".json").filter(|digits| digits.len() == 20)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_told_from_other_files() {
        assert_eq!(manifest_number(&manifest_name(17)), Some(17));
        for other in ["17.json", "00000000000000000017.json#3", "calls-1.parquet", ""] {
            assert_eq!(manifest_number(other), None, "{other}");
        }
    }
}
