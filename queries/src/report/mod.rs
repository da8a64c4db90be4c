//! The reports: one entry of [`REPORTS`] each, SQL templates in a folder of its name and one `.rs` file
//! that says what its columns mean.
//!
//! A report is two questions: `rows.sql` has one row for each thing that counts, `sums.sql` groups
//! them. What is behind a line is then the rows of its group, and must never be found in another way
//! than the line itself. What comes of the templates is plain SQL that anybody can run again, and exports keep it
//! beside their files. Only text made here is put into a template: a user's words go in as quoted
//! literals.

mod agent_time;
mod bill_duration;
mod call_cost;
mod call_phases;
mod calls;
mod deal_calls;
mod deal_changes;
mod deal_slips;
mod deal_stages;
mod dimension;
mod explain;
mod footnote;
mod kinds;
pub mod period;
mod rates;
mod render;
mod request;
mod template;

use crate::answer::Answer;
use crate::engine::Engine;
use crate::error::QueryError;

pub use dimension::Dimension;
pub use explain::{Which, explain};
pub use footnote::Footnote;
pub use kinds::{KIND_KEY, Kind};
pub use rates::Rates;
pub use render::{Rendered, render};
pub use request::{CostSource, ReportRequest};

/// All reports, in the order in which they are listed to people.
pub const REPORTS: &[&Report] = &[
    &call_cost::CALL_COST,
    &bill_duration::BILL_DURATION,
    &deal_changes::DEAL_CHANGES,
    &deal_stages::DEAL_STAGES,
    &deal_slips::DEAL_SLIPS,
    &deal_calls::DEAL_CALLS,
    &agent_time::AGENT_TIME,
    &call_phases::CALL_PHASES,
];

/// A question with a name, and the meaning of each number in its answer.
#[derive(Debug)]
pub struct Report {
    pub name: &'static str,
    /// What it tells, in one sentence.
    pub title: &'static str,
    /// The template of the things that count, one row each.
    rows: &'static str,
    /// The template of the grouped answer.
    sums: Sums,
    pub dimensions: &'static [Dimension],
    /// The groups where `--by` is not given; empty where the report is then a list.
    pub default_by: &'static [&'static str],
    /// Group columns that are always there, after those asked for; `rows` names them so.
    pub always_by: &'static [Column],
    pub measures: &'static [Column],
    /// What a chart draws unless it is told.
    pub main_measure: &'static str,
    list: Option<&'static List>,
    histogram: Option<&'static List>,
    filters: Filters,
    behind: Behind,
}

/// How the things that count are summed.
#[derive(Debug)]
enum Sums {
    /// Over `picked`, which is the rows.
    Picked(&'static str),
    /// Calls that meet deals: over `picked` where groups tell calls apart and not deals. `within`, where they tell deals
    /// apart and not calls, and `apart`, where both, sum the calls before they meet the deals; both begin as the query
    /// of the rows does.
    Met { picked: &'static str, within: &'static str, apart: &'static str },
}

/// An answer that is no group's sums: the rows themselves, or how they lie.
#[derive(Debug)]
pub struct List {
    /// Over `items`, which are the rows; a histogram's goes on after `picked`.
    sql: &'static str,
    /// The order of the rows.
    order: &'static str,
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

/// What is behind a line: templates over `items`, which are the rows of its group.
#[derive(Debug)]
struct Behind {
    /// What the rows are called.
    what: &'static str,
    show: &'static str,
    events: &'static str,
}

/// Which columns of a template the options narrow.
#[derive(Debug)]
struct Filters {
    /// None where the template sees to the period itself.
    time: Option<&'static str>,
    system: &'static str,
    account: &'static str,
    agent: Option<&'static str>,
    deal: Option<&'static str>,
    cost_source: Option<&'static str>,
    /// What is left out unless `--all`.
    usual: Option<&'static str>,
}

impl Report {
    /// What a line without groups is, where the report then lists.
    pub fn list(&self) -> Option<&'static List> {
        self.list
    }

    pub fn has_histogram(&self) -> bool {
        self.histogram.is_some()
    }

    /// Whether it sums costs, which then can be converted.
    pub fn sums_costs(&self) -> bool {
        self.filters.cost_source.is_some() && !self.always_by.is_empty()
    }

    /// The options that it takes beside those that all reports take.
    pub fn own_options(&self) -> Vec<&'static str> {
        let filters = &self.filters;
        let options = [
            ("--agent", filters.agent.is_some()),
            ("--deal", filters.deal.is_some()),
            ("--cost-source", filters.cost_source.is_some()),
            ("--currency", self.sums_costs()),
            ("--all", filters.usual.is_some()),
            ("--histogram", self.has_histogram()),
        ];
        options.into_iter().filter(|(_, takes)| *takes).map(|(option, _)| option).collect()
    }
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

/// Answers a report with its rows in a total order: by the columns `first`, then in its own order.
pub(crate) async fn run_in_order(
    engine: &Engine,
    request: &ReportRequest,
    first: &[String],
) -> Result<Answer, QueryError> {
    let rendered = render(request)?;
    rates::check(engine, &rendered).await?;
    let answer = engine.sql_in_order(&rendered.sql, None, first).await?;
    Ok(kinds::mark(answer, rendered.columns))
}

/// Answers a report.
pub async fn run(engine: &Engine, request: &ReportRequest) -> Result<Answer, QueryError> {
    let rendered = render(request)?;
    rates::check(engine, &rendered).await?;
    let answer = engine.sql(&rendered.sql).await?;
    let answer = kinds::mark(answer, rendered.columns);
    let report = by_name(&request.report)?;
    // A call may serve many deals, and would be counted in the line of each.
    let counts_calls_once = report.sums_costs() && report.filters.deal.is_none();
    Ok(if counts_calls_once { footnote::count(answer) } else { answer })
}
