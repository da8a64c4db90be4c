//! The table format: for people at a terminal.

use std::io::Write;

use arrow::datatypes::Field;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};
use futures::StreamExt;

use super::cell::{self, Shape};
use super::{Format, Written, encode_error};
use crate::answer::Answer;
use crate::error::QueryError;
use crate::report::Kind;

/// More rows than anybody reads at a terminal; the rest are counted, not shown.
const MOST_ROWS: u64 = 1000;

pub async fn write(
    mut answer: Answer,
    out: &mut (dyn Write + Send),
    width: Option<u16>,
) -> Result<Written, QueryError> {
    let failed = encode_error(Format::Table);
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table.set_header(
        answer
            .schema
            .fields()
            .iter()
            .map(|field| Cell::new(field.name()).set_alignment(alignment(field))),
    );
    let mut written = Written::default();
    while let Some(batch) = answer.batches.next().await {
        let batch = batch?;
        let schema = batch.schema();
        let columns = schema
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, array)| Ok((field, cell::Column::new(field, array)?)))
            .collect::<Result<Vec<_>, arrow::error::ArrowError>>()
            .map_err(|error| failed(error.into()))?;
        for row in 0..batch.num_rows() {
            if written.rows == MOST_ROWS {
                written.left_out += (batch.num_rows() - row) as u64;
                break;
            }
            table.add_row(columns.iter().map(|(field, column)| {
                Cell::new(shown(field, column, row)).set_alignment(alignment(field))
            }));
            written.rows += 1;
        }
    }
    writeln!(out, "{table}")?;
    out.flush()?;
    Ok(written)
}

fn shown(field: &Field, column: &cell::Column<'_>, row: usize) -> String {
    let text = column.text(row).unwrap_or_default();
    if is_quantity(field) { grouped(&text) } else { text }
}

fn alignment(field: &Field) -> CellAlignment {
    if is_number(field) { CellAlignment::Right } else { CellAlignment::Left }
}

fn is_number(field: &Field) -> bool {
    cell::shape(field.data_type()) == Shape::Number
}

/// A number of something, and not an id that happens to be written in digits.
fn is_quantity(field: &Field) -> bool {
    let name = field.name().as_str();
    let names_one = name == "id" || name.ends_with("_id") || name == "offset" || name == "position";
    is_number(field) && Kind::of(field) != Some(Kind::Text) && !names_one
}

/// `1234567.8901` as `1,234,567.8901`.
fn grouped(digits: &str) -> String {
    let (sign, rest) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let (whole, fraction) = match rest.split_once('.') {
        Some((whole, fraction)) => (whole, format!(".{fraction}")),
        None => (rest, String::new()),
    };
    if !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return digits.to_owned();
    }
    let mut text = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{sign}{text}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_stand_in_threes() {
        assert_eq!(grouped("1234567.8901"), "1,234,567.8901");
        assert_eq!(grouped("-1234"), "-1,234");
        assert_eq!(grouped("999"), "999");
        assert_eq!(grouped(""), "");
        assert_eq!(grouped("NaN"), "NaN");
    }
}
