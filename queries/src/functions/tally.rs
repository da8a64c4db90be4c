//! `tally(value)`: how often each value of a group was told, as a list of `value` and `times`; `rank_of(tally,
//! percent)`: the nearest rank in it, as `nearest_rank` finds it in the values themselves, which at 100 is the greatest;
//! `times_of(tally)` and `sum_of(tally)`: how many values were told, and what all of them come to, 0 of none.
//!
//! Reports group twice, and ask several things of the same values: one aggregate that knows all of them is quicker than
//! one for each. A tally of parts is their lists behind each other: a value may stand in it more than once. A sum is exact,
//! or it is an error.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Int64Array, ListArray, StructArray, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast, take};
use arrow::datatypes::{
    ArrowNativeType, DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef, Fields,
};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err, plan_err};
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
    let fields = match tally {
        DataType::List(item) => match item.data_type() {
            DataType::Struct(fields) => fields.as_ref(),
            _ => &[],
        },
        _ => &[],
    };
    match fields.iter().map(|field| field.data_type()).collect::<Vec<_>>().as_slice() {
        [value @ (DataType::Int64 | DataType::Decimal128(..)), DataType::Int64] => {
            Ok((*value).clone())
        }
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
        let told = Told::of(&tallies)?;
        let picked = told.ranges().map(|entries| {
            let mut places = Vec::from_iter(entries);
            places.sort_unstable_by_key(|at| told.values.value(*at));
            let counts = places.iter().map(|at| told.times.value(*at));
            let place = place(counts, percent.unsigned_abs())?;
            places.get(place).map(|at| *at as u64)
        });
        let picked: UInt64Array = picked.collect();
        Ok(ColumnarValue::Array(take(told.as_told, &picked, None)?))
    }
}

/// Tallies, one behind the other.
struct Told<'a> {
    offsets: &'a [i32],
    as_told: &'a ArrayRef,
    /// In units of the last digit.
    values: Decimal128Array,
    times: &'a Int64Array,
}

impl<'a> Told<'a> {
    fn of(tallies: &'a ArrayRef) -> Result<Self> {
        let wide = sum_type(&value_of(tallies.data_type())?);
        let tallies = tallies.as_list::<i32>();
        let told = tallies.values().as_struct();
        Ok(Self {
            offsets: tallies.value_offsets(),
            as_told: told.column(0),
            values: cast(told.column(0), &wide)?.as_primitive().clone(),
            times: told.column(1).as_primitive(),
        })
    }

    /// Where the entries of each tally are.
    fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        self.offsets.windows(2).map(|bounds| match bounds {
            [from, until] => from.as_usize()..until.as_usize(),
            _ => 0..0,
        })
    }

    fn total(&self, mut entries: Range<usize>) -> Option<i128> {
        entries.try_fold(0_i128, |sum, at| {
            sum.checked_add(self.values.value(at).checked_mul(self.times.value(at).into())?)
        })
    }
}

/// What holds any sum of values of this type.
fn sum_type(value: &DataType) -> DataType {
    DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale(value))
}

/// What is told of all values of a tally.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Total {
    of: Of,
    signature: Signature,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Of {
    Times,
    Values,
}

impl Total {
    pub fn times() -> Self {
        Self { of: Of::Times, signature: Signature::any(1, Volatility::Immutable) }
    }

    pub fn sum() -> Self {
        Self { of: Of::Values, ..Self::times() }
    }
}

