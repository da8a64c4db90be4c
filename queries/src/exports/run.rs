//! One run: ask, write beside, make it durable, rename.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};
use datafusion::common::{ParamValues, ScalarValue};
use ringlake_transform::faults::{self, Side};
use sha2::{Digest, Sha256};

use super::manifest::{self, ExportFile, MANIFEST, Manifest};
use super::schedule::period;
use super::{ExportSource, ExportSpec, stamp};
use crate::answer::Answer;
use crate::engine::Engine;
use crate::error::QueryError;
use crate::output::{self, Format};
use crate::report::period::Period;
use crate::report::{self, ReportRequest};

const PART: &str = "part-00000.parquet";

/// Writes one run and returns its manifest. A run that is there already is left as it is.
pub async fn run(
    engine: &Engine,
    spec: &ExportSpec,
    scheduled_for: DateTime<Utc>,
) -> Result<Manifest, QueryError> {
    if let Some(wrong) = spec.check().into_iter().next() {
        return Err(wrong);
    }
    let runs = spec.runs();
    let finished = runs.join(stamp(scheduled_for));
    if let Some(manifest) = manifest::read(&finished)? {
        return Ok(manifest);
    }
    make_folder(&runs)?;
    stays_inside(spec, &runs)?;
    let unfinished = Unfinished::begin(&runs, scheduled_for)?;
    let period = period(spec, scheduled_for);
    let (answer, sql) = ask(engine, spec, period).await?;
    let (file, rows) = write_part(answer, &unfinished.0.join(PART)).await?;
    let manifest = Manifest {
        name: spec.name.clone(),
        scheduled_for,
        since: period.since,
        until: period.until,
        time_zone: spec.zone.name().to_owned(),
        rows,
        files: vec![file],
        tables: engine.versions(),
        sql,
        written_by: concat!("ringlake ", env!("CARGO_PKG_VERSION")).to_owned(),
        folder: finished.clone(),
    };
    write_manifest(&manifest, &unfinished.0)?;
    unfinished.finish(&finished, &runs)?;
    Ok(manifest)
}

/// A folder that goes away again unless the run is finished.
struct Unfinished(PathBuf);

impl Unfinished {
    fn begin(runs: &Path, scheduled_for: DateTime<Utc>) -> Result<Self, QueryError> {
        let folder = runs.join(format!(".{}.unfinished", stamp(scheduled_for)));
        // What a killed run left behind.
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(at(&folder)(error));
            }
            _ => {}
        }
        make_folder(&folder)?;
        Ok(Self(folder))
    }

    fn finish(self, finished: &Path, runs: &Path) -> Result<(), QueryError> {
        sync(&self.0)?;
        faults::pass("queries:export", Side::Before);
        fs::rename(&self.0, finished).map_err(at(finished))?;
        faults::pass("queries:export", Side::After);
        sync(runs)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After the rename there is nothing left to remove, and a failure leaves what the next run
        // of this time removes.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether the folder of the runs lies where its path says: a link in its place would let an export out.
fn stays_inside(spec: &ExportSpec, runs: &Path) -> Result<(), QueryError> {
    let root = fs::canonicalize(&spec.folder).map_err(at(&spec.folder))?;
    let found = fs::canonicalize(runs).map_err(at(runs))?;
    if found == root.join(&spec.name) {
        return Ok(());
    }
    Err(QueryError::ExportSpec {
        name: spec.name.clone(),
        problem: format!("{} is a link to another place; remove it", runs.display()),
    })
}

async fn ask(
    engine: &Engine,
    spec: &ExportSpec,
    period: Period,
) -> Result<(Answer, String), QueryError> {
    match &spec.source {
        ExportSource::Report(request) => {
            let text = |moment: DateTime<Utc>| moment.to_rfc3339_opts(SecondsFormat::AutoSi, true);
            let request = ReportRequest {
                since: period.since.map(text),
                until: period.until.map(text),
                tz: Some(spec.zone.name().to_owned()),
                ..request.clone()
            };
            let sql = report::render(&request)?.sql;
            Ok((report::run(engine, &request).await?, sql))
        }
        ExportSource::Sql(sql) => {
            let values = bounds(period);
            Ok((engine.sql_with(sql, Some(values)).await?, sql.clone()))
        }
    }
}

/// `$since` and `$until`; an unbounded period has bounds that no event is beyond.
fn bounds(period: Period) -> ParamValues {
    const LAST_SECOND: i64 = 253_402_300_799;
    let utc = Some("UTC".into());
    let micros = |moment: Option<DateTime<Utc>>, otherwise: i64| {
        let value = moment.map_or(otherwise, |moment| moment.timestamp_micros());
        ScalarValue::TimestampMicrosecond(Some(value), utc.clone())
    };
    ParamValues::from(vec![
        ("since", micros(period.since, 0)),
        ("until", micros(period.until, LAST_SECOND * 1_000_000)),
    ])
}

async fn write_part(answer: Answer, path: &Path) -> Result<(ExportFile, u64), QueryError> {
    let file = create(path)?;
    let mut out = Hashing { file: BufWriter::new(file), hash: Sha256::new(), bytes: 0 };
    let rows = output::write(answer, Format::Parquet, &mut out, None).await?.rows;
    let Hashing { file, hash, bytes } = out;
    let file = file.into_inner().map_err(|error| at(path)(error.into_error()))?;
    file.sync_all().map_err(at(path))?;
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((ExportFile { path: PART.to_owned(), rows, bytes, sha256 }, rows))
}

fn write_manifest(manifest: &Manifest, folder: &Path) -> Result<(), QueryError> {
    let path = folder.join(MANIFEST);
    let mut file = create(&path)?;
    let mut text = serde_json::to_vec_pretty(manifest)
        .map_err(|source| QueryError::Manifest { path: path.clone(), source })?;
    text.push(b'\n');
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(at(&path))
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
fn create(path: &Path) -> Result<File, QueryError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(at(path))
}

fn make_folder(path: &Path) -> Result<(), QueryError> {
    fs::create_dir_all(path).map_err(at(path))
}

/// Makes a folder's entries durable.
fn sync(folder: &Path) -> Result<(), QueryError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

fn at(path: &Path) -> impl Fn(io::Error) -> QueryError {
    let path = path.to_owned();
    move |source| QueryError::ExportFile { path: path.clone(), source }
}
