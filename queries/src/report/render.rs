//! From a request and a template to plain SQL.

use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use ringlake_transform::SYSTEMS;

use super::period::{self, Period};
use super::{Column, Dimension, Kind, Report, ReportRequest, by_name};
use crate::error::QueryError;

/// A report ready to run.
#[derive(Clone, Debug)]
pub struct Rendered {
    pub sql: String,
    pub period: Period,
    pub zone: Tz,
    /// What each column of the answer is.
    pub columns: Vec<(String, Kind)>,
}

/// Checks a request and fills the report's template with it.
pub fn render(request: &ReportRequest) -> Result<Rendered, QueryError> {
    let report = by_name(&request.report)?;
    let zone = period::zone(request.tz.as_deref().unwrap_or("UTC"))?;
    let period = Period::read(request.since.as_deref(), request.until.as_deref(), zone)?;
    let (template, dimensions) = match (&request.by, report.list) {
        (None, Some(list)) => (list.sql, Vec::new()),
        (by, _) => (report.sql, dimensions(report, by.as_deref())?),
    };
    let columns = match (&request.by, report.list) {
        (None, Some(list)) => kinds(list.columns),
        _ => grouped_columns(report, &dimensions),
    };
    let mut conditions = conditions(report, request, period)?;
    conditions.extend(dimensions.iter().filter_map(|d| d.only).map(str::to_owned));
    let filters =
        if conditions.is_empty() { "true".to_owned() } else { conditions.join("\n    AND ") };
    let sql = template
        .replace("{values}", &values(&dimensions))
        .replace("{joins}", &joins(&dimensions))
        .replace("{filters}", &filters)
        .replace("{groups}", &groups(&dimensions))
        .replace("{shown}", &shown(&dimensions))
        .replace("{keys}", &keys(&dimensions, ""))
        .replace("{order}", &keys(&dimensions, " NULLS LAST"))
        .replace("{zone}", zone.name());
    Ok(Rendered { sql, period, zone, columns })
}

fn dimensions(
    report: &'static Report,
    by: Option<&[String]>,
) -> Result<Vec<&'static Dimension>, QueryError> {
    let default: Vec<String> = report.default_by.iter().map(|name| (*name).to_owned()).collect();
    let mut dimensions: Vec<&'static Dimension> = Vec::new();
    for name in by.unwrap_or(&default) {
        let wanted = name.trim();
        let dimension = report.dimensions.iter().find(|dimension| dimension.name == wanted);
        let dimension = dimension.ok_or_else(|| QueryError::Unknown {
            what: "dimension",
            name: wanted.to_owned(),
            known: report.dimensions.iter().map(|d| d.name.to_owned()).collect(),
            place: None,
        })?;
        // Grouping twice by one thing is grouping by it once.
        if !dimensions.iter().any(|held| held.name == dimension.name) {
            dimensions.push(dimension);
        }
    }
    Ok(dimensions)
}

fn conditions(
    report: &Report,
    request: &ReportRequest,
    period: Period,
) -> Result<Vec<String>, QueryError> {
    let filters = &report.filters;
    let mut conditions = Vec::new();
    if let Some(since) = period.since {
        conditions.push(format!("{} >= {}", filters.time, instant(since)));
    }
    if let Some(until) = period.until {
        conditions.push(format!("{} < {}", filters.time, instant(until)));
    }
    if let Some(system) = &request.system {
        known_system(system)?;
        conditions.push(format!("{} = {}", filters.system, quote(system)));
    }
    if let Some(account) = &request.account {
        conditions.push(format!("{} = {}", filters.account, quote(account)));
    }
    let own = [("--agent", filters.agent, &request.agent), ("--deal", filters.deal, &request.deal)];
    for (option, column, value) in own {
        match (column, value) {
            (_, None) => {}
            (Some(column), Some(value)) => conditions.push(format!("{column} = {}", quote(value))),
            (None, Some(_)) => {
                return Err(QueryError::OptionOfOtherReport { report: report.name, option });
            }
        }
    }
    match (filters.usual, request.all) {
        (Some(usual), false) => conditions.push(usual.to_owned()),
        (None, true) => {
            return Err(QueryError::OptionOfOtherReport { report: report.name, option: "--all" });
        }
        _ => {}
    }
    Ok(conditions)
}

fn known_system(name: &str) -> Result<(), QueryError> {
    if SYSTEMS.iter().any(|system| system.name() == name) {
        return Ok(());
    }
    Err(QueryError::Unknown {
        what: "system",
        name: name.to_owned(),
        known: SYSTEMS.iter().map(|system| system.name().to_owned()).collect(),
        place: None,
    })
}

fn instant(moment: DateTime<Utc>) -> String {
    format!("TIMESTAMP '{}'", moment.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `call.agent_id AS agent, agents.name AS agent_name, `
fn values(dimensions: &[&Dimension]) -> String {
    let mut text = String::new();
    for Dimension { name, value, label, .. } in dimensions {
        text.push_str(&format!("{value} AS \"{name}\", "));
        if let Some(label) = label {
            text.push_str(&format!("{label} AS \"{name}_name\", "));
        }
    }
    text
}

/// `agent, max(agent_name) AS agent_name, `: a value has one name, so any of a group will do.
fn groups(dimensions: &[&Dimension]) -> String {
    let mut text = String::new();
    for Dimension { name, label, .. } in dimensions {
        text.push_str(&format!("\"{name}\", "));
        if label.is_some() {
            text.push_str(&format!("max(\"{name}_name\") AS \"{name}_name\", "));
        }
    }
    text
}

/// `agent, agent_name, `
fn shown(dimensions: &[&Dimension]) -> String {
    let mut text = String::new();
    for Dimension { name, label, .. } in dimensions {
        text.push_str(&format!("\"{name}\", "));
        if label.is_some() {
            text.push_str(&format!("\"{name}_name\", "));
        }
    }
    text
}

fn keys(dimensions: &[&Dimension], after_each: &str) -> String {
    dimensions.iter().map(|dimension| format!("\"{}\"{after_each}, ", dimension.name)).collect()
}

fn joins(dimensions: &[&Dimension]) -> String {
    let mut joins: Vec<&str> = dimensions.iter().filter_map(|dimension| dimension.join).collect();
    joins.dedup();
    joins.join("\n")
}

fn grouped_columns(report: &Report, dimensions: &[&Dimension]) -> Vec<(String, Kind)> {
    let mut columns = Vec::new();
    for dimension in dimensions {
        columns.push((dimension.name.to_owned(), Kind::Text));
        if dimension.label.is_some() {
            columns.push((format!("{}_name", dimension.name), Kind::Text));
        }
    }
    columns.extend(kinds(report.always_by));
    columns.extend(kinds(report.measures));
    columns
}

fn kinds(columns: &[Column]) -> Vec<(String, Kind)> {
    columns.iter().map(|column| (column.name.to_owned(), column.kind)).collect()
}
