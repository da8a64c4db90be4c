//! `nearest_rank(value, percent)`: the smallest value of a group that as many percent of its values do not
//! exceed, which is the one at place `ceil(percent / 100 × n)` of the sorted ones; null of none.
//!
//! It is exact. Values are counted, not listed: durations of calls are few, however many calls there are.
//! It must never interpolate, as `percentile_cont` does: a percentile is a value that somebody told.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, internal_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, ColumnarValue, GroupsAccumulator, Signature, Volatility,
};
use hashbrown::HashMap;

use super::entries::{Entry, Groups, Held, Listed, Rule, Whole, state_field};

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct NearestRank {
    signature: Signature,
}

impl Default for NearestRank {
    fn default() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for NearestRank {
    fn name(&self) -> &str {
        "nearest_rank"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [value @ (DataType::Int64 | DataType::Decimal128(..)), _] => Ok(value.clone()),
            _ => plan_err!("nearest_rank takes whole numbers or decimals, and a percentage"),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![state_field::<2>(args.name)])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Whole::new(Ranked::asked(&args)?)))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::new(Ranked::asked(&args)?)))
    }
}

/// Entries of a value, in units of its last digit, and how often it was told.
#[derive(Clone, Debug)]
struct Ranked {
    percent: u64,
    value: DataType,
}

impl Ranked {
    fn asked(args: &AccumulatorArgs<'_>) -> Result<Self> {
        let [_, percent] = args.exprs else {
            return internal_err!("nearest_rank takes a value and a percentage");
        };
        let none = RecordBatch::new_empty(Arc::new(args.schema.clone()));
        let ColumnarValue::Scalar(ScalarValue::Int64(Some(percent @ 1..=100))) =
            percent.evaluate(&none)?
        else {
            return plan_err!("the percentage of nearest_rank is a whole number from 1 to 100");
        };
        let value = args.return_field.data_type().clone();
        Ok(Self { percent: percent.unsigned_abs(), value })
    }

    fn pick(&self, counted: &[Entry<2>]) -> Option<i64> {
        let place = place(counted.iter().map(|[_, times]| *times), self.percent)?;
        counted.get(place).map(|[value, _]| *value)
    }
}

/// Where the rank is in sorted values that were told so many times.
pub(super) fn place(times: impl Iterator<Item = i64> + Clone, percent: u64) -> Option<usize> {
    let total: i64 = times.clone().sum();
    let place = (total.unsigned_abs() * percent).div_ceil(100);
    let mut upto = 0;
    times.into_iter().position(|times| {
        upto += times.unsigned_abs();
        upto >= place
    })
}

/// Values of entries in the type that they were told in.
pub(super) fn as_told(
    values: impl Iterator<Item = Option<i64>>,
    told: &DataType,
) -> Result<ArrayRef> {
    let values = Decimal128Array::from_iter(values.map(|value| value.map(i128::from)));
    let values = values.with_precision_and_scale(DECIMAL128_MAX_PRECISION, scale(told))?;
    Ok(cast(&values, told)?)
}

pub(super) fn scale(told: &DataType) -> i8 {
    if let DataType::Decimal128(_, scale) = told { *scale } else { 0 }
}

/// What an aggregate makes of values and how often each was told.
pub(super) trait Tallied: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// The answers of these groups, whose entries are a value, in units of its last digit, and its times.
    fn of_times(&self, groups: &[Vec<Entry<2>>]) -> Result<ArrayRef>;
}

/// How often each value of a group was told. Most durations are one of few, and these are found by hash; where values are
/// many and hardly one comes twice, it is quicker to write them down and sort them.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    few: HashMap<i64, i64>,
    more: Listed<2>,
}

/// So many are few: they fit the cache for some dozens of groups.
const FEW: usize = 1024;

impl Held<2> for Counts {
    fn add(&mut self, [value, times]: Entry<2>) {
        if let Some(told) = self.few.get_mut(&value) {
            *told += times;
        } else if self.few.len() < FEW {
            self.few.insert(value, times);
        } else {
            self.more.add([value, times], same_value);
        }
    }

    fn joined(mut self) -> Vec<Entry<2>> {
        for (value, times) in self.few {
            self.more.add([value, times], same_value);
        }
        self.more.joined(same_value)
    }

    fn size(&self) -> usize {
        self.few.allocation_size() + self.more.size()
    }
}

/// Two entries of one value are one, told as often as both.
fn same_value([held, times]: &mut Entry<2>, [value, more]: Entry<2>) -> bool {
    let same = value == *held;
    if same {
        *times += more;
    }
    same
}

