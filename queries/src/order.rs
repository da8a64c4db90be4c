//! A total order for an answer: the one that the statement asks for, and among equals by all columns.
//!
//! An export of the same period is the same bytes, however many threads computed it and however the
//! tables' files are cut. Rows that are still equal are the same row. Columns of structures and maps have no
//! order; rows that differ in nothing else may come in any.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Expr, Limit, LogicalPlan, Projection, Sort, SortExpr};

use crate::error::QueryError;

/// The plan with its rows in a total order: by the columns `first`, then as the statement says, then by
/// all columns from the left, nulls last.
///
/// # Errors
/// A name in `first` that is no column of the answer.
pub(crate) fn total(plan: LogicalPlan, first: &[String]) -> Result<LogicalPlan, QueryError> {
    let plan = settled(plan);
    if first.is_empty() {
        return Ok(plan);
    }
    let mut keys =
        first.iter().map(|name| column(plan.schema(), name)).collect::<Result<_, _>>()?;
    add(&mut keys, asked_for(&plan));
    add(&mut keys, all_columns(plan.schema()));
    Ok(LogicalPlan::Sort(Sort { expr: keys, input: Arc::new(plan), fetch: None }))
}

/// Where a limit cuts, it must cut a total order: so the sort goes below it.
fn settled(plan: LogicalPlan) -> LogicalPlan {
    match plan {
        LogicalPlan::Limit(Limit { skip, fetch, input }) => {
            let input = Arc::new(settled(Arc::unwrap_or_clone(input)));
            LogicalPlan::Limit(Limit { skip, fetch, input })
        }
        // Sorted by a column that it does not show.
        LogicalPlan::Projection(mut shown) if is_sorted(&shown.input) => {
            shown.input = Arc::new(settled(Arc::unwrap_or_clone(shown.input)));
            LogicalPlan::Projection(shown)
        }
        LogicalPlan::Sort(mut sort) => {
            add(&mut sort.expr, all_columns(sort.input.schema()));
            LogicalPlan::Sort(sort)
        }
        other => {
            let expr = all_columns(other.schema());
            LogicalPlan::Sort(Sort { expr, input: Arc::new(other), fetch: None })
        }
    }
}

fn is_sorted(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Limit(Limit { input, .. })
        | LogicalPlan::Projection(Projection { input, .. }) => is_sorted(input),
        _ => false,
    }
}

/// The order of a plan that is sorted by what it shows.
fn asked_for(plan: &LogicalPlan) -> Vec<SortExpr> {
    match plan {
        LogicalPlan::Sort(sort) => sort.expr.clone(),
        LogicalPlan::Limit(Limit { input, .. }) => asked_for(input),
        _ => Vec::new(),
    }
}

fn column(schema: &DFSchema, name: &str) -> Result<SortExpr, QueryError> {
    let mut found = schema.columns().into_iter().filter(|column| column.name == name);
    found.next().map(by).ok_or_else(|| QueryError::Unknown {
        what: "column",
        name: name.to_owned(),
        known: schema.fields().iter().map(|field| field.name().clone()).collect(),
        place: None,
    })
}

fn all_columns(schema: &DFSchema) -> Vec<SortExpr> {
    let columns = schema.columns().into_iter().zip(schema.fields());
    columns
        .filter(|(_, field)| has_order(field.data_type()))
        .map(|(column, _)| by(column))
        .collect()
}

fn by(column: Column) -> SortExpr {
    Expr::Column(column).sort(true, false)
}

/// Adds what is not a key already.
fn add(keys: &mut Vec<SortExpr>, more: Vec<SortExpr>) {
    for key in more {
        if !keys.iter().any(|held| held.expr == key.expr) {
            keys.push(key);
        }
    }
}

fn has_order(of: &DataType) -> bool {
    match of {
        DataType::List(item) | DataType::LargeList(item) => !item.data_type().is_nested(),
        other => !other.is_nested(),
    }
}
