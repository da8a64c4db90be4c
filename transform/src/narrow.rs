//! Decimals with as many digits as their values need, for files that are read often.
//!
//! Parquet stores a decimal of up to 18 digits as a 64-bit integer, and a longer one as bytes, which take several times
//! as long to read. Amounts have room for 28 digits, and hardly one needs them. A column that was narrowed keeps in its
//! field how many it had, so that readers have the type back.
//!
//! It must never change a value: a column with one that does not fit stays as it is.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, RecordBatch};
use arrow::datatypes::{DECIMAL64_MAX_PRECISION, DataType, Decimal128Type, Field, Schema};
use arrow::error::ArrowError;

/// Where a field keeps how many digits it had.
const DIGITS: &str = "ringlake.digits";
const BEYOND: u128 = 10_u128.pow(DECIMAL64_MAX_PRECISION as u32);

/// The rows with their decimals narrowed, where all values of a column fit.
///
/// # Errors
/// None that is known: the columns are those of the batch.
pub fn narrowed(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = rows.schema();
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in schema.fields().iter().zip(rows.columns()) {
        let (field, column) = match narrow(field, column)? {
            Some((field, column)) => (Arc::new(field), column),
            None => (Arc::clone(field), Arc::clone(column)),
        };
        fields.push(field);
        columns.push(column);
    }
    let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
    RecordBatch::try_new(Arc::new(schema), columns)
}

fn narrow(field: &Field, column: &ArrayRef) -> Result<Option<(Field, ArrayRef)>, ArrowError> {
    let DataType::Decimal128(digits, scale) = *field.data_type() else { return Ok(None) };
    if digits <= DECIMAL64_MAX_PRECISION || scale.unsigned_abs() > DECIMAL64_MAX_PRECISION {
        return Ok(None);
    }
    let values: &Decimal128Array = column.as_primitive::<Decimal128Type>();
    if values.iter().flatten().any(|value| value.unsigned_abs() >= BEYOND) {
        return Ok(None);
    }
    let column = values.clone().with_precision_and_scale(DECIMAL64_MAX_PRECISION, scale)?;
    let mut told = field.metadata().clone();
    told.insert(DIGITS.to_owned(), digits.to_string());
    let of = column.data_type().clone();
    let field = field.clone().with_data_type(of).with_metadata(told);
    Ok(Some((field, Arc::new(column))))
}

/// The columns that a file's rows had before they were [`narrowed`], and nothing else that is told of them.
pub fn widened(schema: &Schema) -> Schema {
    let fields = schema.fields().iter().map(|field| {
        let digits = field.metadata().get(DIGITS).and_then(|digits| digits.parse().ok());
        let of = match (field.data_type(), digits) {
            (DataType::Decimal128(_, scale), Some(digits)) => DataType::Decimal128(digits, *scale),
            (other, _) => other.clone(),
        };
        field.as_ref().clone().with_data_type(of).with_metadata(HashMap::new())
    });
    Schema::new(fields.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: i128 = 10_i128.pow(18) - 1;

    fn rows(values: impl IntoIterator<Item = Option<i128>>) -> RecordBatch {
        let values = Decimal128Array::from_iter(values).with_precision_and_scale(28, 9).unwrap();
        let column: ArrayRef = Arc::new(values);
        RecordBatch::try_from_iter_with_nullable([("cost", column, true)]).unwrap()
    }

    #[test]
    fn a_column_has_its_digits_back() {
        let wide = rows([Some(MOST), None, Some(-MOST)]);
        let narrow = narrowed(&wide).unwrap();
        assert_eq!(*narrow.column(0).data_type(), DataType::Decimal128(18, 9));
        let (own, told) = (wide.column(0).as_primitive(), narrow.column(0).as_primitive());
        let (own, told): (&Decimal128Array, &Decimal128Array) = (own, told);
        assert_eq!(told.iter().collect::<Vec<_>>(), own.iter().collect::<Vec<_>>());
        assert_eq!(widened(&narrow.schema()), *wide.schema());
        // Twice is once.
        assert_eq!(narrowed(&narrow).unwrap(), narrow);
    }

    #[test]
    fn a_value_that_does_not_fit_keeps_all_of_its_column_wide() {
        for value in [MOST + 1, -MOST - 1, i128::MAX, i128::MIN] {
            let wide = rows([Some(1), None, Some(value)]);
            assert_eq!(narrowed(&wide).unwrap(), wide);
        }
        assert_eq!(
            *narrowed(&rows([])).unwrap().column(0).data_type(),
            DataType::Decimal128(18, 9)
        );
    }
}
