//! `calendar(groups)`: when the spans of a list of groups begin and end, person by person. A group is a struct that has
//! its `spans`, as `person_spans` tells them, beside anything else.
//!
//! The instants at which any span of a person begins or ends are the person's cuts, and from one to the next is a slot:
//! the same spans go on in all of it. A slot's number is that of its first cut among the cuts of all persons, so that
//! no other person has it. A calendar is the groups, whose spans have `first_slot` and `slot_after` in place of
//! their ends, and what a [`walk`](super::walk) along it needs.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, ListArray, StructArray, TimestampMicrosecondArray,
    UInt32Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{
    ArrowNativeType, DataType, Field, FieldRef, Fields, TimestampMicrosecondType,
};
use datafusion::common::{HashMap, Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::person_spans::{instant, item as span};
use super::places::{PLACE, placed};
use super::walk::go_on;

/// What a group has.
const SPANS: &str = "spans";
/// What a span has in a calendar.
const IN_SLOTS: [&str; 3] = ["person", "first_slot", "slot_after"];

fn span_in_slots() -> Fields {
    IN_SLOTS.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect()
}

/// A span of a group in a calendar.
pub(super) fn spans_in_slots() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Struct(span_in_slots()), true))
}

/// What a calendar has beside its groups: how many persons, and who is where; the cuts, in the order of time, and whose
/// each is; and how far each person has come before the first of them, after as many as there are persons, and so on.
fn places() -> [Field; 5] {
    [
        ("known", DataType::Int64),
        ("persons", DataType::Int64),
        ("cuts", instant()),
        ("whose", DataType::UInt32),
        ("come_to", DataType::UInt32),
    ]
    .map(|(name, of)| Field::new_list(name, Field::new_list_field(of, true), true))
}

/// The group in a calendar.
fn group_in_slots(group: &DataType) -> Option<FieldRef> {
    let DataType::Struct(fields) = group else { return None };
    let (at, spans) = fields.find(SPANS)?;
    let mut fields = fields.to_vec();
    *fields.get_mut(at)? = Arc::new(Field::new(SPANS, DataType::List(spans_in_slots()), true));
    let group = Field::new_list_field(DataType::Struct(fields.into()), true);
    (*spans.data_type() == DataType::List(span())).then(|| Arc::new(group))
}

pub(super) fn is_calendar(told: &DataType) -> bool {
    let DataType::Struct(fields) = told else { return false };
    fields.len() == 6 && fields.iter().skip(1).map(AsRef::as_ref).eq(&places())
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ToCalendar {
    signature: Signature,
}

impl Default for ToCalendar {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ToCalendar {
    fn name(&self) -> &str {
        "calendar"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let group = match arguments {
            [DataType::List(group)] => group_in_slots(group.data_type()),
            _ => None,
        };
        let group = group.ok_or_else(|| {
            exec_datafusion_err!("calendar takes a list of structs that have spans of persons")
        })?;
        let groups = Field::new("groups", DataType::List(group), true);
        Ok(DataType::Struct(std::iter::once(groups).chain(places()).collect()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::Struct(fields) = args.return_type() else {
            return exec_err!("a calendar is a struct");
        };
        let [told] = args.args.as_slice() else { return exec_err!("calendar takes groups") };
        let told = told.to_array(1)?;
        if told.len() != 1 {
            return exec_err!("calendar makes one of one list, and not of {}", told.len());
        }
        let groups = told.as_list::<i32>().value(0);
        let groups = groups.as_struct();
        let spans = spans_of(groups)?;
        let (cuts, slots) = Cuts::of(spans.values().as_struct())?;
        let (persons, come_to) = (&cuts.persons, cuts.come_to());
        let columns: [ArrayRef; 6] = [
            Arc::new(with_spans(groups, in_slots(spans, slots)?)?),
            Arc::new(Int64Array::from(vec![i64::from(number(persons.len()))])),
            Arc::new(placed(persons)),
            Arc::new(TimestampMicrosecondArray::from(cuts.instants).with_data_type(instant())),
            Arc::new(UInt32Array::from(cuts.whose)),
            Arc::new(UInt32Array::from(come_to)),
        ];
        let columns = fields.iter().zip(columns);
        let columns = columns.map(|(field, column)| one_list(field.data_type(), column));
        let calendar = StructArray::try_new(fields.clone(), columns.collect::<Result<_>>()?, None)?;
        Ok(ColumnarValue::Array(Arc::new(calendar)))
    }
}

/// The spans of each group, before they are in slots or since.
fn spans_of(groups: &StructArray) -> Result<&ListArray> {
    let spans = groups.column_by_name(SPANS).and_then(|spans| spans.as_list_opt());
    spans.ok_or_else(|| exec_datafusion_err!("a calendar's groups have spans"))
}

pub(super) fn one_list(of: &DataType, told: ArrayRef) -> Result<ArrayRef> {
    let DataType::List(item) = of else { return exec_err!("this is told as a list") };
    let all = OffsetBuffer::from_lengths([told.len()]);
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), all, told, None)?))
}

