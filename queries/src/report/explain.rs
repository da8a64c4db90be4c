//! `explain`: what is behind one line of a report, and the events behind that.
//!
//! A line is found again by its group's values, in the very rows that were summed, so that what is
//! shown adds up to the line and to nothing else.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::render::Rendered;
use super::template::quote;
use super::{Kind, ReportRequest, by_name, kinds, rates, render};
use crate::answer::Answer;
use crate::engine::Engine;
use crate::error::QueryError;

/// Which line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Counted from 1, as it is printed.
    Row(usize),
    /// Values of some or all group columns; none is the null one.
    Group(Vec<(String, Option<String>)>),
}

impl Which {
    /// Reads `agent=694,currency=`.
    pub fn group(pairs: &[String]) -> Result<Self, QueryError> {
        let read = |pair: &String| {
            let (name, value) =
                pair.split_once('=').ok_or_else(|| QueryError::NoGroup(pair.clone()))?;
            let value = value.trim();
            Ok((name.trim().to_owned(), (!value.is_empty()).then(|| value.to_owned())))
        };
        pairs.iter().map(read).collect::<Result<_, _>>().map(Self::Group)
    }
}

/// What counts in the line, or with `events` what told of it.
pub async fn explain(
    engine: &Engine,
    request: &ReportRequest,
    which: &Which,
    events: bool,
) -> Result<Answer, QueryError> {
    let rendered = render(request)?;
    if request.histogram {
        return Err(QueryError::NotExplained);
    }
    rates::check(engine, &rendered).await?;
    let narrowed = match (which, &rendered.groups) {
        (Which::Row(row), None) => {
            let before = row.checked_sub(1).ok_or(QueryError::NoSuchRow { row: 0, rows: None })?;
            format!("ORDER BY {} LIMIT 1 OFFSET {before}", rendered.order)
        }
        (Which::Group(_), None) => return Err(QueryError::ListHasNoGroups),
        (Which::Row(row), Some(groups)) => {
            let names: Vec<&str> = groups.iter().map(|(name, _)| *name).collect();
            let values = values_of(engine, &rendered, *row, &names).await?;
            let values =
                names.iter().map(|name| (*name).to_owned()).zip(values).collect::<Vec<_>>();
            condition(&values, groups)?
        }
        (Which::Group(values), Some(groups)) => condition(values, groups)?,
    };
    let last = match events {
        true => ordered_events(&rendered),
        false => rendered.show.replace("{unpinned}", &unpinned(which, &rendered)),
    };
    let sql = format!(
        "WITH picked AS (\n{}\n),\nitems AS (SELECT * FROM picked {narrowed})\n{last}",
        rendered.rows.trim_end()
    );
    let mut answer = engine.sql(&sql).await?;
    let what = by_name(&request.report)?.behind.what;
    answer.hint = answer.hint.or_else(|| Some(format!("no {what} are behind such a line")));
    let columns = answer.schema.fields().iter();
    let columns = columns.filter_map(|field| Some((field.name().clone(), kind(field.name())?)));
    let columns: Vec<(String, Kind)> = columns.collect();
    Ok(kinds::mark(answer, columns))
}

/// The group's columns that `which` leaves open, so that it can be told which line a row is of.
fn unpinned(which: &Which, rendered: &Rendered) -> String {
    let Which::Group(pinned) = which else { return String::new() };
    let groups = rendered.groups.iter().flatten();
    let open = groups.filter(|(name, column)| {
        // What has a column of its own anyway keeps its name in the rows.
        name != column && !pinned.iter().any(|(pinned, _)| pinned == name)
    });
    open.map(|(_, column)| format!("\"{column}\", ")).collect()
}

/// One row an event, in the order of their times.
fn ordered_events(rendered: &Rendered) -> String {
    format!(
        "SELECT DISTINCT\n    arrow_cast(event_time, 'Timestamp(Microsecond, Some(\"{zone}\"))') AS event_time,\n    \
         arrow_cast(received_at, 'Timestamp(Microsecond, Some(\"{zone}\"))') AS received_at,\n    \
         event_type, \"table\", of AS id, system, account_id, topic, \"partition\", \"offset\"\n\
         FROM (\n{events}\n) AS events\n\
         ORDER BY event_time, received_at, topic, \"partition\", \"offset\", id",
        zone = rendered.zone.name(),
        events = rendered.events.trim_end(),
    )
}

fn condition(
    values: &[(String, Option<String>)],
    groups: &[(&'static str, String)],
) -> Result<String, QueryError> {
    let mut conditions = vec!["true".to_owned()];
    for (name, value) in values {
        let (_, column) =
            groups.iter().find(|(known, _)| known == name).ok_or_else(|| QueryError::Unknown {
                what: "group",
                name: name.clone(),
                known: groups.iter().map(|(name, _)| (*name).to_owned()).collect(),
                place: None,
            })?;
        conditions.push(match value {
            Some(value) => format!("CAST(\"{column}\" AS VARCHAR) = {}", quote(value)),
            None => format!("\"{column}\" IS NULL"),
        });
    }
    Ok(format!("WHERE {}", conditions.join(" AND ")))
}

/// The group's values of the row with this number.
async fn values_of(
    engine: &Engine,
    rendered: &Rendered,
    row: usize,
    names: &[&str],
) -> Result<Vec<Option<String>>, QueryError> {
    let wanted = row.checked_sub(1).ok_or(QueryError::NoSuchRow { row, rows: None })?;
    let mut before = 0;
    for batch in engine.sql(&rendered.sql).await?.collect().await? {
        if let Some(at) = wanted.checked_sub(before).filter(|at| *at < batch.num_rows()) {
            return names.iter().map(|name| text(&batch, name, at)).collect();
        }
        before += batch.num_rows();
    }
    Err(QueryError::NoSuchRow { row, rows: Some(before) })
}

/// The value as SQL's own cast writes it.
fn text(batch: &RecordBatch, name: &str, row: usize) -> Result<Option<String>, QueryError> {
    let failed = |error: arrow::error::ArrowError| QueryError::Failed(error.into());
    let Some(column) = batch.column_by_name(name) else { return Ok(None) };
    let texts: ArrayRef = cast(&column.slice(row, 1), &DataType::Utf8).map_err(failed)?;
    let texts = texts.as_string::<i32>();
    Ok(texts.is_valid(0).then(|| texts.value(0).to_owned()))
}

/// What a column of an explanation is.
fn kind(name: &str) -> Option<Kind> {
    match name {
        "cost" | "amount" | "amount_open" | "amount_delta" => Some(Kind::Money),
        "delta" => Some(Kind::Number),
        _ if name == "seconds" || name.ends_with("_seconds") => Some(Kind::Seconds),
        _ if name.ends_with("_at") || name == "event_time" => Some(Kind::Time),
        "id" | "deal_id" => Some(Kind::Text),
        _ => None,
    }
}
