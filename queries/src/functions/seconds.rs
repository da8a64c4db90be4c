//! `seconds_between(from, to)`: the time from one instant to another, exact, as a seconds column.
//! Zero where `to` is the earlier one: two clocks disagreed, and nobody talked for less than no time.

use std::sync::Arc;

use arrow::array::{AsArray, Decimal128Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use ringlake_transform::Kind;
use ringlake_transform::columns::{SECONDS_PRECISION, SECONDS_SCALE};

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SecondsBetween {
    signature: Signature,
}

impl Default for SecondsBetween {
    fn default() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for SecondsBetween {
    fn name(&self) -> &str {
        "seconds_between"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(Kind::Seconds.data_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let instants = columns.iter().map(|c| cast(c, &micros)).collect::<Result<Vec<_>, _>>()?;
        let [from, to] = instants.as_slice() else {
            return datafusion::common::internal_err!("seconds_between takes two instants");
        };
        let (from, to) = (
            from.as_primitive::<TimestampMicrosecondType>(),
            to.as_primitive::<TimestampMicrosecondType>(),
        );
        // A seconds column has six digits after the point, so microseconds are its units.
        let seconds: Decimal128Array = from
            .iter()
            .zip(to)
            .map(|(from, to)| Some((i128::from(to?) - i128::from(from?)).max(0)))
            .collect();
        let seconds = seconds.with_precision_and_scale(SECONDS_PRECISION, SECONDS_SCALE)?;
        Ok(ColumnarValue::Array(Arc::new(seconds)))
    }
}