fn with_spans(groups: &StructArray, spans: ListArray) -> Result<StructArray> {
    let spans: ArrayRef = Arc::new(spans);
    let columns = groups.fields().iter().zip(groups.columns());
    let columns =
        columns.map(|(field, told)| if field.name() == SPANS { &spans } else { told }).cloned();
    let group = group_in_slots(groups.data_type());
    let Some(DataType::Struct(fields)) = group.as_ref().map(|group| group.data_type()) else {
        return exec_err!("a calendar's groups have spans of persons");
    };
    Ok(StructArray::try_new(fields.clone(), columns.collect(), groups.nulls().cloned())?)
}

fn in_slots(spans: &ListArray, slots: [Int64Array; 3]) -> Result<ListArray> {
    let slots = slots.map(|column| -> ArrayRef { Arc::new(column) });
    let slots = Arc::new(StructArray::try_new(span_in_slots(), slots.to_vec(), None)?);
    let (offsets, nulls) = (spans.offsets().clone(), spans.nulls().cloned());
    Ok(ListArray::try_new(spans_in_slots(), offsets, slots, nulls)?)
}

/// When spans of persons begin and end.
pub(super) struct Cuts {
    /// Of each person its [`PLACE`]: the first of its slots, and which of the persons it is, from 1 on.
    pub persons: Vec<[i64; PLACE]>,
    /// Of all persons, in the order of time, each once, and whose each is.
    pub instants: Vec<i64>,
    pub whose: Vec<u32>,
}

impl Cuts {
    /// The cuts of all spans, and what each span is [`IN_SLOTS`].
    pub fn of(spans: &StructArray) -> Result<(Self, [Int64Array; 3])> {
        if spans.columns().iter().any(|column| column.null_count() > 0) {
            return exec_err!("a span in a calendar has a person and both ends");
        }
        let of: &Int64Array = spans.column(0).as_primitive();
        let (mut numbers, mut persons) = (HashMap::new(), Vec::new());
        let whose = of.values().iter().map(|person| {
            *numbers.entry(*person).or_insert_with(|| {
                persons.push([*person, 0, i64::from(number(persons.len())) + 1]);
                number(persons.len() - 1)
            })
        });
        let whose: Vec<u32> = whose.collect();
        let mut ends: Vec<(i64, u32, u32)> = Vec::with_capacity(2 * spans.len());
        for (column, first) in [(1, 0), (2, spans.len())] {
            let told = spans.column(column).as_primitive::<TimestampMicrosecondType>();
            let told = told.values().iter().zip(&whose).zip(first..);
            ends.extend(told.map(|((instant, whose), at)| (*instant, *whose, number(at))));
        }
        ends.sort_unstable_by_key(|(instant, ..)| *instant);
        let mut cuts = Self { persons, instants: Vec::new(), whose: Vec::new() };
        let nths = cuts.nths(&ends);
        let slot = |(nth, whose): (&u32, &u32)| {
            let first = cuts.persons.get(whose.as_usize()).map_or(0, |[_, first, _]| *first);
            first + i64::from(*nth)
        };
        let (firsts, afters) = nths.split_at(spans.len());
        let slots = [firsts, afters].map(|nths| nths.iter().zip(&whose).map(slot).collect());
        let [first, after] = slots.map(|slots: Vec<i64>| Int64Array::from(slots));
        Ok((cuts, [of.clone(), first, after]))
    }

    /// Goes along the ends of spans, in the order of time, and makes cuts of them. Returns which of its person's cuts each
    /// is.
    fn nths(&mut self, ends: &[(i64, u32, u32)]) -> Vec<u32> {
        let mut nths = vec![0; ends.len()];
        let mut newest: Vec<Option<(i64, u32)>> = vec![None; self.persons.len()];
        for (instant, whose, at) in ends {
            let Some(newest) = newest.get_mut(whose.as_usize()) else { continue };
            let nth = match *newest {
                Some((last, nth)) if last == *instant => nth,
                last => {
                    self.instants.push(*instant);
                    self.whose.push(*whose);
                    last.map_or(0, |(_, nth)| nth + 1)
                }
            };
            *newest = Some((*instant, nth));
            if let Some(told) = nths.get_mut(at.as_usize()) {
                *told = nth;
            }
        }
        let mut before = 0;
        for ([_, first, _], newest) in self.persons.iter_mut().zip(newest) {
            *first = before;
            before += newest.map_or(0, |(_, nth)| i64::from(nth) + 1);
        }
        nths
    }

    /// How far each person has come, before the first cut and then each time that there were as many as persons.
    pub fn come_to(&self) -> Vec<u32> {
        let mut now: Vec<u32> =
            self.persons.iter().map(|[_, first, _]| number(first.as_usize())).collect();
        let mut come_to = now.clone();
        for some in self.whose.chunks_exact(self.persons.len().max(1)) {
            some.iter().for_each(|whose| go_on(&mut now, *whose));
            come_to.extend(&now);
        }
        come_to
    }
}

/// There are not as many cuts as would be too large: their spans are in one list.
fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
