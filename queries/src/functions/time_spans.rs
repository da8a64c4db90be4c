//! `time_spans(began_at, ended_at)`: the times that lie in any of a group's spans, as a list of spans that do not
//! meet. A span without a begin is none; one without an end goes on.
//!
//! In SQL this takes two windows over all spans. It must keep each end as it was told: what is at `ended_at` is
//! not in the span.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, ListArray, StructArray, TimestampMicrosecondArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility,
};

use super::pairs::{Groups, Pair, Rule, Whole, state_field};

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct TimeSpans {
    signature: Signature,
}

impl Default for TimeSpans {
    fn default() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

/// The type of both ends of a span.
pub(super) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn fields() -> Fields {
    ["began_at", "ended_at"].into_iter().map(|name| Field::new(name, instant(), true)).collect()
}

fn item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Struct(fields()), true))
}

impl AggregateUDFImpl for TimeSpans {
    fn name(&self) -> &str {
        "time_spans"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(item()))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![state_field(args.name)])
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Whole::new(Spans)))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        _: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::new(Spans)))
    }
}

/// Pairs of begin and end, in microseconds.
#[derive(Clone, Debug)]
struct Spans;

/// The end of what goes on.
const NEVER: i64 = i64::MAX;

impl Rule for Spans {
    fn each_pair(
        &self,
        columns: &[ArrayRef],
        mut take: impl FnMut(usize, Pair) -> Result<()>,
    ) -> Result<()> {
        let [began, ended] = columns else {
            return internal_err!("time_spans takes two instants");
        };
        let (began, ended) = (cast(began, &instant())?, cast(ended, &instant())?);
        let began = began.as_primitive::<TimestampMicrosecondType>().iter();
        let ended = ended.as_primitive::<TimestampMicrosecondType>().iter();
        for (row, (began, ended)) in began.zip(ended).enumerate() {
            let span = began.map(|began| (began, ended.unwrap_or(NEVER)));
            if let Some(span) = span.filter(|span| span.0 < span.1) {
                take(row, span)?;
            }
        }
        Ok(())
    }

    fn joins(held: &mut Pair, next: Pair) -> bool {
        let meets = next.0 <= held.1;
        if meets {
            held.1 = held.1.max(next.1);
        }
        meets
    }

    fn answers(&self, groups: &[Vec<Pair>]) -> Result<ArrayRef> {
        let spans = || groups.iter().flatten();
        let began = TimestampMicrosecondArray::from_iter_values(spans().map(|span| span.0));
        let ended = spans().map(|span| (span.1 < NEVER).then_some(span.1));
        let ended = TimestampMicrosecondArray::from_iter(ended);
        let columns: Vec<ArrayRef> =
            vec![Arc::new(began.with_timezone("UTC")), Arc::new(ended.with_timezone("UTC"))];
        let offsets = OffsetBuffer::from_lengths(groups.iter().map(Vec::len));
        let spans = StructArray::try_new(fields(), columns, None)?;
        Ok(Arc::new(ListArray::try_new(item(), offsets, Arc::new(spans), None)?))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::EmitTo;

    use super::*;

    fn micros(times: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter(times).with_timezone("UTC"))
    }

    fn merged(told: &[(i64, Option<i64>)]) -> Vec<Option<(i64, Option<i64>)>> {
        let mut first = Groups::new(Spans);
        for (began, ended) in told {
            first.update_batch(&[micros([Some(*began)]), micros([*ended])], &[1], None, 2).unwrap();
        }
        let mut both = Groups::new(Spans);
        both.merge_batch(&first.state(EmitTo::All).unwrap(), &[1, 0], 2).unwrap();
        let lists = both.evaluate(EmitTo::All).unwrap();
        let list = lists.as_list::<i32>().value(0);
        let times = |at: usize| list.as_struct().column(at).clone();
        let (began, ended) = (times(0), times(1));
        let began = began.as_primitive::<TimestampMicrosecondType>();
        let ended = ended.as_primitive::<TimestampMicrosecondType>();
        began.iter().zip(ended).map(|(began, ended)| Some((began?, ended))).collect()
    }

    #[test]
    fn spans_that_meet_are_one_and_one_without_an_end_goes_on() {
        assert_eq!(
            merged(&[(5, Some(7)), (1, Some(3)), (3, Some(4)), (8, Some(8))]),
            [Some((1, Some(4))), Some((5, Some(7)))]
        );
        assert_eq!(merged(&[(5, None), (1, Some(9)), (20, Some(30))]), [Some((1, None))]);
        assert_eq!(merged(&[(5, Some(1))]), []);
    }

    #[test]
    fn many_spans_of_one_time_take_no_memory() {
        let mut groups = Groups::new(Spans);
        let (begin, end) = (micros((0..10_000).map(Some)), micros((1..10_001).map(Some)));
        groups.update_batch(&[begin, end], &[0; 10_000], None, 1).unwrap();
        assert!(groups.size() < 10_000, "{}", groups.size());
        let list = groups.evaluate(EmitTo::All).unwrap();
        assert_eq!(list.as_list::<i32>().value_length(0), 1);
    }
}
