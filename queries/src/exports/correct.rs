//! Corrections: a period that was exported is asked again, and if late events changed its answer, the new
//! one is written beside the old one, with a number and the reason. Nothing is ever overwritten.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use datafusion::common::ParamValues;

use super::compare::{self, Part};
use super::manifest::{Lines, Manifest, Reason, RunName, TableMoved};
use super::place::{Place, Stage, scratch};
use super::run::{Asked, ask, bounds, fill, manifest_of};
use super::schedule::period;
use super::{ExportPeriod, ExportSpec};
use crate::engine::Engine;
use crate::error::QueryError;
use crate::report::period::Period;

/// Whether a correction is written or only told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    Yes,
    No,
}

/// What a period that is asked again comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// It was never exported.
    Never,
    /// Nothing has moved since it was asked.
    Untouched,
    /// The answer is the same.
    Same,
    /// The export asks another question by now, so that the answers cannot be compared.
    AnotherQuestion,
    Differs(Reason),
    Corrected(Box<Manifest>),
}

/// The newest runs of periods that are closed and may be corrected, oldest first; at most as many as the
/// export looks back.
pub fn closed(spec: &ExportSpec, finished: &[RunName]) -> Vec<DateTime<Utc>> {
    if spec.period == ExportPeriod::All {
        return Vec::new();
    }
    let mut times: Vec<_> = finished.iter().map(|run| run.scheduled_for).collect();
    times.sort();
    times.dedup();
    times.split_off(times.len().saturating_sub(spec.corrections))
}

/// Asks the period of a run again and compares.
///
/// # Errors
/// What the question or the place fails with; nothing is half written then.
pub async fn again(
    engine: &Engine,
    spec: &ExportSpec,
    scheduled_for: DateTime<Utc>,
    write: Write,
) -> Result<Again, QueryError> {
    if let Some(wrong) = spec.check().into_iter().next() {
        return Err(wrong);
    }
    let place = Place::open(spec)?;
    let names = place.names().await?;
    let newest = names.iter().rfind(|run| run.scheduled_for == scheduled_for).copied();
    let Some(newest) = newest else { return Ok(Again::Never) };
    let Some(old) = place.manifest(newest).await? else { return Ok(Again::Never) };
    let run = RunName { number: newest.number + 1, ..newest };
    let mut new = manifest_of(engine, spec, run);
    let settings_changed = old.settings_sha256 != new.settings_sha256;
    if !old.tables.is_empty() && old.tables == new.tables && !settings_changed {
        return Ok(Again::Untouched);
    }
    let period = period(spec, scheduled_for);
    let Asked { answer, sql } = ask(engine, spec, period).await?;
    new.sql = sql;
    let question = |run: &Manifest| (run.sql.clone(), run.format.clone(), run.partition_by.clone());
    if question(&old) != question(&new) {
        return Ok(Again::AnotherQuestion);
    }
    let numbers = compare::numbers(&answer.schema);
    let stage = match write {
        Write::Yes => place.stage(run)?,
        Write::No => Stage::elsewhere()?,
    };
    fill(&mut new, answer, spec, &place, &stage).await?;
    let sums = |run: &Manifest| {
        let sums = run.files.iter().map(|file| (file.path.clone(), file.sha256.clone()));
        sums.collect::<BTreeMap<_, _>>()
    };
    if sums(&old) == sums(&new) {
        return Ok(Again::Same);
    }
    let lines = if compare::is_worth_it(old.rows + new.rows) {
        let (before, after, _copies) = files(&place, &old, &new, &stage).await?;
        Some(compare::lines(&before, &after, spec.format, &numbers)?)
    } else {
        None
    };
    // The same lines, written by another version of the program: nobody was told anything wrong.
    if lines.is_some_and(|lines| lines == Lines::default()) {
        return Ok(Again::Same);
    }
    let settings_changed = settings_changed && !old.settings_sha256.is_empty();
    let tables = moved(engine, &old, period).await;
    let reason = Reason { text: String::new(), tables, settings_changed, lines }.told();
    if write == Write::No {
        return Ok(Again::Differs(reason));
    }
    new.corrects = Some(newest.to_string());
    new.reason = Some(reason);
    Ok(Again::Corrected(Box::new(place.publish(stage, new).await?)))
}

/// The files of both runs on this machine; copies are gone with the folder.
async fn files(
    place: &Place,
    old: &Manifest,
    new: &Manifest,
    stage: &Stage,
) -> Result<(Vec<Part>, Vec<Part>, tempfile::TempDir), QueryError> {
    let copies = scratch()?;
    let mut before = Vec::new();
    for file in &old.files {
        before.push(Part::new(place.fetch(old.run(), file, copies.path()).await?, file));
    }
    let staged = |file| Part::new(stage.folder.join(place.staged_name(file)), file);
    Ok((before, new.files.iter().map(staged).collect(), copies))
}

/// The tables that have moved, and how many rows of the period came meanwhile.
async fn moved(engine: &Engine, old: &Manifest, period: Period) -> BTreeMap<String, TableMoved> {
    let before = engine.at(old.tables.clone()).ok();
    let mut tables = BTreeMap::new();
    for (table, to) in engine.versions() {
        let from = old.tables.get(&table).copied();
        if from == Some(to) {
            continue;
        }
        let then = match &before {
            Some(before) => rows(before, &table, bounds(period)).await,
            None => None,
        };
        let now = rows(engine, &table, bounds(period)).await;
        let late_rows = then.zip(now).map(|(then, now)| now.saturating_sub(then));
        tables.insert(table, TableMoved { from, to, late_rows });
    }
    tables
}

/// How many rows of the period a table has; none if that cannot be told.
async fn rows(engine: &Engine, table: &str, bounds: ParamValues) -> Option<u64> {
    let sql = format!(
        "SELECT count(*) FROM \"{table}\" WHERE event_time >= $since AND event_time < $until"
    );
    let answer = engine.sql_with(&sql, Some(bounds)).await.ok()?.collect().await.ok()?;
    let count = answer.first()?.columns().first()?;
    let count = arrow::util::display::array_value_to_string(count, 0).ok()?;
    count.parse().ok()
}