impl ScalarUDFImpl for Total {
    fn name(&self) -> &str {
        match self.of {
            Of::Times => "times_of",
            Of::Values => "sum_of",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let [tally] = arguments else { return plan_err!("{} takes a tally", self.name()) };
        let value = value_of(tally)?;
        Ok(match self.of {
            Of::Times => DataType::Int64,
            Of::Values => sum_type(&value),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [tally] = args.args.as_slice() else {
            return exec_err!("{} takes a tally", self.name());
        };
        let tallies = tally.to_array(args.number_rows)?;
        let told = Told::of(&tallies)?;
        let total: ArrayRef = match self.of {
            Of::Times => Arc::new(Int64Array::from_iter_values(
                told.ranges().map(|entries| entries.map(|at| told.times.value(at)).sum()),
            )),
            Of::Values => {
                let sum = |entries| {
                    told.total(entries)
                        .ok_or_else(|| exec_datafusion_err!("a sum has too many digits"))
                };
                let sums = told.ranges().map(sum).collect::<Result<Vec<i128>>>()?;
                Arc::new(
                    Decimal128Array::from(sums).with_data_type(told.values.data_type().clone()),
                )
            }
        };
        Ok(ColumnarValue::Array(total))
    }
}

#[cfg(test)]
mod tests {
    use super::super::asked::asked;

    /// Few values and many, whole numbers and decimals, some told to nobody.
    const TOLD: &str = "SELECT
            value % 7 AS part,
            CASE WHEN value % 11 > 0 THEN value * value % 6007 - 90 END AS n,
            CAST(value % 13 AS DECIMAL(18, 6)) / 4 AS d
        FROM generate_series(1, 9000) AS told(value)";

    async fn differing(one: &str, other: &str) -> String {
        let sql = format!(
            "WITH told AS ({TOLD}), differing AS ({one} EXCEPT {other}) SELECT count(*) AS rows FROM differing"
        );
        asked(&sql).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_told_of_parts_is_told_of_the_whole() {
        let of_parts = "SELECT
                times_of(n), sum_of(n), rank_of(n, 50), rank_of(n, 90), rank_of(n, 100),
                times_of(d), sum_of(d), rank_of(d, 50), rank_of(d, 100)
            FROM (
                SELECT flatten(array_agg(n)) AS n, flatten(array_agg(d)) AS d
                FROM (
                    SELECT part, tally(n) AS n, tally(CAST(d AS DECIMAL(18, 6))) AS d FROM told GROUP BY part
                ) AS parts
            ) AS whole";
        let of_values = "SELECT
                count(n), CAST(sum(n) AS DECIMAL(38, 0)), nearest_rank(n, 50), nearest_rank(n, 90), max(n),
                count(d), CAST(sum(CAST(d AS DECIMAL(18, 6))) AS DECIMAL(38, 6)),
                nearest_rank(CAST(d AS DECIMAL(18, 6)), 50), max(CAST(d AS DECIMAL(18, 6)))
            FROM told";
        assert!(differing(of_parts, of_values).await.contains("| 0    |"));
        // And it would be seen if they differed.
        let other = differing(of_parts, &of_values.replace("max(n)", "min(n)")).await;
        assert!(other.contains("| 1    |"), "{other}");
    }

    #[tokio::test]
    async fn of_nothing_there_is_no_rank_and_a_sum_of_0() {
        let none = "SELECT rank_of(tally(n), 50) IS NULL AS none, times_of(tally(n)) AS times, sum_of(tally(n)) AS sum
            FROM (VALUES (1)) AS told(n) WHERE n > 1";
        let none = asked(none).await.unwrap();
        assert!(none.contains("| true | 0     | 0   |"), "{none}");
    }

    #[tokio::test]
    async fn a_sum_is_exact_or_an_error() {
        let tally =
            "make_array(named_struct('value', CAST('VALUE' AS DECIMAL(38, 0)), 'times', TIMES))";
        let sum = |value: &str, times: &str| {
            format!("SELECT sum_of({})", tally.replace("VALUE", value).replace("TIMES", times))
        };
        let exact = asked(&sum("999999999999999999", "3")).await.unwrap();
        assert!(exact.contains("| 2999999999999999997 "), "{exact}");
        let refused = asked(&sum(&"9".repeat(38), "3")).await.unwrap_err();
        assert!(refused.contains("too many digits"), "{refused}");
        for wrong in ["sum_of(7)", "times_of([7])", "rank_of([named_struct('a', 'b', 'c', 7)], 50)"]
        {
            let refused = asked(&format!("SELECT {wrong}")).await.unwrap_err();
            assert!(refused.contains("is no tally"), "{wrong}: {refused}");
        }
    }
}
