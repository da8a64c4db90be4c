//! The files of a run: rows in a total order, cut into folders by value, in the same bytes each time.
//!
//! Nothing in a file may depend on how the answer came to be: rows are cut into batches of one size, what
//! lies unseen below a null is cleared, every column may be null, and of the fields' metadata only the kind
//! of the numbers is kept. One file is open at a time, since rows come sorted by the folders' columns.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{BatchCoalescer, cast, partition};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use futures::stream::{BoxStream, StreamExt};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use super::ExportSpec;
use super::manifest::ExportFile;
use super::place::{at, make_folder};
use crate::answer::Answer;
use crate::error::QueryError;
use crate::output::cell::{Column, hex};
use crate::output::{self, Format};
use crate::report::KIND_KEY;

/// Rows that are written at once.
const ROWS: usize = 8192;
/// What other tools take for a null in a folder's name.
pub(super) const NULL: &str = "__HIVE_DEFAULT_PARTITION__";
/// The longest name that every file system takes.
const LONGEST_NAME: usize = 255;

type Batches = BoxStream<'static, Result<RecordBatch, QueryError>>;

/// Writes the answer below `folder`, which must be empty, and makes each file durable.
///
/// # Errors
/// What the answer fails with, a column of `partition_by` that cannot name a folder, a full disk.
pub(super) async fn write(
    answer: Answer,
    spec: &ExportSpec,
    folder: &Path,
) -> Result<Vec<ExportFile>, QueryError> {
    let schema = plain(&answer.schema);
    let (keys, kept) = split(&schema, spec)?;
    let inside = Arc::new(schema.project(&kept).map_err(|e| QueryError::Failed(e.into()))?);
    let groups =
        Groups { batches: answer.batches, schema, keys, kept, pending: None, ended: false };
    let groups = Arc::new(Mutex::new(groups));
    let mut files = Vec::new();
    loop {
        let place = match groups.lock().await.place(&spec.name).await? {
            Some(place) => place,
            // Without folders there is one file, be it without rows.
            None if files.is_empty() && spec.partition_by.is_empty() => String::new(),
            None => return Ok(files),
        };
        let path = format!("{place}part-00000.{}", spec.format.name());
        let rows = even(rows_of(Arc::clone(&groups), place), inside.clone());
        let part = Answer { schema: inside.clone(), batches: rows, hint: None, footnote: None };
        files.push(write_part(part, spec.format, folder, path).await?);
    }
}

/// The columns that become folders, and those that stay in the files.
fn split(schema: &Schema, spec: &ExportSpec) -> Result<(Vec<usize>, Vec<usize>), QueryError> {
    let keys: Vec<usize> =
        spec.partition_by.iter().filter_map(|name| schema.index_of(name).ok()).collect();
    let kept: Vec<usize> = (0..schema.fields().len()).filter(|at| !keys.contains(at)).collect();
    if kept.is_empty() {
        return Err(QueryError::ExportSpec {
            name: spec.name.clone(),
            problem: "partition_by names all columns; at least one has to stay in the files"
                .to_owned(),
        });
    }
    Ok((keys, kept))
}

