//! One value as text: the only place that decides how a number, a time or a list is printed. PostgreSQL's protocol has
//! forms of its own (`pg/texts.rs`).

use std::fmt::Write;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Field};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::report::Kind;

/// Digits after the point that money has at least.
const MONEY_DIGITS: usize = 4;
const RATIO_DIGITS: usize = 6;

/// What a cell is to JSON and to the eye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Digits: right-aligned, no quotes.
    Number,
    Bool,
    Text,
}

/// Prints the values of one column.
pub struct Column<'a> {
    array: &'a ArrayRef,
    kind: Option<Kind>,
    formatter: ArrayFormatter<'a>,
    pub shape: Shape,
}

/// RFC 3339, with as many digits of a second as there are.
const TIMES: FormatOptions<'static> = FormatOptions::new()
    .with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.f%:z"))
    .with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.f"));

impl<'a> Column<'a> {
    pub fn new(field: &Field, array: &'a ArrayRef) -> Result<Self, ArrowError> {
        let formatter = ArrayFormatter::try_new(array.as_ref(), &TIMES)?;
        Ok(Self { array, kind: Kind::of(field), formatter, shape: shape(field.data_type()) })
    }

    /// The value's text; none where it is null.
    pub fn text(&self, row: usize) -> Option<String> {
        if self.array.is_null(row) {
            return None;
        }
        if let Some(decimals) = self.array.as_primitive_opt::<Decimal128Type>() {
            let digits = decimals.value_as_string(row);
            return Some(trim(&digits, self.least_digits()));
        }
        if let Some(bytes) = self.array.as_binary_opt::<i32>() {
            return Some(hex(bytes.value(row)));
        }
        let text = self.formatter.value(row).to_string();
        let is_instant = matches!(self.array.data_type(), DataType::Timestamp(_, Some(_)));
        match text.strip_suffix("+00:00") {
            Some(utc) if is_instant => Some(format!("{utc}Z")),
            _ => Some(text),
        }
    }

    fn least_digits(&self) -> usize {
        match self.kind {
            Some(Kind::Money) => MONEY_DIGITS,
            Some(Kind::Ratio) => RATIO_DIGITS,
            _ => 0,
        }
    }
}

pub fn shape(data_type: &DataType) -> Shape {
    match data_type {
        DataType::Boolean => Shape::Bool,
        numeric if numeric.is_numeric() => Shape::Number,
        _ => Shape::Text,
    }
}

/// Drops zeros at the end, down to this many digits after the point.
fn trim(digits: &str, least: usize) -> String {
    let Some((whole, fraction)) = digits.split_once('.') else {
        return if least == 0 { digits.to_owned() } else { format!("{digits}.{:0<least$}", "") };
    };
    let kept = fraction.trim_end_matches('0');
    if kept.is_empty() && least == 0 {
        return whole.to_owned();
    }
    format!("{whole}.{kept:0<least$}")
}

/// Two digits a byte, in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::trim;

    #[test]
    fn zeros_at_the_end_go_down_to_the_least_digits() {
        assert_eq!(trim("0.012000000", 4), "0.0120");
        assert_eq!(trim("0.012345600", 4), "0.0123456");
        assert_eq!(trim("12.000000000", 4), "12.0000");
        assert_eq!(trim("12.000000", 0), "12");
        assert_eq!(trim("12.500000", 0), "12.5");
        assert_eq!(trim("-0.500", 6), "-0.500000");
        assert_eq!(trim("7", 4), "7.0000");
        assert_eq!(trim("100", 0), "100");
    }
}
