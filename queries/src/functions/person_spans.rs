//! `person_spans(persons, spans)`: the times that lie in any of a group's spans of each person, as a list of `person` and a
//! span; those of one person do not meet. Each row tells a list of persons and a list of spans, which all of these
//! have. A span without a begin is none; one without an end goes on.
//!
//! In SQL this takes two windows over all spans of all persons. It must keep each end as it was told: what is at
//! `ended_at` is not in the span.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, ListArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{ArrowNativeType, DataType, Field, FieldRef, Fields, TimeUnit};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility,
};

use super::entries::{Entry, Groups, Held, Listed, Rule, Whole, state_field};

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PersonSpans {
    signature: Signature,
}

impl Default for PersonSpans {
    fn default() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

/// The type of both ends of a span.
pub(super) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn fields() -> Fields {
    let person = Field::new("person", DataType::Int64, true);
    let ends = ["began_at", "ended_at"].map(|name| Field::new(name, instant(), true));
    std::iter::once(person).chain(ends).collect()
}

fn is_span(told: &DataType) -> bool {
    let DataType::Struct(ends) = told else { return false };
    ends.len() == 2 && ends.iter().all(|end| *end.data_type() == instant())
}

/// A span of a person.
pub(super) fn item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Struct(fields()), true))
}

impl AggregateUDFImpl for PersonSpans {
    fn name(&self) -> &str {
        "person_spans"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [DataType::List(person), DataType::List(span)]
                if *person.data_type() == DataType::Int64 && is_span(span.data_type()) =>
            {
                Ok(DataType::List(item()))
            }
            _ => plan_err!(
                "person_spans takes a list of persons (BIGINT) and a list of structs of two instants in UTC"
            ),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![state_field::<3>(args.name)])
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

/// Entries of person, begin and end, in microseconds.
#[derive(Clone, Debug)]
struct Spans;

/// Those of a group.
#[derive(Clone, Debug, Default)]
pub struct OfGroup(Listed<3>);

impl Held<3> for OfGroup {
    fn add(&mut self, span: Entry<3>) {
        self.0.add(span, meets);
    }

    fn joined(self) -> Vec<Entry<3>> {
        self.0.joined(meets)
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}

/// Spans of a person that meet are one, whichever is the earlier.
fn meets([held, since, upto]: &mut Entry<3>, [person, began, ended]: Entry<3>) -> bool {
    let meets = person == *held && began <= *upto && ended >= *since;
    if meets {
        *since = began.min(*since);
        *upto = ended.max(*upto);
    }
    meets
}

/// The end of what goes on.
const NEVER: i64 = i64::MAX;

/// When spans begin and end.
struct Ends<'a> {
    began: &'a TimestampMicrosecondArray,
    ended: &'a TimestampMicrosecondArray,
}

impl<'a> Ends<'a> {
    fn of(spans: &'a StructArray) -> Result<Self> {
        let [began, ended] = spans.columns() else {
            return internal_err!("a span begins and ends");
        };
        Ok(Self { began: began.as_primitive(), ended: ended.as_primitive() })
    }

    fn span(&self, at: usize) -> Option<[i64; 2]> {
        let began = self.began.is_valid(at).then(|| self.began.value(at))?;
        let ended = if self.ended.is_valid(at) { self.ended.value(at) } else { NEVER };
        (began < ended).then_some([began, ended])
    }
}

impl Rule<3> for Spans {
    type Held = OfGroup;

    fn each_entry(
        &self,
        columns: &[ArrayRef],
        mut take: impl FnMut(usize, Entry<3>) -> Result<()>,
    ) -> Result<()> {
        let [persons, spans] = columns else {
            return internal_err!("person_spans takes persons and spans");
        };
        let (persons, spans) = (persons.as_list::<i32>(), spans.as_list::<i32>());
        let ids: &Int64Array = persons.values().as_primitive();
        let ends = Ends::of(spans.values().as_struct())?;
        let bounds =
            persons.value_offsets().array_windows().zip(spans.value_offsets().array_windows());
        for (row, (own, told)) in bounds.enumerate() {
            if persons.is_null(row) || spans.is_null(row) {
                continue;
            }
            let [[first, after], [from, until]] = [own, told].map(|at| at.map(|at| at.as_usize()));
            for id in (first..after).filter(|at| ids.is_valid(*at)) {
                for [began, ended] in (from..until).filter_map(|at| ends.span(at)) {
                    take(row, [ids.value(id), began, ended])?;
                }
            }
        }
        Ok(())
    }

