//! What the states that came since make of the entities they touch.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use datafusion::datasource::TableProvider;
use datafusion::error::Result;
use datafusion::prelude::SessionContext;

use super::scope::{Scope, of_keys};
use super::{Fold, What, calls};

/// What a fold is made of at one moment.
#[derive(Clone, Default)]
pub(crate) struct Inputs {
    /// The folded rows by part; a part without any is missing.
    pub parts: BTreeMap<&'static str, Arc<dyn TableProvider>>,
    /// The rows of each of the fold's tables that are not folded yet.
    pub tail: BTreeMap<&'static str, Arc<dyn TableProvider>>,
    /// All rows of the table beside, folded or not.
    pub beside: Option<Arc<dyn TableProvider>>,
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
        What::Picked { told } => picked(context, fold, inputs, told).await,
    }
}

/// The condition that an event happened between the first and the last time that a statement tells in columns
/// of these names; none if it tells none.
pub(super) async fn happened(scope: &Scope, times: &str) -> Result<Option<String>> {
    let bounds = format!("SELECT min(first) AS first, max(last) AS last FROM ({times}) AS times");
    let bounds = scope.rows(&bounds).await?;
    let bound = |name: &str| {
        let times = bounds.column_by_name(name)?.as_primitive_opt::<TimestampMicrosecondType>()?;
        times.iter().next().flatten()
    };
    let (Some(first), Some(last)) = (bound("first"), bound("last")) else { return Ok(None) };
    let time =
        |micros: i64| format!("arrow_cast({micros}, 'Timestamp(Microsecond, Some(\"UTC\"))')");
    Ok(Some(format!("event_time BETWEEN {} AND {}", time(first), time(last))))
}

/// Asks the first part's view, which picks some rows, of those that are folded of the touched entities and of what was
/// told since; and each other part's of what the parts before it have come to.
async fn picked(
    context: &SessionContext,
    fold: &Fold,
    inputs: &Inputs,
    told: &'static str,
) -> Result<Fresh> {
    let tail = Scope::beside(context);
    for (name, table) in &inputs.tail {
        tail.add(name, Arc::clone(table))?;
    }
    if let (Some(name), Some(all), [table, ..]) = (fold.beside, &inputs.beside, fold.tables) {
        tail.add("all", Arc::clone(all))?;
        let times = format!("SELECT event_time AS first, event_time AS last FROM {table}");
        let then = happened(&tail, &times).await?.unwrap_or_else(|| "false".to_owned());
        tail.define(name, &format!("SELECT * FROM \"all\" WHERE {then}")).await?;
    }
    if crate::views::by_name(told).is_some() {
        tail.define_view(told).await?;
    }
    let all = Scope::beside(context);
    all.add_rows("since", tail.rows(&format!("SELECT * FROM {told}")).await?)?;
    let key = fold.key.join(", ");
    let keys = all.rows(&format!("SELECT DISTINCT {key} FROM since")).await?;
    all.add_rows("keys", keys.clone())?;
    let kept = fold.parts.first().and_then(|part| inputs.parts.get(part.name));
    let both = match kept {
        Some(folded) => {
            all.add("folded", Arc::clone(folded))?;
            let known = of_keys("folded.*", "folded", &keys, fold.key);
            format!("{known} UNION ALL SELECT * FROM since")
        }
        None => "SELECT * FROM since".to_owned(),
    };
    all.define(told, &both).await?;
    let mut parts = BTreeMap::new();
    for part in fold.parts {
        let Some(view) = part.view else { continue };
        let rows = all.rows_of_view(view).await?;
        // The next part is made of them.
        all.add_rows(view, rows.clone())?;
        parts.insert(part.name, rows);
    }
    Ok(Fresh { keys, parts })
}
