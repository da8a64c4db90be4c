//! `local_time(instant, zone)`: what the clocks of a zone showed, as a timestamp without one. Every row may
//! name a zone of its own.

use std::sync::Arc;

use arrow::array::{AsArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use chrono::DateTime;
use chrono_tz::Tz;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use crate::report::period;

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct LocalTime {
    signature: Signature,
}

impl Default for LocalTime {
    fn default() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

const WITHOUT_ZONE: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

impl ScalarUDFImpl for LocalTime {
    fn name(&self) -> &str {
        "local_time"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(WITHOUT_ZONE)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [instants, zones] = columns.as_slice() else {
            return exec_err!("local_time takes an instant and the name of a zone");
        };
        let (instants, zones) = (cast(instants, &WITHOUT_ZONE)?, cast(zones, &DataType::Utf8)?);
        let instants = instants.as_primitive::<TimestampMicrosecondType>();
        // Mostly all rows name the same.
        let mut last: Option<(&str, Tz)> = None;
        let mut local = Vec::with_capacity(instants.len());
        for (instant, name) in instants.iter().zip(zones.as_string::<i32>()) {
            let (Some(instant), Some(name)) = (instant, name) else {
                local.push(None);
                continue;
            };
            let zone = match last {
                Some((known, zone)) if known == name => zone,
                _ => period::zone(name).map_err(|error| DataFusionError::External(error.into()))?,
            };
            last = Some((name, zone));
            local.push(shown(instant, zone));
        }
        Ok(ColumnarValue::Array(Arc::new(TimestampMicrosecondArray::from(local))))
    }
}

fn shown(micros: i64, zone: Tz) -> Option<i64> {
    let instant = DateTime::from_timestamp_micros(micros)?.with_timezone(&zone);
    Some(instant.naive_local().and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_jump_on_the_night_they_are_put_forward() {
        let at = |text: &str, zone: Tz| {
            let micros = text.parse::<DateTime<chrono::Utc>>().unwrap().timestamp_micros();
            let local = DateTime::from_timestamp_micros(shown(micros, zone).unwrap()).unwrap();
            local.naive_utc().to_string()
        };
        let berlin = Tz::Europe__Berlin;
        assert_eq!(at("2026-03-29T00:59:59.5Z", berlin), "2026-03-29 01:59:59.500");
        assert_eq!(at("2026-03-29T01:00:00Z", berlin), "2026-03-29 03:00:00");
        // The hour that comes twice is shown twice.
        assert_eq!(at("2026-10-25T00:30:00Z", berlin), at("2026-10-25T01:30:00Z", berlin));
        assert_eq!(at("2026-01-01T00:00:00Z", Tz::Asia__Kolkata), "2026-01-01 05:30:00");
    }
}
