//! `business_seconds(from, until, calendar)`: the seconds from one instant to another in which the firm was
//! there, by a calendar of the settings. Zero where `until` is the earlier one.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{AsArray, Decimal128Builder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use ringlake_transform::Kind;
use ringlake_transform::columns::{SECONDS_PRECISION, SECONDS_SCALE};

use crate::calendars::{self, Calendars};

#[derive(Debug)]
pub struct BusinessSeconds {
    signature: Signature,
    calendars: Arc<Calendars>,
}

impl BusinessSeconds {
    pub fn new(calendars: Arc<Calendars>) -> Self {
        Self { signature: Signature::any(3, Volatility::Immutable), calendars }
    }
}

impl PartialEq for BusinessSeconds {
    fn eq(&self, other: &Self) -> bool {
        self.calendars == other.calendars
    }
}

impl Eq for BusinessSeconds {}

impl Hash for BusinessSeconds {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.calendars.len().hash(state);
    }
}

impl ScalarUDFImpl for BusinessSeconds {
    fn name(&self) -> &str {
        "business_seconds"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(Kind::Seconds.data_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [from, until, names] = columns.as_slice() else {
            return exec_err!("business_seconds takes two instants and the name of a calendar");
        };
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let (from, until) = (cast(from, &micros)?, cast(until, &micros)?);
        let from = from.as_primitive::<TimestampMicrosecondType>();
        let until = until.as_primitive::<TimestampMicrosecondType>();
        let names = cast(names, &DataType::Utf8)?;
        let mut seconds = Decimal128Builder::with_capacity(from.len());
        for ((from, until), name) in from.iter().zip(until).zip(names.as_string::<i32>()) {
            // A wrong name is told even where there is nothing to count.
            let calendar = name
                .map(|name| calendars::by_name(&self.calendars, name))
                .transpose()
                .map_err(|error| DataFusionError::External(error.into()))?;
            let micros = match (from, until, calendar) {
                (Some(from), Some(until), Some(calendar)) => calendar.micros_between(from, until),
                _ => None,
            };
            // A seconds column has six digits after the point, so microseconds are its units.
            seconds.append_option(micros.map(i128::from));
        }
        let seconds =
            seconds.finish().with_precision_and_scale(SECONDS_PRECISION, SECONDS_SCALE)?;
        Ok(ColumnarValue::Array(Arc::new(seconds)))
    }
}
