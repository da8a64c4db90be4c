//! Parquet and Arrow files: the answer's own types, for other tools.

use std::io::Write;

use arrow::ipc::writer::FileWriter;
use futures::StreamExt;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::{Format, Written, encode_error};
use crate::answer::Answer;
use crate::error::QueryError;

pub async fn write_parquet(
    mut answer: Answer,
    out: &mut (dyn Write + Send),
) -> Result<Written, QueryError> {
    let failed = encode_error(Format::Parquet);
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let mut writer = ArrowWriter::try_new(&mut *out, answer.schema.clone(), Some(properties))
        .map_err(|error| failed(error.into()))?;
    let mut written = Written::default();
    while let Some(batch) = answer.batches.next().await {
        let batch = batch?;
        writer.write(&batch).map_err(|error| failed(error.into()))?;
        written.rows += batch.num_rows() as u64;
    }
    writer.close().map_err(|error| failed(error.into()))?;
    out.flush()?;
    Ok(written)
}

pub async fn write_arrow(
    mut answer: Answer,
    out: &mut (dyn Write + Send),
) -> Result<Written, QueryError> {
    let failed = encode_error(Format::Arrow);
    let mut writer = FileWriter::try_new_buffered(&mut *out, &answer.schema)
        .map_err(|error| failed(error.into()))?;
    let mut written = Written::default();
    while let Some(batch) = answer.batches.next().await {
        let batch = batch?;
        writer.write(&batch).map_err(|error| failed(error.into()))?;
        written.rows += batch.num_rows() as u64;
    }
    writer.finish().map_err(|error| failed(error.into()))?;
    drop(writer);
    out.flush()?;
    Ok(written)
}
