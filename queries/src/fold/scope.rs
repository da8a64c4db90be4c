//! A place where the views' names mean only some of the states: a session of its own, with tables and
//! views put in by hand.
//!
//! It must never be given to a user: its tables are not what their names promise.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::{
    concat_batches, max, max_string, max_string_view, min, min_string, min_string_view,
};
use arrow::datatypes::{DataType, Int64Type, Schema};
use datafusion::common::DFSchema;
use datafusion::datasource::{MemTable, TableProvider, ViewTable};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{EmptyRelation, LogicalPlan};
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::{functions, views};

pub(super) struct Scope {
    context: SessionContext,
}

impl Scope {
    /// With the functions and limits of `context`, and none of its tables.
    pub fn beside(context: &SessionContext) -> Self {
        let options = context.copied_config().options().as_ref().clone();
        let config = SessionConfig::from(options);
        let context = SessionContext::new_with_config_rt(config, context.runtime_env());
        functions::register(&context);
        Self { context }
    }

    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    pub fn add(&self, name: &str, table: Arc<dyn TableProvider>) -> Result<()> {
        self.context.register_table(name, table).map(|_| ())
    }

    pub fn add_rows(&self, name: &str, rows: RecordBatch) -> Result<()> {
        self.add(name, in_memory(rows)?)
    }

    /// Puts in what a statement answers with, asked anew each time.
    pub async fn define(&self, name: &str, sql: &str) -> Result<()> {
        let view = self.context.sql(sql).await?.into_view();
        self.add(name, view)
    }

    /// Puts in a view by its own definition, over what its names mean here.
    pub async fn define_view(&self, name: &'static str) -> Result<()> {
        self.define(name, definition(name)?).await
    }

    /// All rows of a view by its own definition, over what its names mean here.
    pub async fn rows_of_view(&self, name: &str) -> Result<RecordBatch> {
        self.rows(definition(name)?).await
    }

    pub async fn view(&self, sql: &str) -> Result<Arc<dyn TableProvider>> {
        Ok(self.context.sql(sql).await?.into_view())
    }

    /// All rows of an answer as one batch.
    pub async fn rows(&self, sql: &str) -> Result<RecordBatch> {
        let frame = self.context.sql(sql).await?;
        let schema = Arc::new(frame.schema().as_arrow().clone());
        let batches = frame.collect().await?;
        let schema = batches.first().map_or(schema, RecordBatch::schema);
        Ok(concat_batches(&schema, &batches)?)
    }
}

fn definition(view: &str) -> Result<&'static str> {
    let unknown = || DataFusionError::Internal(format!("there is no view {view}"));
    views::by_name(view).map(|view| view.sql).ok_or_else(unknown)
}

pub(super) fn in_memory(rows: RecordBatch) -> Result<Arc<dyn TableProvider>> {
    Ok(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?))
}

/// No rows, of which the planner knows: what is joined with them is not read for that. To be asked, not to fold by:
/// of a union without these the columns may be stricter than those of the files before.
pub(super) fn nothing(columns: &Schema) -> Result<Arc<dyn TableProvider>> {
    let schema = Arc::new(DFSchema::try_from(columns.clone())?);
    let plan = LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema });
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// What to select of the rows of `folded` whose entities are among `keys`.
pub(super) fn of_keys(what: &str, folded: &str, keys: &RecordBatch, key: &[&str]) -> String {
    let (same, near) = (same_key(key, "folded"), near(keys, key, "folded"));
    format!("SELECT {what} FROM keys RIGHT SEMI JOIN {folded} AS folded ON {same} WHERE {near}")
}

/// The rows of `folded` whose entities are not among `keys`.
pub(super) fn of_others(key: &[&str]) -> String {
    let same = same_key(key, "folded");
    format!("SELECT folded.* FROM keys RIGHT ANTI JOIN folded ON {same}")
}

/// The condition that a row can be of these keys: what the statistics of files rule out is not read. What came
/// lately has ids near each other, so that is nearly all.
fn near(keys: &RecordBatch, key: &[&str], table: &str) -> String {
    let everywhere = "true".to_owned();
    let Some((name, values)) = key.last().and_then(|name| Some((name, keys.column_by_name(name)?)))
    else {
        return everywhere;
    };
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let bounds = match values.data_type() {
        _ if values.null_count() > 0 => None,
        DataType::Int64 => {
            let values = values.as_primitive::<Int64Type>();
            min(values).zip(max(values)).map(|(min, max)| (min.to_string(), max.to_string()))
        }
        DataType::Utf8 => {
            let values = values.as_string::<i32>();
            min_string(values).zip(max_string(values)).map(|(min, max)| (quoted(min), quoted(max)))
        }
        DataType::Utf8View => {
            let values = values.as_string_view();
            min_string_view(values)
                .zip(max_string_view(values))
                .map(|(min, max)| (quoted(min), quoted(max)))
        }
        _ => None,
    };
    bounds.map_or(everywhere, |(min, max)| format!("{table}.\"{name}\" BETWEEN {min} AND {max}"))
}

/// The condition of a join of `keys` with `other` by these columns, null equal to null.
pub(super) fn same_key(key: &[&str], other: &str) -> String {
    let columns: Vec<String> = key
        .iter()
        .map(|column| format!("(keys.\"{column}\" IS NOT DISTINCT FROM {other}.\"{column}\")"))
        .collect();
    columns.join(" AND ")
}
