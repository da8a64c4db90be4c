//! An answer: a schema and a stream of batches, not yet computed.

use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use futures::stream::{BoxStream, TryStreamExt};

use crate::error::QueryError;
use crate::report::Footnote;

/// What a query came to. Batches are computed as they are taken, so an answer of any size can be
/// written with little memory; dropping it stops the query.
pub struct Answer {
    pub schema: SchemaRef,
    pub batches: BoxStream<'static, Result<RecordBatch, QueryError>>,
    /// What to do next, where the answer is bound to be empty.
    pub hint: Option<String>,
    /// What to say below it once it was written.
    pub footnote: Option<Arc<Footnote>>,
}

impl Answer {
    /// All of it in memory.
    pub async fn collect(self) -> Result<Vec<RecordBatch>, QueryError> {
        self.batches.try_collect().await
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("schema", &self.schema).field("hint", &self.hint).finish()
    }
}

/// The batch under the schema that its plan announced: a batch read from a table may carry other
/// metadata, and the formats compare.
pub(crate) fn as_announced(
    batch: RecordBatch,
    schema: &SchemaRef,
) -> Result<RecordBatch, QueryError> {
    if batch.schema_ref() == schema {
        return Ok(batch);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), batch.columns().to_vec(), &options)
        .map_err(|error| QueryError::Failed(error.into()))
}
