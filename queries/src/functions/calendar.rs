//! `calendar(groups)`: when the spans of a list of groups begin and end, person by person. A group is a struct that has
//! its `spans`, as `person_spans` tells them, beside anything else.
//!
//! The instants at which any span of a person begins or ends are the person's cuts, and from one to the next is a slot:
//! the same spans go on in all of it. A slot's number is that of its first cut among the cuts of all persons, so that
//! no other person has it. A calendar is the groups, whose spans have `first_slot` and `slot_after` in place of
//! their ends, and what [`slot_at`](super::slot_at) looks for an instant in.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, ListArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{
    ArrowNativeType, DataType, Field, FieldRef, Fields, TimestampMicrosecondType,
};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::person_spans::{instant, item as span};

/// What a group has.
pub(super) const SPANS: &str = "spans";
/// What a place in a calendar has: a person, and the cuts from the first up to that behind the last. They lie side by
/// side, since each call asks for all three.
const PLACE: usize = 3;
/// What a span has in a calendar.
const IN_SLOTS: [&str; 3] = ["person", "first_slot", "slot_after"];

fn span_in_slots() -> Fields {
    IN_SLOTS.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect()
}

fn spans_in_slots() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Struct(span_in_slots()), true))
}

/// What a calendar has beside its groups.
fn places() -> [Field; 2] {
    [("persons", DataType::Int64), ("cuts", instant())]
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
    fields.len() == 3 && fields.iter().skip(1).map(AsRef::as_ref).eq(&places())
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
        let (cuts, slots) = Cuts::of(spans.values().as_struct());
        let instants = TimestampMicrosecondArray::from(cuts.instants).with_data_type(instant());
        let columns: [ArrayRef; 3] = [
            Arc::new(with_spans(groups, in_slots(spans, slots)?)?),
            Arc::new(placed(&cuts.persons)),
            Arc::new(instants),
        ];
        let columns = fields.iter().zip(columns);
        let columns = columns.map(|(field, column)| one_list(field.data_type(), column));
        let calendar = StructArray::try_new(fields.clone(), columns.collect::<Result<_>>()?, None)?;
        Ok(ColumnarValue::Array(Arc::new(calendar)))
    }
}

/// The spans of each group, before they are in slots or since.
pub(super) fn spans_of(groups: &StructArray) -> Result<&ListArray> {
    let spans = groups.column_by_name(SPANS).and_then(|spans| spans.as_list_opt());
    spans.ok_or_else(|| exec_datafusion_err!("a calendar's groups have spans"))
}

fn one_list(of: &DataType, told: ArrayRef) -> Result<ArrayRef> {
    let DataType::List(item) = of else { return exec_err!("a calendar has lists") };
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
#[derive(Default)]
struct Cuts {
    /// Person by person, in order, each once.
    instants: Vec<i64>,
    /// Of each its [`PLACE`].
    persons: Vec<[i64; PLACE]>,
}

impl Cuts {
    /// The cuts of all spans, and what each span is [`IN_SLOTS`].
    fn of(spans: &StructArray) -> (Self, [Int64Array; 3]) {
        let of: &Int64Array = spans.column(0).as_primitive();
        let mut ends: Vec<(i64, i64, usize)> = Vec::with_capacity(2 * spans.len());
        for (column, first) in [(1, 0), (2, spans.len())] {
            let told = spans.column(column).as_primitive::<TimestampMicrosecondType>();
            let told = of.iter().zip(told).zip(first..);
            ends.extend(told.filter_map(|((person, instant), at)| Some((person?, instant?, at))));
        }
        ends.sort_unstable();
        let (mut cuts, mut slots) = (Self::default(), vec![None; 2 * spans.len()]);
        for same in ends.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)) {
            let Some((person, instant, _)) = same.first() else { continue };
            let slot = cuts.add(*person, *instant);
            for (.., at) in same {
                if let Some(told) = slots.get_mut(*at) {
                    *told = Some(slot);
                }
            }
        }
        let after = Int64Array::from(slots.split_off(spans.len()));
        (cuts, [of.clone(), Int64Array::from(slots), after])
    }

    /// The slot that begins at a person's next cut.
    fn add(&mut self, person: i64, instant: i64) -> i64 {
        self.instants.push(instant);
        let first = self.persons.last().map_or(0, |[.., after]| *after);
        match self.persons.last_mut() {
            Some([last, _, after]) if *last == person => *after += 1,
            _ => self.persons.push([person, first, first + 1]),
        }
        first
    }
}

/// Persons in the places where [`places_of`] looks for them. Half of these are free, so that none is far: they have no
/// cuts.
fn placed(persons: &[[i64; PLACE]]) -> Int64Array {
    let mut placed = vec![[0; PLACE]; (2 * persons.len()).next_power_of_two()];
    for told in persons {
        let [person, ..] = told;
        let is_free = |at: &usize| placed.get(*at) == Some(&[0; PLACE]);
        let free = places_of(*person, placed.len()).find(is_free);
        if let Some(held) = free.and_then(|at| placed.get_mut(at)) {
            *held = *told;
        }
    }
    placed.into_flattened().into()
}

/// Where a person is among so many places, a power of two: at the first of these that no other has. Millions of calls
/// are looked up, and a search by halves among thousands of persons misses the cache many times for each.
fn places_of(person: i64, places: usize) -> impl Iterator<Item = usize> {
    // 2^64 by the golden ratio: numbers that differ in their last digits alone then differ in the first bits.
    let spread = person.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let first = spread.rotate_left(places.trailing_zeros()).as_usize();
    (0..places).map(move |next| first.wrapping_add(next) & (places - 1))
}

/// Where an instant is looked for.
pub(super) struct Calendar {
    persons: Int64Array,
    cuts: TimestampMicrosecondArray,
}

impl Calendar {
    pub fn of(calendar: &StructArray) -> Result<Self> {
        let list = |at: usize| Some(calendar.columns().get(at)?.as_list_opt::<i32>()?.value(0));
        let (Some(persons), Some(cuts)) = (list(1), list(2)) else {
            return exec_err!("a calendar has persons and cuts");
        };
        Ok(Self { persons: persons.as_primitive().clone(), cuts: cuts.as_primitive().clone() })
    }

    /// The slot of a person's instant; none before the person's first.
    pub fn slot(&self, person: i64, instant: i64) -> Option<i64> {
        let (places, _) = self.persons.values().as_chunks::<PLACE>();
        let held = places_of(person, places.len()).map_while(|at| places.get(at));
        let mut held = held.take_while(|[.., after]| *after > 0);
        let [_, first, after] = held.find(|[held, ..]| *held == person)?;
        let own = self.cuts.values().get(first.as_usize()..after.as_usize())?;
        let upto = own.partition_point(|cut| *cut <= instant);
        Some(first + i64::try_from(upto).ok()?.checked_sub(1).filter(|upto| *upto >= 0)?)
    }
}
