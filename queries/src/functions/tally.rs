//! `tally(value)`: how often each value of a group was told, as a list of `value` and `times`; `rank_of(tally,
//! percent)`: the nearest rank in it, as `nearest_rank` finds it in the values themselves.
//!
//! Reports group twice, and ask for several ranks of the same values. A tally of parts is their lists behind each
//! other: a value may stand in it more than once.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, ListArray, StructArray, UInt64Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast, take};
use arrow::datatypes::{
    ArrowNativeType, DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Field, FieldRef, Fields,
    Int64Type,
};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, ColumnarValue, GroupsAccumulator, ScalarFunctionArgs,
    ScalarUDFImpl, Signature, Volatility,
};

use super::entries::{Entry, Groups, Whole, state_field};
use super::nearest_rank::{Tallied, as_told, place, scale};

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Tally {
    signature: Signature,
}

impl Default for Tally {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for Tally {
    fn name(&self) -> &str {
        "tally"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [value @ (DataType::Int64 | DataType::Decimal128(..))] => {
                Ok(DataType::List(item(value)))
            }
            _ => plan_err!("tally takes whole numbers or decimals"),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![state_field::<2>(args.name)])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Whole::new(Counted::of(args.return_field.data_type())?)))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::new(Counted::of(args.return_field.data_type())?)))
    }
}

fn fields(value: &DataType) -> Fields {
    let value = Field::new("value", value.clone(), true);
    [value, Field::new("times", DataType::Int64, true)].into_iter().collect()
}

fn item(value: &DataType) -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Struct(fields(value)), true))
}

/// The type of the values of a tally.
fn value_of(tally: &DataType) -> Result<DataType> {
    let DataType::List(item) = tally else { return plan_err!("{tally} is no tally") };
    match item.data_type() {
        DataType::Struct(fields) => match fields.as_ref() {
            [value, _] => Ok(value.data_type().clone()),
            _ => plan_err!("{tally} is no tally"),
        },
        _ => plan_err!("{tally} is no tally"),
    }
}

/// Entries of a value, in units of its last digit, and how often it was told.
#[derive(Clone, Debug)]
struct Counted {
    value: DataType,
}

impl Counted {
    fn of(tally: &DataType) -> Result<Self> {
        Ok(Self { value: value_of(tally)? })
    }
}

impl Tallied for Counted {
    fn of_times(&self, groups: &[Vec<Entry<2>>]) -> Result<ArrayRef> {
        let entries = || groups.iter().flatten();
        let values = as_told(entries().map(|[value, _]| Some(*value)), &self.value)?;
        let times = Int64Array::from_iter_values(entries().map(|[_, times]| *times));
        let columns: Vec<ArrayRef> = vec![values, Arc::new(times)];
        let told = StructArray::try_new(fields(&self.value), columns, None)?;
        let offsets = OffsetBuffer::from_lengths(groups.iter().map(Vec::len));
        Ok(Arc::new(ListArray::try_new(item(&self.value), offsets, Arc::new(told), None)?))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct RankOf {
    signature: Signature,
}

impl Default for RankOf {
    fn default() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for RankOf {
    fn name(&self) -> &str {
        "rank_of"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [tally, _] => value_of(tally),
            _ => plan_err!("rank_of takes a tally and a percentage"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [tally, ColumnarValue::Scalar(ScalarValue::Int64(Some(percent @ 1..=100)))] =
            args.args.as_slice()
        else {
            return exec_err!("rank_of takes a tally and a whole number from 1 to 100");
        };
        let tallies = tally.to_array(args.number_rows)?;
        let tallies = tallies.as_list::<i32>();
        let told = tallies.values().as_struct();
        let wide =
            DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale(&value_of(&tally.data_type())?));
        let values = cast(told.column(0), &wide)?;
        let values = values.as_primitive::<Decimal128Type>();
        let times = told.column(1).as_primitive::<Int64Type>();
        let picked: UInt64Array = tallies
            .value_offsets()
            .windows(2)
            .map(|bounds| {
                let [from, until] = bounds else { return None };
                let mut places: Vec<usize> = (from.as_usize()..until.as_usize()).collect();
                places.sort_unstable_by_key(|at| values.value(*at));
                let counts = places.iter().map(|at| times.value(*at));
                let place = place(counts, percent.unsigned_abs())?;
                places.get(place).map(|at| *at as u64)
            })
            .collect();
        Ok(ColumnarValue::Array(take(told.column(0), &picked, None)?))
    }
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::prelude::SessionContext;

    #[tokio::test]
    async fn the_rank_of_parts_is_that_of_the_whole() {
        let context = SessionContext::new();
        crate::functions::register(&context);
        let rows = "SELECT value % 7 AS part, value * value % 101 AS n, CAST(value % 13 AS DECIMAL(18, 6)) / 4 AS d
            FROM generate_series(1, 1000) AS told(value)";
        let sql = format!(
            "WITH told AS ({rows}),
            parts AS (SELECT part, tally(n) AS n, tally(CAST(d AS DECIMAL(18, 6))) AS d FROM told GROUP BY part),
            whole AS (SELECT flatten(array_agg(n)) AS n, flatten(array_agg(d)) AS d FROM parts)
            SELECT rank_of(whole.n, 50), rank_of(whole.n, 90), rank_of(whole.d, 50) FROM whole
            EXCEPT
            SELECT nearest_rank(n, 50), nearest_rank(n, 90), nearest_rank(CAST(d AS DECIMAL(18, 6)), 50) FROM told"
        );
        let differing = context.sql(&sql).await.unwrap().collect().await.unwrap();
        assert_eq!(differing.iter().map(|rows| rows.num_rows()).sum::<usize>(), 0);
        let none =
            "SELECT rank_of(tally(n), 50) IS NULL AS none FROM (VALUES (1)) AS told(n) WHERE n > 1";
        let none = context.sql(none).await.unwrap().collect().await.unwrap();
        assert!(pretty_format_batches(&none).unwrap().to_string().contains("true"));
    }
}