    fn answers(&self, groups: &[Vec<Entry<3>>]) -> Result<ArrayRef> {
        let spans = || groups.iter().flatten();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(spans().map(|[person, ..]| *person))),
            instants(spans().map(|[_, began, _]| *began)),
            instants(spans().map(|[.., ended]| *ended)),
        ];
        let offsets = OffsetBuffer::from_lengths(groups.iter().map(Vec::len));
        let spans = StructArray::try_new(fields(), columns, None)?;
        Ok(Arc::new(ListArray::try_new(item(), offsets, Arc::new(spans), None)?))
    }
}

fn instants(micros: impl Iterator<Item = i64>) -> ArrayRef {
    let instants = TimestampMicrosecondArray::from_iter_values(micros);
    Arc::new(instants.with_data_type(instant()))
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::EmitTo;

    use super::*;

    fn micros(times: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter(times).with_timezone("UTC"))
    }

    /// One person and one span in each row.
    fn told(of: impl IntoIterator<Item = (i64, i64, Option<i64>)> + Clone) -> [ArrayRef; 2] {
        let ids = Int64Array::from_iter_values(of.clone().into_iter().map(|(person, ..)| person));
        let began = micros(of.clone().into_iter().map(|(_, began, _)| Some(began)));
        let ends = [began, micros(of.into_iter().map(|(.., ended)| ended))];
        let fields = ["entered_at", "left_at"].map(|name| Field::new(name, instant(), true));
        let fields = Fields::from_iter(fields);
        let one_each = OffsetBuffer::from_repeated_length(1, ids.len());
        let id = Arc::new(Field::new_list_field(DataType::Int64, true));
        let span = Arc::new(Field::new_list_field(DataType::Struct(fields.clone()), true));
        let spans = Arc::new(StructArray::new(fields, ends.to_vec(), None));
        [
            Arc::new(ListArray::new(id, one_each.clone(), Arc::new(ids), None)),
            Arc::new(ListArray::new(span, one_each, spans, None)),
        ]
    }

    fn merged(spans: &[(i64, i64, Option<i64>)]) -> Vec<Entry<3>> {
        let mut first = Groups::new(Spans);
        for span in spans {
            first.update_batch(&told([*span]), &[1], None, 2).unwrap();
        }
        let mut both = Groups::new(Spans);
        both.merge_batch(&first.state(EmitTo::All).unwrap(), &[1, 0], 2).unwrap();
        let lists = both.evaluate(EmitTo::All).unwrap();
        let list = lists.as_list::<i32>().value(0);
        let list = list.as_struct();
        let person: &Int64Array = list.column(0).as_primitive();
        let ends = [1, 2].map(|at| list.column(at).as_primitive());
        let [began, ended]: [&TimestampMicrosecondArray; 2] = ends;
        (0..list.len()).map(|at| [person.value(at), began.value(at), ended.value(at)]).collect()
    }

    #[test]
    fn spans_of_a_person_that_meet_are_one_and_one_without_an_end_goes_on() {
        assert_eq!(
            merged(&[(7, 5, Some(7)), (7, 1, Some(3)), (7, 3, Some(4)), (7, 8, Some(8))]),
            [[7, 1, 4], [7, 5, 7]]
        );
        assert_eq!(merged(&[(7, 5, None), (7, 1, Some(9)), (7, 20, Some(30))]), [[7, 1, NEVER]]);
        assert_eq!(merged(&[(7, 5, Some(1))]), [[0; 3]; 0]);
        assert_eq!(merged(&[(8, 2, Some(4)), (7, 1, Some(3))]), [[7, 1, 3], [8, 2, 4]]);
    }

    #[test]
    fn many_spans_of_one_time_take_no_memory() {
        let mut groups = Groups::new(Spans);
        let spans = told((0..100_000).map(|at| (7, at, Some(at + 1))));
        groups.update_batch(&spans, &[0; 100_000], None, 1).unwrap();
        assert!(groups.size() < 20_000, "{}", groups.size());
        let list = groups.evaluate(EmitTo::All).unwrap();
        assert_eq!(list.as_list::<i32>().value_length(0), 1);
    }
}
