//! From an answer to what is drawn: panels of labelled values.
//!
//! Over time there is a panel for each of the other groups, as each is a line of its own; bars share a
//! panel, but for the currencies.

use arrow::array::RecordBatch;
use futures::StreamExt;

use crate::answer::Answer;
use crate::error::QueryError;
use crate::output::cell;
use crate::report::Kind;

/// Values that share an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// What they have in common, as in `currency EUR`; empty where there is but one panel.
    pub name: String,
    pub points: Vec<Point>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub label: String,
    /// The digits as the report has them.
    pub digits: String,
    /// How long that is drawn.
    pub value: f64,
}

const NONE: &str = "–";

pub async fn panels(
    mut answer: Answer,
    measure: &str,
    is_over_time: bool,
) -> Result<Vec<Panel>, QueryError> {
    let mut panels: Vec<Panel> = Vec::new();
    while let Some(batch) = answer.batches.next().await {
        for (name, point) in points(&batch?, measure, is_over_time)? {
            match panels.iter_mut().find(|panel| panel.name == name) {
                Some(panel) => panel.points.push(point),
                None => panels.push(Panel { name, points: vec![point] }),
            }
        }
    }
    Ok(panels)
}

/// Each row's panel and point; a row whose measure is null has none.
fn points(
    batch: &RecordBatch,
    measure: &str,
    is_over_time: bool,
) -> Result<Vec<(String, Point)>, QueryError> {
    let schema = batch.schema();
    let failed = |error: arrow::error::ArrowError| QueryError::Failed(error.into());
    let mut groups: Vec<(String, cell::Column<'_>)> = Vec::new();
    let mut measured = None;
    for (field, array) in schema.fields().iter().zip(batch.columns()) {
        let column = cell::Column::new(field, array).map_err(failed)?;
        if field.name() == measure {
            measured = Some(column);
        } else if Kind::of(field) == Some(Kind::Text) || is_bound(field.name()) {
            groups.push((field.name().clone(), column));
        }
    }
    let Some(measured) = measured else { return Ok(Vec::new()) };
    let rows = (0..batch.num_rows()).filter_map(|row| {
        let digits = measured.text(row)?;
        let (panel, label) = named(&groups, row, is_over_time);
        let value = digits.parse().unwrap_or_default();
        Some((panel, Point { label, digits, value }))
    });
    Ok(rows.collect())
}

/// The bounds of a histogram's bin.
fn is_bound(name: &str) -> bool {
    name == "over_seconds" || name == "to_seconds"
}

/// The panel that a row belongs to, and its label there. A name stands for its id.
fn named(
    groups: &[(String, cell::Column<'_>)],
    row: usize,
    is_over_time: bool,
) -> (String, String) {
    let (mut panel, mut label) = (Vec::new(), Vec::new());
    let mut bounds = Vec::new();
    for (at, (name, column)) in groups.iter().enumerate() {
        let text = column.text(row).unwrap_or_default();
        if is_bound(name) {
            bounds.push(text);
            continue;
        }
        if name.ends_with("_name") {
            continue;
        }
        let told = groups.get(at + 1).filter(|(next, _)| *next == format!("{name}_name"));
        let told = told.and_then(|(_, names)| names.text(row)).filter(|told| !told.is_empty());
        let text = told.unwrap_or(if text.is_empty() { NONE.to_owned() } else { text });
        let apart = name == "currency" || (is_over_time && at > 0);
        if apart { panel.push(format!("{name} {text}")) } else { label.push(text) }
    }
    if let [over, to] = bounds.as_slice() {
        label.push(match (over.as_str(), to.as_str()) {
            ("", to) => format!("{to} s"),
            (over, "") => format!("> {over} s"),
            (over, to) => format!("{over}–{to} s"),
        });
    }
    (panel.join(", "), label.join(" · "))
}
