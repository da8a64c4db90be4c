//! csv: a header, plain values, null as nothing.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::csv::WriterBuilder;
use arrow::datatypes::{DataType, Field, Schema};
use futures::StreamExt;

use super::{Format, Written, cell, encode_error};
use crate::answer::Answer;
use crate::error::QueryError;

pub async fn write(
    mut answer: Answer,
    out: &mut (dyn Write + Send),
) -> Result<Written, QueryError> {
    let failed = encode_error(Format::Csv);
    let texts: Vec<Field> =
        answer.schema.fields().iter().map(|f| Field::new(f.name(), DataType::Utf8, true)).collect();
    let schema = Arc::new(Schema::new(texts));
    let mut writer = WriterBuilder::new().with_header(true).build(out);
    let mut written = Written::default();
    writer.write(&RecordBatch::new_empty(schema.clone())).map_err(|e| failed(e.into()))?;
    while let Some(batch) = answer.batches.next().await {
        let batch = batch?;
        let texts = as_text(&batch, &schema).map_err(|e| failed(e.into()))?;
        writer.write(&texts).map_err(|e| failed(e.into()))?;
        written.rows += batch.num_rows() as u64;
    }
    writer.into_inner().flush()?;
    Ok(written)
}

fn as_text(
    batch: &RecordBatch,
    schema: &Arc<Schema>,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let columns = batch
        .schema_ref()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, array)| {
            let column = cell::Column::new(field, array)?;
            let texts: StringArray = (0..batch.num_rows()).map(|row| column.text(row)).collect();
            Ok(Arc::new(texts) as ArrayRef)
        })
        .collect::<Result<Vec<_>, arrow::error::ArrowError>>()?;
    RecordBatch::try_new(schema.clone(), columns)
}
