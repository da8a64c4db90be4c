//! Rows of whole numbers, decimals and texts in the protocol's text form.
//!
//! A long answer is little else, and the library writes it value by value through a decimal type of 28 digits: that
//! took a quarter of the time of a report with half a million lines, and refused what has more digits. What has any
//! other type, or is asked for in binary, is for the library.

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Int64Array, RecordBatch, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use bytes::{Bytes, BytesMut};
use datafusion_postgres::pgwire::api::results::{FieldFormat, FieldInfo};
use datafusion_postgres::pgwire::messages::data::DataRow;

enum Column {
    Whole(Int64Array),
    Decimal(Decimal128Array, usize),
    Text(StringArray),
}

/// The rows of a batch, if all of its columns are of these.
pub fn rows(batch: &RecordBatch, wanted: &[FieldInfo]) -> Option<Vec<DataRow>> {
    let schema = batch.schema_ref();
    let told = schema.fields().iter().zip(batch.columns()).zip(wanted);
    let columns = told.map(|((field, column), wanted)| Column::of(field, column, wanted));
    let columns = columns.collect::<Option<Vec<_>>>()?;
    let fields = i16::try_from(columns.len()).ok()?;
    // About as many bytes; grown row by row, all would be moved again and again.
    let mut told = Vec::with_capacity(batch.num_rows() * columns.len() * 16);
    let mut lengths = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let before = told.len();
        columns.iter().try_for_each(|column| column.put(row, &mut told))?;
        lengths.push(told.len() - before);
    }
    // Nobody else has it, so that it is not copied.
    let mut told = BytesMut::from(Bytes::from(told));
    Some(lengths.into_iter().map(|length| DataRow::new(told.split_to(length), fields)).collect())
}

impl Column {
    fn of(field: &Field, column: &ArrayRef, wanted: &FieldInfo) -> Option<Self> {
        // What has a note beside its type may be something else to PostgreSQL.
        if wanted.format() != FieldFormat::Text || !field.metadata().is_empty() {
            return None;
        }
        Some(match column.data_type() {
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                Self::Whole(cast(column, &DataType::Int64).ok()?.as_primitive().clone())
            }
            DataType::Decimal128(_, scale) => {
                Self::Decimal(column.as_primitive().clone(), usize::try_from(*scale).ok()?)
            }
            DataType::Utf8 => Self::Text(column.as_string().clone()),
            _ => return None,
        })
    }

    /// The length of a value, and the value.
    fn put(&self, row: usize, out: &mut Vec<u8>) -> Option<()> {
        let mut told = itoa::Buffer::new();
        match self {
            Self::Whole(column) if column.is_valid(row) => {
                value(&[told.format(column.value(row))], out)
            }
            Self::Decimal(column, scale) if column.is_valid(row) => {
                decimal(column.value(row), *scale, out)
            }
            Self::Text(column) if column.is_valid(row) => value(&[column.value(row)], out),
            _ => {
                out.extend(NULL);
                Some(())
            }
        }
    }
}

/// What is told in place of a length where there is no value.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
/// More than a decimal may have behind the point.
const ZEROS: &str = "0000000000000000000000000000000000000000";

/// A value that is in some parts.
fn value(parts: &[&str], out: &mut Vec<u8>) -> Option<()> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.extend(i32::try_from(length).ok()?.to_be_bytes());
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
    Some(())
}

