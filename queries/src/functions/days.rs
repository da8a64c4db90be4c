//! `day_parts(from, until, zone)`: a span of time cut at the midnights of a zone, as a list of `day` and
//! `seconds`. A day on which clocks change has 23 or 25 hours. An empty span has no parts.

use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, AsArray, Date32Builder, Decimal128Builder, ListArray, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Days};
use chrono_tz::Tz;
use datafusion::common::{Result, ScalarValue, exec_err, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use ringlake_transform::Kind;
use ringlake_transform::columns::{SECONDS_PRECISION, SECONDS_SCALE};

use crate::report::period;

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct DayParts {
    signature: Signature,
}

impl Default for DayParts {
    fn default() -> Self {
        Self { signature: Signature::any(3, Volatility::Immutable) }
    }
}

fn fields() -> Fields {
    Fields::from(vec![
        Field::new("day", DataType::Date32, true),
        Field::new("seconds", Kind::Seconds.data_type(), true),
    ])
}

fn item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(fields()), true))
}

impl ScalarUDFImpl for DayParts {
    fn name(&self) -> &str {
        "day_parts"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(item()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [from, until, ColumnarValue::Scalar(ScalarValue::Utf8(Some(zone)))] =
            args.args.as_slice()
        else {
            return exec_err!("day_parts takes two instants and the name of a zone");
        };
        let zone = period::zone(zone)
            .map_err(|error| datafusion::error::DataFusionError::External(error.into()))?;
        let columns = ColumnarValue::values_to_arrays(&[from.clone(), until.clone()])?;
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let columns = columns.iter().map(|c| cast(c, &micros)).collect::<Result<Vec<_>, _>>()?;
        let [from, until] = columns.as_slice() else {
            return internal_err!("day_parts takes two instants");
        };
        let from = from.as_primitive::<TimestampMicrosecondType>();
        let until = until.as_primitive::<TimestampMicrosecondType>();
        let (mut days, mut seconds) = (Date32Builder::new(), Decimal128Builder::new());
        let mut lengths = Vec::with_capacity(from.len());
        for span in from.iter().zip(until) {
            let before = days.len();
            if let (Some(from), Some(until)) = span {
                cut(from, until, zone, &mut |day, micros| {
                    days.append_value(day);
                    seconds.append_value(i128::from(micros));
                });
            }
            lengths.push(days.len() - before);
        }
        let seconds =
            seconds.finish().with_precision_and_scale(SECONDS_PRECISION, SECONDS_SCALE)?;
        let columns: Vec<ArrayRef> = vec![Arc::new(days.finish()), Arc::new(seconds)];
        let parts = StructArray::try_new(fields(), columns, None)?;
        let offsets = OffsetBuffer::from_lengths(lengths);
        let lists = ListArray::try_new(item(), offsets, Arc::new(parts), None)?;
        Ok(ColumnarValue::Array(Arc::new(lists)))
    }
}

const HOUR: i64 = 3_600_000_000;

/// Calls back with each day (since 1970) and the span's microseconds in it.
fn cut(from: i64, until: i64, zone: Tz, part: &mut dyn FnMut(i32, i64)) {
    let mut at = from;
    while at < until {
        let Some(moment) = DateTime::from_timestamp_micros(at) else { return };
        let day = moment.with_timezone(&zone).date_naive();
        let midnight = day.checked_add_days(Days::new(1)).and_then(|d| period::day_begins(d, zone));
        let midnight = midnight.map_or(until, |midnight| midnight.timestamp_micros());
        // A clock that went back over midnight shows a day twice; the span must go on all the same.
        let end = if midnight > at { midnight } else { at + HOUR }.min(until);
        part(day.to_epoch_days(), end - at);
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::cut;

    fn parts(from: &str, until: &str, zone: &str) -> Vec<(i32, i64)> {
        let micros = |text: &str| text.parse::<chrono::DateTime<chrono::Utc>>().unwrap();
        let mut parts = Vec::new();
        let (from, until) = (micros(from).timestamp_micros(), micros(until).timestamp_micros());
        cut(from, until, zone.parse().unwrap(), &mut |day, micros| {
            parts.push((day, micros / 1_000_000));
        });
        parts
    }

    #[test]
    fn days_are_those_of_the_zone_and_may_have_23_or_25_hours() {
        // 2026-03-28 is day 20540 since 1970.
        let span = ("2026-03-28T22:00:00Z", "2026-03-30T00:00:00Z");
        assert_eq!(parts(span.0, span.1, "UTC"), [(20_540, 7_200), (20_541, 86_400)]);
        assert_eq!(
            parts(span.0, span.1, "Europe/Berlin"),
            [(20_540, 3_600), (20_541, 23 * 3_600), (20_542, 7_200)]
        );
        assert_eq!(
            parts("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", "Europe/Berlin"),
            [(20_751, 25 * 3_600)]
        );
        assert_eq!(parts(span.0, span.0, "UTC"), []);
    }
}