impl<T: Tallied> Rule<2> for T {
    type Held = Counts;

    fn each_entry(
        &self,
        columns: &[ArrayRef],
        mut take: impl FnMut(usize, Entry<2>) -> Result<()>,
    ) -> Result<()> {
        let Some(values) = columns.first() else {
            return internal_err!("there is no value");
        };
        if let Some(whole) = values.as_primitive_opt::<Int64Type>() {
            let mut told = whole.iter().enumerate().filter_map(|(row, value)| Some((row, value?)));
            return told.try_for_each(|(row, value)| take(row, [value, 1]));
        }
        let decimals = values.as_primitive::<Decimal128Type>().iter();
        for (row, value) in decimals.enumerate().filter_map(|(row, value)| Some((row, value?))) {
            let value = i64::try_from(value)
                .map_err(|_| exec_datafusion_err!("ranks are of values of up to 18 digits"))?;
            take(row, [value, 1])?;
        }
        Ok(())
    }

    fn answers(&self, groups: &[Vec<Entry<2>>]) -> Result<ArrayRef> {
        self.of_times(groups)
    }
}

impl Tallied for Ranked {
    fn of_times(&self, groups: &[Vec<Entry<2>>]) -> Result<ArrayRef> {
        as_told(groups.iter().map(|counted| self.pick(counted)), &self.value)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use datafusion::logical_expr::EmitTo;

    use super::super::asked::asked;
    use super::*;

    fn rank(percent: u64, values: &[Option<i64>]) -> Option<i64> {
        let rule = Ranked { percent, value: DataType::Int64 };
        let mut groups = Groups::new(rule);
        let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        groups.update_batch(&[column], &vec![0; values.len()], None, 1).unwrap();
        let answer = groups.evaluate(EmitTo::All).unwrap();
        answer.as_primitive::<Int64Type>().iter().next().flatten()
    }

    #[test]
    fn it_is_a_value_that_was_told() {
        let values: Vec<Option<i64>> = [15, 20, 35, 40, 50].map(Some).to_vec();
        assert_eq!(
            [5, 30, 40, 50, 100].map(|percent| rank(percent, &values)),
            [15, 20, 20, 35, 50].map(Some)
        );
        assert_eq!(rank(50, &[Some(7), None, Some(7), Some(-3)]), Some(7));
        assert_eq!(rank(50, &[Some(1), Some(2)]), Some(1));
        assert_eq!(rank(50, &[None]), None);
        let many: Vec<Option<i64>> = (0..100_000).map(|n| Some(n % 10)).collect();
        assert_eq!([90, 91].map(|percent| rank(percent, &many)), [Some(8), Some(9)]);
        // More values than are looked up, each twenty times, in no order.
        let all: Vec<Option<i64>> = (0..100_000).map(|n| Some(n * 4_999 % 5_000)).collect();
        assert_eq!([1, 50, 100].map(|percent| rank(percent, &all)), [49, 2_499, 4_999].map(Some));
    }

    #[tokio::test]
    async fn it_is_asked_with_groups_and_without_and_of_decimals() {
        let values = "(VALUES ('a', 1), ('a', 2), ('b', 9)) AS told(name, n)";
        let whole =
            format!("SELECT nearest_rank(n, 50) AS n, nearest_rank(n, 100) AS most FROM {values}");
        assert!(asked(&whole).await.unwrap().contains("| 2 | 9    |"));
        let none = format!("SELECT nearest_rank(n, 50) IS NULL AS none FROM {values} WHERE n > 9");
        assert!(asked(&none).await.unwrap().contains("| true |"));
        let grouped = format!(
            "SELECT name, nearest_rank(CAST(n AS DECIMAL(18, 6)), 50) AS n FROM {values} GROUP BY 1 ORDER BY 1"
        );
        let grouped = asked(&grouped).await.unwrap();
        assert!(grouped.contains("| a    | 1.000000 |") && grouped.contains("| b    | 9.000000 |"));
        let running = format!(
            "SELECT name, nearest_rank(n, 50) OVER (ORDER BY n) AS n FROM {values} ORDER BY 1, 2"
        );
        let running = asked(&running).await.unwrap();
        assert!(running.matches("| a    | 1 |").count() == 2 && running.contains("| b    | 2 |"));
        let wrong = format!("SELECT nearest_rank(n, 0) FROM {values}");
        assert!(asked(&wrong).await.unwrap_err().contains("from 1 to 100"));
    }
}
