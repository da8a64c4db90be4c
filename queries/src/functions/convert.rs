//! `converted(cost, rate)`: an amount in another currency, rounded half away from zero to six digits,
//! so that the sum of converted calls is the sum of what is shown of them.

use std::sync::Arc;

use arrow::array::{AsArray, Decimal128Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, i256};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use ringlake_transform::Kind;
use ringlake_transform::columns::{DECIMAL_PRECISION, DECIMAL_SCALE};

/// Rates have as many digits as money, nine after the point.
const ONE: i128 = 1_000_000_000;
/// Money is in billionths and keeps six digits.
const MICRO: i128 = 1_000;

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Converted {
    signature: Signature,
}

impl Default for Converted {
    fn default() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Converted {
    fn name(&self) -> &str {
        "converted"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(Kind::Decimal.data_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let money = Kind::Decimal.data_type();
        let operands = columns.iter().map(|c| cast(c, &money)).collect::<Result<Vec<_>, _>>()?;
        let [amounts, rates] = operands.as_slice() else {
            return datafusion::common::internal_err!("converted takes an amount and a rate");
        };
        let pairs = amounts
            .as_primitive::<Decimal128Type>()
            .iter()
            .zip(rates.as_primitive::<Decimal128Type>());
        let converted: Decimal128Array =
            pairs.map(|(amount, rate)| convert(amount?, rate?)).collect();
        let converted = converted.with_precision_and_scale(DECIMAL_PRECISION, DECIMAL_SCALE)?;
        Ok(ColumnarValue::Array(Arc::new(converted)))
    }
}

fn convert(amount: i128, rate: i128) -> Option<i128> {
    let product = i256::from_i128(amount).checked_mul(i256::from_i128(rate))?;
    let unit = i256::from_i128(ONE * MICRO);
    let (whole, rest) = (product.checked_div(unit)?, product.checked_rem(unit)?);
    let is_half = rest.wrapping_abs().checked_mul(i256::from_i128(2))? >= unit;
    let away = match (is_half, product < i256::ZERO) {
        (false, _) => i256::ZERO,
        (true, false) => i256::ONE,
        (true, true) => i256::MINUS_ONE,
    };
    whole.checked_add(away)?.to_i128()?.checked_mul(MICRO)
}

#[cfg(test)]
mod tests {
    use super::{ONE, convert};

    #[test]
    fn the_product_is_rounded_once_halves_away_from_zero() {
        assert_eq!(convert(ONE, ONE), Some(ONE));
        // 0.1 × 0.123456785 = 0.0123456785: six digits are 0.012346.
        assert_eq!(convert(ONE / 10, 123_456_785), Some(12_346_000));
        assert_eq!(convert(500, ONE), Some(1_000));
        assert_eq!(convert(-500, ONE), Some(-1_000));
        assert_eq!(convert(499, ONE), Some(0));
    }
}