/// So many units of the last of `scale` digits behind the point.
fn decimal(units: i128, scale: usize, out: &mut Vec<u8>) -> Option<()> {
    let mut told = itoa::Buffer::new();
    // Most are no larger, and far sooner told.
    let digits = match u64::try_from(units.unsigned_abs()) {
        Ok(units) => told.format(units),
        Err(_) => told.format(units.unsigned_abs()),
    };
    let sign = if units < 0 { "-" } else { "" };
    let (whole, behind) = match digits.len().checked_sub(scale) {
        None | Some(0) => ("0", digits),
        Some(whole) => digits.split_at_checked(whole)?,
    };
    let point = if scale > 0 { "." } else { "" };
    let zeros = ZEROS.get(..scale - behind.len())?;
    value(&[sign, whole, point, zeros, behind], out)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use arrow::array::{Int16Array, Int64Array};
    use arrow::datatypes::Schema;
    use datafusion_postgres::arrow_pg::datatypes::{arrow_schema_to_pg_fields, encode_recordbatch};
    use datafusion_postgres::pgwire::api::portal::Format;

    use super::*;

    const NOUGHT: [Option<i128>; 2] = [Some(0), None];

    fn decimals(units: impl IntoIterator<Item = Option<i128>>, scale: i8) -> ArrayRef {
        let told = Decimal128Array::from_iter(units).with_precision_and_scale(38, scale);
        Arc::new(told.unwrap())
    }

    fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
        let columns = columns.into_iter().enumerate();
        RecordBatch::try_from_iter_with_nullable(
            columns.map(|(at, column)| (format!("column_{at}"), column, true)),
        )
        .unwrap()
    }

    fn told(batch: &RecordBatch, format: &Format) -> Option<Vec<DataRow>> {
        let fields = arrow_schema_to_pg_fields(&batch.schema(), format, None).unwrap();
        rows(batch, &fields)
    }

    #[test]
    fn rows_are_those_of_the_library() {
        let units = || [1, 10, 999, 12_345_678, i128::from(i64::MAX)].into_iter();
        let units = || units().flat_map(|n| [Some(n), Some(-n)]).chain(NOUGHT);
        let wholes = units().map(|n| n.and_then(|n| i64::try_from(n).ok()));
        let texts = units().map(|n| n.map(|n| format!("{n}, \"ü\"\n").repeat(30)));
        let batch = batch(vec![
            decimals(units(), 0),
            Arc::new(Int64Array::from_iter(wholes)),
            decimals(units(), 9),
            Arc::new(texts.collect::<StringArray>()),
            decimals(units(), 28),
            Arc::new((0..12).map(|n| (n > 3).then_some(-n)).collect::<Int16Array>()),
        ]);
        let fields = arrow_schema_to_pg_fields(&batch.schema(), &Format::UnifiedText, None);
        let library = encode_recordbatch(Arc::new(fields.unwrap()), batch.clone());
        let library: Vec<DataRow> = library.collect::<Result<_, _>>().unwrap();
        assert_eq!(library.len(), 12);
        assert_eq!(told(&batch, &Format::UnifiedText).unwrap(), library);
        // One row of a batch, and none.
        assert_eq!(told(&batch.slice(5, 1), &Format::UnifiedText).unwrap(), [library[5].clone()]);
        assert_eq!(told(&batch.slice(5, 0), &Format::UnifiedText).unwrap(), []);
    }

    #[test]
    fn a_decimal_may_have_all_of_its_digits() {
        let least = -10_i128.pow(38) + 1;
        let rows = told(&batch(vec![decimals([Some(least)], 30)]), &Format::UnifiedText).unwrap();
        let text = format!("-99999999.{}", "9".repeat(30));
        assert_eq!(rows[0].data[..4], 40_i32.to_be_bytes());
        assert_eq!(rows[0].data[4..], *text.as_bytes());
    }

    #[test]
    fn the_rest_is_for_the_library() {
        let whole = || -> ArrayRef { Arc::new(Int64Array::from(vec![7])) };
        assert!(told(&batch(vec![whole()]), &Format::UnifiedText).is_some());
        assert!(told(&batch(vec![whole()]), &Format::UnifiedBinary).is_none());
        let time = cast(&whole(), &DataType::Date64).unwrap();
        assert!(told(&batch(vec![whole(), time]), &Format::UnifiedText).is_none());
        let noted = Field::new("noted", DataType::Int64, true);
        let noted = noted.with_metadata(HashMap::from([("a".to_owned(), "b".to_owned())]));
        let noted = RecordBatch::try_new(Arc::new(Schema::new(vec![noted])), vec![whole()]);
        assert!(told(&noted.unwrap(), &Format::UnifiedText).is_none());
    }
}
