//! `ratio(a, b)`: a / b, exact, rounded half away from zero to six digits; null when b is 0.
//!
//! SQL's own decimal division cuts the digits off where the types say, and a float would lie.

use std::sync::Arc;

use arrow::array::{AsArray, Decimal128Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, i256};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

pub const RATIO_SCALE: i8 = 6;
const PRECISION: u8 = 38;
/// Both operands are brought to this scale, that of money.
const OPERAND: DataType = DataType::Decimal128(PRECISION, 9);

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Ratio {
    signature: Signature,
}

impl Default for Ratio {
    fn default() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Ratio {
    fn name(&self) -> &str {
        "ratio"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(PRECISION, RATIO_SCALE))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let operands = columns.iter().map(|c| cast(c, &OPERAND)).collect::<Result<Vec<_>, _>>()?;
        let [over, under] = operands.as_slice() else {
            return datafusion::common::internal_err!("ratio takes two numbers");
        };
        let (over, under) =
            (over.as_primitive::<Decimal128Type>(), under.as_primitive::<Decimal128Type>());
        let ratios: Decimal128Array =
            over.iter().zip(under).map(|(over, under)| divide(over?, under?)).collect();
        let ratios = ratios.with_precision_and_scale(PRECISION, RATIO_SCALE)?;
        Ok(ColumnarValue::Array(Arc::new(ratios)))
    }
}

/// `over / under` in millionths. Both have one scale, so it cancels out.
fn divide(over: i128, under: i128) -> Option<i128> {
    if under == 0 {
        return None;
    }
    let scaled = i256::from_i128(over).checked_mul(i256::from_i128(1_000_000))?;
    let under = i256::from_i128(under);
    let (whole, rest) = (scaled.checked_div(under)?, scaled.checked_rem(under)?);
    let twice = rest.wrapping_abs().checked_mul(i256::from_i128(2))?;
    let away = if twice >= under.wrapping_abs() {
        if (over < 0) == (under < i256::ZERO) { i256::ONE } else { i256::MINUS_ONE }
    } else {
        i256::ZERO
    };
    whole.checked_add(away)?.to_i128()
}

#[cfg(test)]
mod tests {
    use super::divide;

    #[test]
    fn halves_are_rounded_away_from_zero() {
        assert_eq!(divide(1, 3), Some(333_333));
        assert_eq!(divide(2, 3), Some(666_667));
        assert_eq!(divide(1, 2_000_000), Some(1));
        assert_eq!(divide(-1, 2_000_000), Some(-1));
        assert_eq!(divide(1, -2_000_000), Some(-1));
        assert_eq!(divide(1, 2_000_001), Some(0));
        assert_eq!(divide(7, 0), None);
    }
}
