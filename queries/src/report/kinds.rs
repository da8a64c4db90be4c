//! What a column's number is, told in the Arrow field's metadata so that every format agrees.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use futures::StreamExt;

use crate::answer::Answer;
use crate::error::QueryError;

/// The metadata key under which a column says its [`Kind`].
pub const KIND_KEY: &str = "ringlake.kind";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number of things.
    Count,
    /// Exact, four digits after the point or as many as it has.
    Money,
    /// Seconds: whole where they are whole.
    Seconds,
    /// Six digits after the point.
    Ratio,
    /// An id, a name, a text: never grouped or rounded, even if it looks like a number.
    Text,
    Time,
    /// Any decimal, without the zeros at its end.
    Number,
}

impl Kind {
    pub const ALL: [Self; 7] = [
        Self::Count,
        Self::Money,
        Self::Seconds,
        Self::Ratio,
        Self::Text,
        Self::Time,
        Self::Number,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Money => "money",
            Self::Seconds => "seconds",
            Self::Ratio => "ratio",
            Self::Text => "text",
            Self::Time => "time",
            Self::Number => "number",
        }
    }

    /// What a field says of itself.
    pub fn of(field: &Field) -> Option<Self> {
        let told = field.metadata().get(KIND_KEY)?;
        Self::ALL.into_iter().find(|kind| kind.as_str() == told)
    }
}

/// Puts the kinds, by column name, into the answer's schema.
pub fn mark(answer: Answer, columns: Vec<(String, Kind)>) -> Answer {
    let kinds: HashMap<String, Kind> = columns.into_iter().collect();
    let fields: Vec<Field> = answer
        .schema
        .fields()
        .iter()
        .map(|field| {
            let mut field = field.as_ref().clone().with_nullable(true);
            if let Some(kind) = kinds.get(field.name()) {
                field.metadata_mut().insert(KIND_KEY.to_owned(), kind.as_str().to_owned());
            }
            field
        })
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let marked = schema.clone();
    // Built anew, since a batch may carry other metadata than its plan announced.
    let batches = answer.batches.map(move |batch| {
        RecordBatch::try_new(marked.clone(), batch?.columns().to_vec())
            .map_err(|error| QueryError::Failed(error.into()))
    });
    Answer { schema, batches: batches.boxed(), ..answer }
}
