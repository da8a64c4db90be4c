//! From a request to plain SQL: what it asks is checked here, before any table is opened.

use chrono_tz::Tz;
use ringlake_transform::SYSTEMS;

use super::period::{self, Period};
use super::template::{Pieces, instant, quote};
use super::{Column, Dimension, Kind, Report, ReportRequest, Sums, by_name};
use crate::currencies;
use crate::error::QueryError;

/// A report ready to run.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The answer.
    pub sql: String,
    /// What is behind its lines, one row each.
    pub rows: String,
    /// What is shown of `items`, which are some of these rows, and their events.
    pub(super) show: String,
    pub(super) events: String,
    pub period: Period,
    pub zone: Tz,
    /// What each column of the answer is.
    pub columns: Vec<(String, Kind)>,
    /// The columns that make a line's group, and what the rows call them; none where the answer is a
    /// list.
    pub(super) groups: Option<Vec<(&'static str, String)>>,
    /// The order of a list.
    pub(super) order: &'static str,
    /// The currency that costs are converted to.
    pub(super) currency: Option<&'static str>,
    /// Whether a chart of it is a line rather than bars.
    pub is_over_time: bool,
}

/// Checks a request and fills the report's templates with it.
pub fn render(request: &ReportRequest) -> Result<Rendered, QueryError> {
    let report = by_name(&request.report)?;
    let zone = period::zone(request.tz.as_deref().unwrap_or("UTC"))?;
    let period = Period::read(request.since.as_deref(), request.until.as_deref(), zone)?;
    let by = request.by.as_deref();
    let list = if by.is_none() { report.list } else { None };
    let dimensions = match (list, request.histogram) {
        (Some(_), _) => Vec::new(),
        // One distribution of all, unless groups are asked for.
        (None, true) => dimensions(report, Some(by.unwrap_or_default()))?,
        (None, false) => dimensions(report, by)?,
    };
    let currency = conversion(report, request)?;
    let only: Vec<&str> = dimensions.iter().filter_map(|d| d.only).collect();
    let conditions = conditions(report, request, period, &only)?;
    let rates = currency.map(|to| (to, request.rates.as_deref()));
    let pieces = Pieces::new(&dimensions, &conditions, period, rates, zone);
    let fill = |template: &str| pieces.fill(template);
    let rows = fill(report.rows);
    let (sql, columns) = if request.histogram {
        let Some(histogram) = report.histogram else {
            return Err(other(report, "--histogram"));
        };
        let columns = [dimension_columns(&dimensions), kinds(histogram.columns)].concat();
        (format!("WITH picked AS (\n{}\n),\n{}", rows.trim_end(), fill(histogram.sql)), columns)
    } else if let Some(list) = list {
        (over("items", &rows, &fill(list.sql)), kinds(list.columns))
    } else {
        let of_call = dimensions.iter().filter(|dimension| dimension.is_of_call()).count();
        let sql = match report.sums {
            Sums::Met { within, .. } if of_call == 0 && !dimensions.is_empty() => fill(within),
            Sums::Met { apart, .. } if of_call < dimensions.len() => fill(apart),
            Sums::Picked(picked) | Sums::Met { picked, .. } => over("picked", &rows, &fill(picked)),
        };
        (sql, grouped_columns(report, &dimensions))
    };
    Ok(Rendered {
        sql,
        show: fill(report.behind.show),
        events: fill(report.behind.events),
        rows,
        period,
        zone,
        columns,
        groups: list.is_none().then(|| group_names(report, &dimensions)),
        order: list.map_or("", |list| list.order),
        currency,
        is_over_time: dimensions.first().is_some_and(|dimension| dimension.is_time()),
    })
}

fn over(name: &str, rows: &str, sql: &str) -> String {
    format!("WITH {name} AS (\n{}\n)\n{sql}", rows.trim_end())
}

fn dimensions(
    report: &'static Report,
    by: Option<&[String]>,
) -> Result<Vec<&'static Dimension>, QueryError> {
    let default: Vec<String> = report.default_by.iter().map(|name| (*name).to_owned()).collect();
    let mut dimensions: Vec<&'static Dimension> = Vec::new();
    for name in by.unwrap_or(&default) {
        let wanted = name.trim();
        // `--by ''` is one line over all.
        if wanted.is_empty() {
            continue;
        }
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

fn other(report: &Report, option: &'static str) -> QueryError {
    QueryError::OptionOfOtherReport { report: report.name, option }
}

/// The currency to convert to.
fn conversion(
    report: &Report,
    request: &ReportRequest,
) -> Result<Option<&'static str>, QueryError> {
    match (&request.currency, &request.rates) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(QueryError::RatesWithoutCurrency),
        (Some(_), _) if !report.sums_costs() => Err(other(report, "--currency")),
        (Some(currency), _) => currencies::code(currency).map(Some),
    }
}

fn conditions(
    report: &Report,
    request: &ReportRequest,
    period: Period,
    only: &[&str],
) -> Result<Vec<String>, QueryError> {
    let filters = &report.filters;
    let mut conditions = Vec::new();
    if let (Some(since), Some(time)) = (period.since, filters.time) {
        conditions.push(format!("{time} >= {}", instant(since)));
    }
    if let (Some(until), Some(time)) = (period.until, filters.time) {
        conditions.push(format!("{time} < {}", instant(until)));
    }
    if let Some(system) = &request.system {
        known_system(system)?;
        conditions.push(format!("{} = {}", filters.system, quote(system)));
    }
    if let Some(account) = &request.account {
        conditions.push(format!("{} = {}", filters.account, quote(account)));
    }
    let source = request.cost_source.map(|source| source.name().to_owned());
    let own = [
        ("--agent", filters.agent, &request.agent),
        ("--deal", filters.deal, &request.deal),
        ("--cost-source", filters.cost_source, &source),
    ];
    for (option, column, value) in own {
        match (column, value) {
            (_, None) => {}
            (Some(column), Some(value)) => conditions.push(format!("{column} = {}", quote(value))),
            (None, Some(_)) => return Err(other(report, option)),
        }
    }
    match (filters.usual, request.all) {
        // Nothing of what is left out usually has such a dimension.
        (Some(usual), false) if only.is_empty() => conditions.push(usual.to_owned()),
        (None, true) => return Err(other(report, "--all")),
        _ => {}
    }
    conditions.extend(only.iter().map(|only| (*only).to_owned()));
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

fn dimension_columns(dimensions: &[&Dimension]) -> Vec<(String, Kind)> {
    let mut columns = Vec::new();
    for dimension in dimensions {
        columns.push((dimension.name.to_owned(), Kind::Text));
        if dimension.label.is_some() {
            columns.push((format!("{}_name", dimension.name), Kind::Text));
        }
    }
    columns
}

fn grouped_columns(report: &Report, dimensions: &[&Dimension]) -> Vec<(String, Kind)> {
    let mut columns = dimension_columns(dimensions);
    columns.extend(kinds(report.always_by));
    columns.extend(kinds(report.measures));
    columns
}

fn group_names(report: &Report, dimensions: &[&Dimension]) -> Vec<(&'static str, String)> {
    let dimensions = dimensions.iter().map(|d| (d.name, format!("by_{}", d.name)));
    dimensions.chain(report.always_by.iter().map(|c| (c.name, c.name.to_owned()))).collect()
}

fn kinds(columns: &[Column]) -> Vec<(String, Kind)> {
    columns.iter().map(|column| (column.name.to_owned(), column.kind)).collect()
}
