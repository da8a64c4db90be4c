//! The views of a fold: folded rows of the entities that nothing touched, and the fresh rows of the
//! others.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::datasource::TableProvider;
use datafusion::error::Result;
use datafusion::prelude::SessionContext;

use super::Fold;
use super::fresh::{Fresh, Inputs};
use super::scope::{Scope, in_memory, nothing, of_others};

pub(crate) async fn shown(
    context: &SessionContext,
    fold: &Fold,
    inputs: &Inputs,
    fresh: &Fresh,
) -> Result<BTreeMap<&'static str, Arc<dyn TableProvider>>> {
    let mut views = BTreeMap::new();
    for part in fold.parts {
        let (Some(view), Some(rows)) = (part.view, fresh.parts.get(part.name)) else { continue };
        let provider = match inputs.parts.get(part.name) {
            None => rows_or_nothing(rows)?,
            Some(folded) if fresh.keys.num_rows() == 0 => Arc::clone(folded),
            Some(folded) => {
                let scope = Scope::beside(context);
                scope.add("folded", Arc::clone(folded))?;
                scope.add("fresh", rows_or_nothing(rows)?)?;
                scope.add_rows("keys", fresh.keys.clone())?;
                scope
                    .view(&format!("{} UNION ALL SELECT * FROM fresh", of_others(fold.key)))
                    .await?
            }
        };
        views.insert(view, provider);
    }
    Ok(views)
}

fn rows_or_nothing(rows: &RecordBatch) -> Result<Arc<dyn TableProvider>> {
    if rows.num_rows() == 0 { nothing(&rows.schema()) } else { in_memory(rows.clone()) }
}