/// The columns as they are written: without dictionaries, which are no part of what an answer tells.
fn plain(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| {
        let data_type = match field.data_type() {
            DataType::Dictionary(_, value) => value.as_ref().clone(),
            other => other.clone(),
        };
        let kind = field.metadata().get(KIND_KEY);
        let metadata = kind.map(|kind| (KIND_KEY.to_owned(), kind.clone())).into_iter().collect();
        Field::new(field.name(), data_type, true).with_metadata(metadata)
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// The rows of an answer, taken folder by folder.
struct Groups {
    batches: Batches,
    schema: SchemaRef,
    keys: Vec<usize>,
    kept: Vec<usize>,
    /// Rows that were read and not taken, all of one folder each, the next one last.
    pending: Option<Vec<(String, RecordBatch)>>,
    ended: bool,
}

impl Groups {
    /// The folder of the next rows, with a slash at its end; none when there are no more.
    async fn place(&mut self, export: &str) -> Result<Option<String>, QueryError> {
        while !self.ended && self.pending.as_ref().is_none_or(Vec::is_empty) {
            match self.batches.next().await.transpose()? {
                Some(batch) => self.pending = Some(self.cut(&batch, export)?),
                None => self.ended = true,
            }
        }
        let next = self.pending.as_ref().and_then(|held| held.last());
        Ok(next.map(|(place, _)| place.clone()))
    }

    /// The next rows if they are of this folder.
    async fn take(&mut self, place: &str) -> Result<Option<RecordBatch>, QueryError> {
        if self.place("").await?.is_none_or(|next| next != place) {
            return Ok(None);
        }
        Ok(self.pending.as_mut().and_then(Vec::pop).map(|(_, rows)| rows))
    }

    fn cut(
        &self,
        batch: &RecordBatch,
        export: &str,
    ) -> Result<Vec<(String, RecordBatch)>, QueryError> {
        let failed = |error: ArrowError| QueryError::Failed(error.into());
        let batch = cast_to(batch, &self.schema).map_err(failed)?;
        let kept = batch.project(&self.kept).map_err(failed)?;
        if self.keys.is_empty() {
            return Ok(vec![(String::new(), kept)]);
        }
        let keys = batch.project(&self.keys).map_err(failed)?;
        let cells = keys.schema_ref().fields().iter().zip(keys.columns());
        let cells: Vec<(&str, Column<'_>)> = cells
            .map(|(field, array)| Ok((field.name().as_str(), Column::new(field, array)?)))
            .collect::<Result<_, ArrowError>>()
            .map_err(failed)?;
        let mut cut = Vec::new();
        for range in partition(keys.columns()).map_err(failed)?.ranges() {
            let mut place = String::new();
            for (name, column) in &cells {
                let folder = folder_of(name, column.text(range.start).as_deref());
                if folder.len() > LONGEST_NAME {
                    let problem = format!("a value of {name} is too long to name a folder");
                    return Err(QueryError::ExportSpec { name: export.to_owned(), problem });
                }
                place.push_str(&folder);
                place.push('/');
            }
            cut.push((place, kept.slice(range.start, range.len())));
        }
        cut.reverse();
        Ok(cut)
    }
}

/// `day=2026-03-01`. Nothing but letters, digits, `-`, `_` and `.` of ASCII stays as it is, so no value
/// can lead elsewhere.
pub(super) fn folder_of(column: &str, value: Option<&str>) -> String {
    let encoded = |text: &str| {
        text.bytes().fold(String::new(), |mut name, byte| {
            if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
                name.push(char::from(byte));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(name, "%{byte:02X}");
            }
            name
        })
    };
    let value = match value {
        None => NULL.to_owned(),
        Some(NULL) => NULL.replacen('_', "%5F", 1),
        Some(text) => encoded(text),
    };
    format!("{}={value}", encoded(column))
}

fn rows_of(groups: Arc<Mutex<Groups>>, place: String) -> Batches {
    futures::stream::unfold(Some((groups, place)), |state| async move {
        let (groups, place) = state?;
        let taken = groups.lock().await.take(&place).await.transpose()?;
        let more = taken.is_ok().then_some((groups, place));
        Some((taken, more))
    })
    .boxed()
}

/// The same rows in batches of one size, in the one form that their values have.
fn even(rows: Batches, schema: SchemaRef) -> Batches {
    struct Even {
        rows: Batches,
        coalescer: BatchCoalescer,
        schema: SchemaRef,
        ended: bool,
    }
    impl Even {
        async fn next(&mut self) -> Result<Option<RecordBatch>, QueryError> {
            let failed = |error: ArrowError| QueryError::Failed(error.into());
            loop {
                if let Some(batch) = self.coalescer.next_completed_batch() {
                    return settled(&batch, &self.schema).map(Some).map_err(failed);
                }
                match self.rows.next().await.transpose()? {
                    Some(batch) => self.coalescer.push_batch(batch).map_err(failed)?,
                    None if self.ended => return Ok(None),
                    None => {
                        self.ended = true;
                        self.coalescer.finish_buffered_batch().map_err(failed)?;
                    }
                }
            }
        }
    }
    let coalescer = BatchCoalescer::new(schema.clone(), ROWS);
    let even = Even { rows: rows.fuse().boxed(), coalescer, schema, ended: false };
    futures::stream::unfold(Some(even), |even| async move {
        let mut even = even?;
        let next = even.next().await.transpose()?;
        let more = next.is_ok().then_some(even);
        Some((next, more))
    })
    .boxed()
}

/// Built anew from the values alone: what lies below a null, or behind the end of a buffer, is not seen
/// and would be written all the same.
fn settled(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let anew = |array: &ArrayRef| {
        let field = SortField::new(array.data_type().clone());
        if !RowConverter::supports_fields(std::slice::from_ref(&field)) {
            return Ok(array.clone());
        }
        let converter = RowConverter::new(vec![field])?;
        let rows = converter.convert_columns(std::slice::from_ref(array))?;
        Ok(converter.convert_rows(&rows)?.pop().unwrap_or_else(|| array.clone()))
    };
    let columns = batch.columns().iter().map(anew).collect::<Result<Vec<_>, ArrowError>>()?;
    of_columns(columns, batch.num_rows(), schema)
}

fn cast_to(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    of_columns(batch.columns().to_vec(), batch.num_rows(), schema)
}

fn of_columns(
    columns: Vec<ArrayRef>,
    rows: usize,
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let columns = columns.into_iter().zip(schema.fields());
    let columns = columns.map(|(array, field)| {
        if array.data_type() == field.data_type() {
            return Ok(array);
        }
        cast(&array, field.data_type())
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
}

async fn write_part(
    part: Answer,
    format: Format,
    folder: &Path,
    path: String,
) -> Result<ExportFile, QueryError> {
    let place = folder.join(&path);
    make_folder(place.parent().unwrap_or(folder))?;
    let mut out = Hashing { file: BufWriter::new(create(&place)?), hash: Sha256::new(), bytes: 0 };
    let rows = output::write(part, format, &mut out, None).await?.rows;
    let Hashing { file, hash, bytes } = out;
    let file = file.into_inner().map_err(|error| at(&place)(error.into_error()))?;
    file.sync_all().map_err(at(&place))?;
    Ok(ExportFile { path, rows, bytes, sha256: hex(&hash.finalize()) })
}

/// Hashes what it writes, so that a file's checksum is of what was meant to be written.
struct Hashing {
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashing {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.file.write_all(data)?;
        self.hash.update(data);
        self.bytes += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file that was not there, readable by nobody else: an export may hold personal data.
pub(super) fn create(path: &Path) -> Result<fs::File, QueryError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(at(path))
}
