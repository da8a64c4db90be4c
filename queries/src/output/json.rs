//! json and ndjson: one object a row, numbers with all their digits.

use std::io::Write;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;
use futures::StreamExt;

use super::cell::{self, Shape};
use super::{Format, Written, encode_error};
use crate::answer::Answer;
use crate::error::QueryError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Array,
    Lines,
}

pub async fn write(
    mut answer: Answer,
    out: &mut (dyn Write + Send),
    layout: Layout,
) -> Result<Written, QueryError> {
    let failed = encode_error(match layout {
        Layout::Array => Format::Json,
        Layout::Lines => Format::Ndjson,
    });
    let mut written = Written::default();
    let mut text = String::new();
    while let Some(batch) = answer.batches.next().await {
        let batch = batch?;
        let columns = columns(&batch).map_err(|e| failed(e.into()))?;
        for row in 0..batch.num_rows() {
            match layout {
                Layout::Array => text.push_str(if written.rows == 0 { "[\n" } else { ",\n" }),
                Layout::Lines => {}
            }
            object(&columns, row, &mut text);
            if layout == Layout::Lines {
                text.push('\n');
            }
            written.rows += 1;
        }
        out.write_all(text.as_bytes())?;
        text.clear();
    }
    if layout == Layout::Array {
        out.write_all(if written.rows == 0 { b"[]\n" } else { b"\n]\n" })?;
    }
    out.flush()?;
    Ok(written)
}

/// A column with its key, quoted.
struct Keyed<'a> {
    key: String,
    field: &'a Field,
    array: &'a ArrayRef,
    cells: cell::Column<'a>,
}

fn columns(batch: &RecordBatch) -> Result<Vec<Keyed<'_>>, ArrowError> {
    let fields = batch.schema_ref().fields().iter();
    fields
        .zip(batch.columns())
        .map(|(field, array)| {
            let cells = cell::Column::new(field, array)?;
            Ok(Keyed { key: quoted(field.name()), field, array, cells })
        })
        .collect()
}

fn object(columns: &[Keyed<'_>], row: usize, text: &mut String) {
    text.push('{');
    for (at, column) in columns.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(&column.key);
        text.push(':');
        value(column, row, text);
    }
    text.push('}');
}

fn value(column: &Keyed<'_>, row: usize, text: &mut String) {
    if let DataType::List(item) = column.field.data_type()
        && let Some(lists) = column.array.as_list_opt::<i32>()
        && !lists.is_null(row)
        && list(item, &lists.value(row), text).is_ok()
    {
        return;
    }
    match (column.cells.text(row), column.cells.shape) {
        (None, _) => text.push_str("null"),
        (Some(digits), Shape::Number) if is_json_number(&digits) => text.push_str(&digits),
        (Some(flag), Shape::Bool) => text.push_str(&flag),
        (Some(other), _) => text.push_str(&quoted(&other)),
    }
}

fn list(item: &Field, items: &ArrayRef, text: &mut String) -> Result<(), ArrowError> {
    let cells = cell::Column::new(item, items)?;
    let column = Keyed { key: String::new(), field: item, array: items, cells };
    text.push('[');
    for row in 0..items.len() {
        if row > 0 {
            text.push(',');
        }
        value(&column, row, text);
    }
    text.push(']');
    Ok(())
}

/// `NaN` and `inf` are none.
fn is_json_number(digits: &str) -> bool {
    digits.bytes().any(|byte| byte.is_ascii_digit())
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
