//! What is to be said below a report: how many of its calls have no cost.
//!
//! Counted while the answer is written, so that it costs no second question.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::StreamExt;

use crate::answer::Answer;

/// Grows while the answer is taken.
#[derive(Debug, Default)]
pub struct Footnote {
    uncosted: AtomicU64,
}

impl Footnote {
    /// What to tell people once all of the answer was taken.
    pub fn text(&self) -> Option<String> {
        let calls = match self.uncosted.load(Ordering::Relaxed) {
            0 => return None,
            1 => "1 call has no cost and is in no sum".to_owned(),
            calls => format!("{calls} calls have no cost and are in no sum"),
        };
        Some(format!(
            "{calls}: the vendor told none and no tariff is for them; \
             `ringlake query 'SELECT * FROM unrated_calls'` lists them"
        ))
    }
}

/// Counts the calls that have no cost.
pub fn count(answer: Answer) -> Answer {
    let footnote = Arc::new(Footnote::default());
    let counted = footnote.clone();
    let batches = answer.batches.map(move |batch| {
        if let Ok(batch) = &batch {
            counted.uncosted.fetch_add(uncosted(batch).unwrap_or_default(), Ordering::Relaxed);
        }
        batch
    });
    Answer { batches: batches.boxed(), footnote: Some(footnote), ..answer }
}

/// Calls less those with a cost: a line without a currency may have some whose currency is not known.
fn uncosted(batch: &RecordBatch) -> Option<u64> {
    let total = |name: &str| {
        let counts = batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
        u64::try_from(counts.iter().flatten().sum::<i64>()).ok()
    };
    total("calls")?.checked_sub(total("costed_calls")?)
}
