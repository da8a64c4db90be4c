//! How the lines of two runs differ, read from their files.
//!
//! Lines are compared as the texts of their values, by 128 bits of a hash, so that what is held is small
//! and independent of their order. Beyond a number of lines nothing is compared.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest, Sha256};

use super::manifest::{ExportFile, Lines};
use super::place::at;
use crate::error::QueryError;
use crate::output::Format;
use crate::output::cell::{self, Column, Shape};

/// Lines of both runs that are compared at most: some 100 MB.
const MOST_LINES: u64 = 2_000_000;

type Hash = [u8; 16];

/// A file of a run on this machine.
pub(super) struct Part {
    pub at: PathBuf,
    /// Its folders, which hold values of the lines: `day=2026-03-01`.
    pub folders: String,
}

impl Part {
    pub fn new(at: PathBuf, file: &ExportFile) -> Self {
        let folders = file.path.rsplit_once('/').map_or("", |(folders, _)| folders);
        Self { at, folders: folders.to_owned() }
    }
}

/// Whether so many lines are few enough.
pub(super) fn is_worth_it(lines: u64) -> bool {
    lines <= MOST_LINES
}

/// The columns that hold numbers, by name: a text file does not tell.
pub(super) fn numbers(schema: &Schema) -> BTreeSet<String> {
    let fields = schema.fields().iter();
    let numbers = fields.filter(|field| cell::shape(field.data_type()) == Shape::Number);
    numbers.map(|field| field.name().clone()).collect()
}

/// What became of the lines. A line is known by what is in it beside `numbers`.
///
/// # Errors
/// Files that cannot be read.
pub(super) fn lines(
    before: &[Part],
    after: &[Part],
    format: Format,
    numbers: &BTreeSet<String>,
) -> Result<Lines, QueryError> {
    let mut seen: HashMap<Hash, (Hash, i64)> = HashMap::new();
    for (parts, sign) in [(before, -1), (after, 1)] {
        for part in parts {
            let mut noted = |batch: &_| note(batch, &part.folders, numbers, sign, &mut seen);
            read(&part.at, format, &mut noted)?;
        }
    }
    let mut by_key: HashMap<Hash, (u64, u64)> = HashMap::new();
    for (key, count) in seen.into_values() {
        let (added, removed) = by_key.entry(key).or_default();
        *added += u64::try_from(count).unwrap_or_default();
        *removed += u64::try_from(-count).unwrap_or_default();
    }
    let mut lines = Lines::default();
    for (added, removed) in by_key.into_values() {
        let changed = added.min(removed);
        lines.changed += changed;
        lines.added += added - changed;
        lines.removed += removed - changed;
    }
    Ok(lines)
}

fn note(
    batch: &RecordBatch,
    folders: &str,
    numbers: &BTreeSet<String>,
    sign: i64,
    seen: &mut HashMap<Hash, (Hash, i64)>,
) -> Result<(), ArrowError> {
    let columns = batch.schema_ref().fields().iter().zip(batch.columns());
    let columns: Vec<_> = columns
        .map(|(field, array)| Ok((field.name(), Column::new(field, array)?)))
        .collect::<Result<_, ArrowError>>()?;
    for row in 0..batch.num_rows() {
        let (mut whole, mut key) = (Sha256::new(), Sha256::new());
        whole.update(folders);
        key.update(folders);
        for (name, column) in &columns {
            let text = column.text(row);
            // A null is no empty text.
            let shown = text.map_or_else(|| "\0\0".to_owned(), |text| format!("\0{text}"));
            whole.update(&shown);
            key.update(if numbers.contains(*name) { "\0" } else { &shown });
        }
        let count = seen.entry(short(whole)).or_insert_with(|| (short(key), 0));
        count.1 += sign;
    }
    Ok(())
}

fn short(hash: Sha256) -> Hash {
    let mut short = Hash::default();
    for (to, from) in short.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    short
}

fn read(
    path: &Path,
    format: Format,
    f: &mut dyn FnMut(&RecordBatch) -> Result<(), ArrowError>,
) -> Result<(), QueryError> {
    let file = File::open(path).map_err(at(path))?;
    let each = || -> Result<(), ArrowError> {
        match format {
            Format::Parquet => {
                let reader = ParquetRecordBatchReaderBuilder::try_new(file)?.build()?;
                reader.into_iter().try_for_each(|batch| f(&batch?))
            }
            Format::Arrow => {
                let mut reader = arrow::ipc::reader::FileReader::try_new_buffered(file, None)?;
                reader.try_for_each(|batch| f(&batch?))
            }
            // As texts: what they were is not told.
            _ => {
                let format = arrow::csv::reader::Format::default().with_header(true);
                let (read, _) = format.infer_schema(&file, Some(0))?;
                let fields = read.fields().iter().map(|field| {
                    let text = arrow::datatypes::DataType::Utf8;
                    field.as_ref().clone().with_data_type(text).with_nullable(true)
                });
                let schema = arrow::datatypes::Schema::new(fields.collect::<Vec<_>>());
                let file = File::open(path)?;
                let reader = arrow::csv::ReaderBuilder::new(schema.into()).with_header(true);
                let mut reader = reader.build(std::io::BufReader::new(file))?;
                reader.try_for_each(|batch| f(&batch?))
            }
        }
    };
    each().map_err(|source| QueryError::Encode { format: format.name(), source: Box::new(source) })
}
