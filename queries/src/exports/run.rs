//! One run: ask, write beside, make it durable, show it.

use chrono::{DateTime, SecondsFormat, Utc};
use datafusion::common::{ParamValues, ScalarValue};
use sha2::{Digest, Sha256};

use super::manifest::{Manifest, RunName};
use super::place::{Place, Stage};
use super::schedule::period;
use super::{ExportSource, ExportSpec, parts};
use crate::answer::Answer;
use crate::engine::Engine;
use crate::error::QueryError;
use crate::output::cell::hex;
use crate::report::period::Period;
use crate::report::{self, ReportRequest};

/// Writes one run and returns its manifest. A run that is there already is left as it is.
///
/// # Errors
/// What the question or the place fails with; nothing is half written then.
pub async fn run(
    engine: &Engine,
    spec: &ExportSpec,
    scheduled_for: DateTime<Utc>,
) -> Result<Manifest, QueryError> {
    if let Some(wrong) = spec.check().into_iter().next() {
        return Err(wrong);
    }
    let (place, run) = (Place::open(spec)?, RunName::first(scheduled_for));
    if let Some(manifest) = place.manifest(run).await? {
        return Ok(manifest);
    }
    place.answers(run).await?;
    let Asked { answer, sql } = ask(engine, spec, period(spec, scheduled_for)).await?;
    let mut manifest = Manifest { sql, ..manifest_of(engine, spec, run) };
    let stage = place.stage(run)?;
    fill(&mut manifest, answer, spec, &place, &stage).await?;
    place.publish(stage, manifest).await
}

/// What is known of a run before it is asked.
pub(super) fn manifest_of(engine: &Engine, spec: &ExportSpec, run: RunName) -> Manifest {
    let period = period(spec, run.scheduled_for);
    Manifest {
        name: spec.name.clone(),
        scheduled_for: run.scheduled_for,
        number: run.number,
        corrects: None,
        reason: None,
        since: period.since,
        until: period.until,
        time_zone: spec.zone.name().to_owned(),
        format: spec.format.name().to_owned(),
        partition_by: spec.partition_by.clone(),
        rows: 0,
        files: Vec::new(),
        tables: engine.versions(),
        sql: String::new(),
        settings_sha256: hex(&Sha256::digest(engine.settings().told())),
        written_by: concat!("ringlake ", env!("CARGO_PKG_VERSION")).to_owned(),
        folder: String::new(),
    }
}

/// An answer in its total order, and the text that it answers.
pub(super) struct Asked {
    pub answer: Answer,
    pub sql: String,
}

pub(super) async fn ask(
    engine: &Engine,
    spec: &ExportSpec,
    period: Period,
) -> Result<Asked, QueryError> {
    let first = &spec.partition_by;
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
            Ok(Asked { answer: report::run_in_order(engine, &request, first).await?, sql })
        }
        ExportSource::Sql(sql) => {
            let answer = engine.sql_in_order(sql, Some(bounds(period)), first).await?;
            Ok(Asked { answer, sql: sql.clone() })
        }
    }
}

/// Writes the answer and notes its files.
pub(super) async fn fill(
    manifest: &mut Manifest,
    answer: Answer,
    spec: &ExportSpec,
    place: &Place,
    stage: &Stage,
) -> Result<(), QueryError> {
    let files = parts::write(answer, spec, &stage.folder).await?;
    manifest.rows = files.iter().map(|file| file.rows).sum();
    manifest.files = files.into_iter().map(|file| place.published_name(file)).collect();
    manifest.folder = place.shown(manifest.run());
    Ok(())
}

/// `$since` and `$until`; an unbounded period has bounds that no event is beyond.
pub(super) fn bounds(period: Period) -> ParamValues {
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
