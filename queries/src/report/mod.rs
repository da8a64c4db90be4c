//! The reports: one entry of [`REPORTS`] each, one `.sql` template and one `.rs` file that says what
//! its columns mean.
//!
//! A template is SQL over the views, with `{…}` where the groups, bounds and filters of a request
//! go; what comes of it is plain SQL that anybody can run again, and exports keep it beside their
//! files. Only text made here is put into a template: a user's words go in as quoted literals.

mod bill_duration;
mod call_cost;
mod calls;
mod deal_changes;
mod kinds;
pub mod period;
mod render;
mod request;

use crate::answer::Answer;
use crate::engine::Engine;
use crate::error::QueryError;

pub use kinds::{KIND_KEY, Kind};
pub use render::{Rendered, render};
pub use request::ReportRequest;

/// All reports, in the order in which they are listed to people.
pub const REPORTS: &[&Report] =
    &[&call_cost::CALL_COST, &bill_duration::BILL_DURATION, &deal_changes::DEAL_CHANGES];

/// A question with a name, and the meaning of each number in its answer.
#[derive(Debug)]
pub struct Report {
    pub name: &'static str,
    /// What it tells, in one sentence.
    pub title: &'static str,
    /// The template of the grouped answer.
    sql: &'static str,
    pub dimensions: &'static [Dimension],
    /// The groups where `--by` is not given; empty where the report is then a list.
    pub default_by: &'static [&'static str],
    /// Group columns that are always there, after those asked for.
    always_by: &'static [Column],
    pub measures: &'static [Column],
    list: Option<&'static List>,
    filters: Filters,
}

/// The answer of a report without groups: its rows.
#[derive(Debug)]
pub struct List {
    sql: &'static str,
    pub columns: &'static [Column],
}

/// A column of an answer.
#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    /// What it means, in one sentence.
    pub meaning: &'static str,
}

/// Something to group by.
#[derive(Debug)]
pub struct Dimension {
    pub name: &'static str,
    pub meaning: &'static str,
    /// The value, in terms of the template; `{zone}` is the report's time zone.
    value: &'static str,
    /// The name of the value, where it can have one.
    label: Option<&'static str>,
    /// What the label needs beside the template's own tables.
    join: Option<&'static str>,
    /// Which rows have this dimension at all.
    only: Option<&'static str>,
}

/// Which columns of a template the options narrow.
#[derive(Debug)]
struct Filters {
    time: &'static str,
    system: &'static str,
    account: &'static str,
    agent: Option<&'static str>,
    deal: Option<&'static str>,
    /// What is left out unless `--all`.
    usual: Option<&'static str>,
}

/// The report of this name.
pub fn by_name(name: &str) -> Result<&'static Report, QueryError> {
    REPORTS.iter().copied().find(|report| report.name == name).ok_or_else(|| QueryError::Unknown {
        what: "report",
        name: name.to_owned(),
        known: REPORTS.iter().map(|report| report.name.to_owned()).collect(),
        place: None,
    })
}

/// Answers a report.
pub async fn run(engine: &Engine, request: &ReportRequest) -> Result<Answer, QueryError> {
    let rendered = render(request)?;
    let answer = engine.sql(&rendered.sql).await?;
    Ok(kinds::mark(answer, rendered.columns))
}
