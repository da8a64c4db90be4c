//! What the states that came since make of the entities they touch.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::datasource::TableProvider;
use datafusion::error::Result;
use datafusion::prelude::SessionContext;

use super::scope::{Scope, same_key};
use super::{Fold, What, calls};

/// What a fold is made of at one moment.
#[derive(Clone, Default)]
pub(crate) struct Inputs {
    /// The folded rows by part; a part without any is missing.
    pub parts: BTreeMap<&'static str, Arc<dyn TableProvider>>,
    /// The rows of each of the fold's tables that are not folded yet.
    pub tail: BTreeMap<&'static str, Arc<dyn TableProvider>>,
    /// All rows of `channel_events`, folded or not: none of them is ever superseded.
    pub channel_events: Option<Arc<dyn TableProvider>>,
}

/// The rows of the entities that the tail touches, by part, as they are with the tail.
pub(crate) struct Fresh {
    /// The keys of these entities, each once.
    pub keys: RecordBatch,
    pub parts: BTreeMap<&'static str, RecordBatch>,
}

pub(crate) async fn fresh(context: &SessionContext, fold: &Fold, inputs: &Inputs) -> Result<Fresh> {
    match &fold.what {
        What::Calls => calls::fresh(context, fold, inputs).await,
        What::Newest { told } => newest(context, fold, inputs, told).await,
    }
}

/// Asks the view, which picks the newest, of what is folded of the touched entities and what was told
/// since.
async fn newest(
    context: &SessionContext,
    fold: &Fold,
    inputs: &Inputs,
    told: &'static str,
) -> Result<Fresh> {
    let tail = Scope::beside(context);
    for (name, table) in &inputs.tail {
        tail.add(name, Arc::clone(table))?;
    }
    if crate::views::by_name(told).is_some() {
        tail.define_view(told).await?;
    }
    let all = Scope::beside(context);
    all.add_rows("since", tail.rows(&format!("SELECT * FROM {told}")).await?)?;
    let key = fold.key.join(", ");
    let keys = all.rows(&format!("SELECT DISTINCT {key} FROM since")).await?;
    all.add_rows("keys", keys.clone())?;
    let mut parts = BTreeMap::new();
    for part in fold.parts {
        let Some(view) = part.view else { continue };
        let both = match inputs.parts.get(part.name) {
            Some(folded) => {
                all.add("folded", Arc::clone(folded))?;
                format!(
                    "SELECT folded.* FROM keys RIGHT SEMI JOIN folded ON {} UNION ALL SELECT * FROM since",
                    same_key(fold.key, "folded")
                )
            }
            None => "SELECT * FROM since".to_owned(),
        };
        all.define(told, &both).await?;
        all.define_view(view).await?;
        parts.insert(part.name, all.rows(&format!("SELECT * FROM {view}")).await?);
    }
    Ok(Fresh { keys, parts })
}
