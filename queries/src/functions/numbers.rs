//! `exact_number(text)` and `same_value(a, b)`: values of a change, which come as text.
//!
//! A number is what JSON calls one: `"1234.0"` and `1234` are equal, but `"0123"` and `"123"` are
//! two different texts (a phone number, a postcode) and stay so.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Decimal128Array};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use ringlake_transform::columns::{DECIMAL_PRECISION, DECIMAL_SCALE};

const PRECISION: u8 = DECIMAL_PRECISION;
const SCALE: i8 = DECIMAL_SCALE;
/// Greater exponents than this are not numbers that anybody counts with.
const MOST_EXPONENT: i64 = 64;

/// The number that a text is, as a decimal like that of money; null where it is none, or has more digits.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ExactNumber {
    signature: Signature,
}

impl Default for ExactNumber {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ExactNumber {
    fn name(&self) -> &str {
        "exact_number"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(PRECISION, SCALE))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = texts(&args)?;
        let [column] = columns.as_slice() else {
            return datafusion::common::internal_err!("exact_number takes one text");
        };
        let numbers: Decimal128Array = column
            .as_string::<i32>()
            .iter()
            .map(|text| Number::read(text?)?.with_scale(i64::from(SCALE)))
            .collect();
        let numbers = numbers.with_precision_and_scale(PRECISION, SCALE)?;
        Ok(ColumnarValue::Array(Arc::new(numbers)))
    }
}

/// Whether two texts are one value: as numbers where both are, else letter by letter. Two nulls are
/// the same, one is not.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SameValue {
    signature: Signature,
}

impl Default for SameValue {
    fn default() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for SameValue {
    fn name(&self) -> &str {
        "same_value"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = texts(&args)?;
        let [left, right] = columns.as_slice() else {
            return datafusion::common::internal_err!("same_value takes two texts");
        };
        let pairs = left.as_string::<i32>().iter().zip(right.as_string::<i32>());
        let same: BooleanArray = pairs.map(|(a, b)| Some(same_value(a, b))).collect();
        Ok(ColumnarValue::Array(Arc::new(same)))
    }
}

/// The number that a text is, in billionths; none where it is no number or has more digits.
pub fn exact_amount(text: &str) -> Option<i128> {
    Number::read(text)?.with_scale(i64::from(SCALE))
}

fn texts(args: &ScalarFunctionArgs) -> Result<Vec<ArrayRef>> {
    let columns = ColumnarValue::values_to_arrays(&args.args)?;
    Ok(columns.iter().map(|column| cast(column, &DataType::Utf8)).collect::<Result<_, _>>()?)
}

fn same_value(left: Option<&str>, right: Option<&str>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) if left != right => {
            matches!((Number::read(left), Number::read(right)), (Some(a), Some(b)) if a == b)
        }
        (left, right) => left == right,
    }
}

/// `±digits × 10^exponent`, without zeros at either end, so that equal numbers are equal.
#[derive(Debug, PartialEq, Eq)]
struct Number {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Number {
    /// Reads what JSON's grammar calls a number.
    fn read(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some((whole, fraction)) => (whole, fraction),
            None => (mantissa, ""),
        };
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        if whole.is_empty() || leading_zero || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let all = format!("{whole}{fraction}");
        let digits = all.trim_start_matches('0').trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { negative: false, digits, exponent: 0 });
        }
        let cut = (all.len() - all.trim_end_matches('0').len()) as i64;
        let exponent = exponent.checked_sub(fraction.len() as i64)?.checked_add(cut)?;
        (exponent.abs() <= MOST_EXPONENT).then_some(Self { negative, digits, exponent })
    }

    /// The number times `10^scale`, where that is whole and fits.
    fn with_scale(&self, scale: i64) -> Option<i128> {
        if self.digits.is_empty() {
            return Some(0);
        }
        let shift = u32::try_from(self.exponent + scale).ok()?;
        let value = self.digits.parse::<i128>().ok()?.checked_mul(10i128.checked_pow(shift)?)?;
        let fits = value < 10i128.pow(u32::from(PRECISION));
        fits.then_some(if self.negative { -value } else { value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_as_numbers_and_text_as_text() {
        for (left, right) in
            [("1234.0", "1234"), ("-0", "0"), ("1e3", "1000"), ("0.10", "0.1"), ("x", "x")]
        {
            assert!(same_value(Some(left), Some(right)), "{left} = {right}");
        }
        for (left, right) in [
            ("0123", "123"),
            ("1234.01", "1234"),
            ("a", "A"),
            ("", "0"),
            ("1.", "1"),
            ("+1", "1"),
            (
                "12345678901234567890123456789012345678901",
                "12345678901234567890123456789012345678902",
            ),
        ] {
            assert!(!same_value(Some(left), Some(right)), "{left} <> {right}");
        }
        assert!(same_value(None, None));
        assert!(!same_value(None, Some("")));
    }

    #[test]
    fn a_number_is_exact_or_none() {
        let read = |text| Number::read(text).and_then(|number| number.with_scale(9));
        assert_eq!(read("1234.5"), Some(1_234_500_000_000));
        assert_eq!(read("-0.000000001"), Some(-1));
        assert_eq!(read("0.0000000001"), None);
        assert_eq!(read("2020-06-24"), None);
        assert_eq!(read("1e40"), None);
        assert_eq!(read("0.0"), Some(0));
    }
}
