//! An answer: a schema and a stream of batches, not yet computed.

use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Fields, Schema, SchemaRef};
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

/// The columns of an answer by those of its plan. How texts were read is no matter of whoever asks.
pub(crate) fn announced(plan: &Schema) -> SchemaRef {
    Arc::new(Schema::new_with_metadata(whole_texts(plan.fields()), plan.metadata().clone()))
}

fn whole_texts(fields: &Fields) -> Fields {
    fields.iter().map(whole_text).collect()
}

fn whole_text(field: &FieldRef) -> FieldRef {
    let of = match field.data_type() {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(item) => DataType::List(whole_text(item)),
        DataType::Struct(fields) => DataType::Struct(whole_texts(fields)),
        _ => return Arc::clone(field),
    };
    Arc::new(field.as_ref().clone().with_data_type(of))
}

/// The batch under the schema that was announced: a batch read from a table may carry other metadata, and the formats
/// compare.
pub(crate) fn as_announced(
    batch: RecordBatch,
    schema: &SchemaRef,
) -> Result<RecordBatch, QueryError> {
    if batch.schema_ref() == schema {
        return Ok(batch);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type()));
    columns
        .collect::<Result<Vec<_>, _>>()
        .and_then(|columns| RecordBatch::try_new_with_options(schema.clone(), columns, &options))
        .map_err(|error| QueryError::Failed(error.into()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, ListArray, StringArray, StringViewArray, StructArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Field;

    use super::*;

    const TEXTS: [Option<&str>; 3] =
        [Some("Bo"), None, Some("longer than what a view holds itself")];

    /// A text, a list of it, and a struct of both.
    fn batch(texts: ArrayRef) -> RecordBatch {
        let item = Arc::new(Field::new_list_field(texts.data_type().clone(), true));
        let lengths = OffsetBuffer::from_lengths([2, 1, 0]);
        let list: ArrayRef = Arc::new(ListArray::new(item, lengths, Arc::clone(&texts), None));
        let both = StructArray::from(vec![
            (Arc::new(Field::new("name", texts.data_type().clone(), true)), Arc::clone(&texts)),
            (Arc::new(Field::new("names", list.data_type().clone(), true)), Arc::clone(&list)),
        ]);
        let columns = [("name", texts), ("names", list), ("both", Arc::new(both) as ArrayRef)];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
            .unwrap()
    }

    #[test]
    fn texts_are_whole_however_they_were_read() {
        let views = batch(Arc::new(StringViewArray::from(TEXTS.to_vec())));
        let whole = batch(Arc::new(StringArray::from(TEXTS.to_vec())));
        let schema = announced(views.schema_ref());
        assert_eq!(schema, whole.schema());
        assert_eq!(as_announced(views, &schema).unwrap(), whole);
        assert_eq!(as_announced(whole.clone(), &announced(&schema)).unwrap(), whole);
    }
}
