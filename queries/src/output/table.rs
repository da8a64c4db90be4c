//! The table format: for people at a terminal.
//!
//! A number or a time is never broken over two lines; texts fold, headers fold at their underscores.
//! What is too wide even so is shown record by record.

use std::io::Write;

use arrow::datatypes::{DataType, Field};
use comfy_table::presets::NOTHING;
use comfy_table::{
    Cell, CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width,
};
use futures::StreamExt;

use super::cell::{self, Shape};
use super::{Format, Written, encode_error};
use crate::answer::Answer;
use crate::error::QueryError;
use crate::report::Kind;

/// More rows than anybody reads at a terminal; the rest are counted, not shown.
const MOST_ROWS: usize = 1000;
/// A text column is not made narrower than this.
const LEAST_TEXT: usize = 6;
/// One blank on either side of a cell.
const PADDING: usize = 2;
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));

pub async fn write(
    mut answer: Answer,
    out: &mut (dyn Write + Send),
    width: Option<u16>,
) -> Result<Written, QueryError> {
    let failed = encode_error(Format::Table);
    let columns: Vec<Column> = answer.schema.fields().iter().map(|f| Column::new(f)).collect();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut written = Written::default();
    while let Some(batch) = answer.batches.next().await {
        let batch = batch?;
        let shown = batch.num_rows().min(MOST_ROWS - rows.len());
        written.left_out += (batch.num_rows() - shown) as u64;
        let cells = answer.schema.fields().iter().zip(batch.columns());
        let cells = cells
            .map(|(field, array)| cell::Column::new(field, array))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| failed(error.into()))?;
        rows.extend((0..shown).map(|row| {
            columns.iter().zip(&cells).map(|(column, cells)| column.shown(cells, row)).collect()
        }));
    }
    written.rows = rows.len() as u64;
    match width {
        Some(width) if least_widths(&columns, &rows).sum::<usize>() > usize::from(width) => {
            records(&columns, &rows, width, out)?;
        }
        _ => grid(&columns, rows, width, out)?,
    }
    out.flush()?;
    Ok(written)
}

/// How one column is shown.
struct Column {
    name: String,
    is_number: bool,
    is_quantity: bool,
    /// Numbers, times and the like, which are read at one glance or not at all.
    is_whole: bool,
}

impl Column {
    fn new(field: &Field) -> Self {
        let is_number = cell::shape(field.data_type()) == Shape::Number;
        Self {
            name: field.name().clone(),
            is_number,
            is_quantity: is_number && !is_id(field),
            is_whole: is_number || field.data_type().is_temporal(),
        }
    }

    fn shown(&self, cells: &cell::Column<'_>, row: usize) -> String {
        let text = cells.text(row).unwrap_or_default();
        if self.is_quantity { grouped(&text) } else { text }
    }

    fn alignment(&self) -> CellAlignment {
        if self.is_number { CellAlignment::Right } else { CellAlignment::Left }
    }

    /// The narrowest this column may become.
    fn least_width<'r>(&self, values: impl Iterator<Item = &'r String>) -> usize {
        let widest = values.map(|value| value.chars().count()).max().unwrap_or_default();
        let header = self.name.split('_').map(|part| part.chars().count()).max();
        let values = if self.is_whole { widest } else { widest.min(LEAST_TEXT) };
        values.max(header.unwrap_or_default()) + PADDING
    }
}

/// A number that names something, and is none of how many.
fn is_id(field: &Field) -> bool {
    let name = field.name().as_str();
    let names_one = name == "id" || name.ends_with("_id") || name == "offset" || name == "position";
    Kind::of(field) == Some(Kind::Text) || names_one || *field.data_type() == DataType::Null
}

fn least_widths<'c>(
    columns: &'c [Column],
    rows: &'c [Vec<String>],
) -> impl Iterator<Item = usize> + 'c {
    columns
        .iter()
        .enumerate()
        .map(|(at, column)| column.least_width(rows.iter().filter_map(move |row| row.get(at))))
}

fn grid(
    columns: &[Column],
    rows: Vec<Vec<String>>,
    width: Option<u16>,
    out: &mut (dyn Write + Send),
) -> Result<(), QueryError> {
    let bounds: Vec<ColumnConstraint> = least_widths(columns, &rows)
        .map(|least| {
            ColumnConstraint::LowerBoundary(Width::Fixed(u16::try_from(least).unwrap_or(u16::MAX)))
        })
        .collect();
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(columns.iter().map(|column| {
        Cell::new(&column.name).set_alignment(column.alignment()).set_delimiter('_')
    }));
    for row in rows {
        let cells = row.into_iter().zip(columns);
        table
            .add_row(cells.map(|(text, column)| Cell::new(text).set_alignment(column.alignment())));
    }
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        table.set_constraints(bounds);
    }
    print(&table, out)
}

/// One line a column, one block a row.
fn records(
    columns: &[Column],
    rows: &[Vec<String>],
    width: u16,
    out: &mut (dyn Write + Send),
) -> Result<(), QueryError> {
    for (number, row) in rows.iter().enumerate() {
        writeln!(out, "── {} {}", number + 1, "─".repeat(usize::from(width.min(40))))?;
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        for (column, text) in columns.iter().zip(row) {
            table.add_row([&column.name, text]);
        }
        let widest = columns.iter().map(|column| column.name.chars().count()).max();
        let names = u16::try_from(widest.unwrap_or_default() + PADDING).unwrap_or(u16::MAX);
        table.set_constraints([ColumnConstraint::LowerBoundary(Width::Fixed(names))]);
        print(&table, out)?;
    }
    Ok(())
}

/// Without the blanks at the end of lines, which only make a terminal wrap.
fn print(table: &Table, out: &mut (dyn Write + Send)) -> Result<(), QueryError> {
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
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
