//! `calendar(groups)`: when the spans of a list of groups begin and end, person by person. A group is a struct that has
//! its `spans`, as `person_spans` tells them, beside anything else.
//!
//! The instants at which any span of a person begins or ends are the person's cuts, and from one to the next is a slot:
//! the same spans go on in all of it. A slot's number is that of its first cut among the cuts of all persons, so that
//! no other person has it. A calendar is the groups, whose spans have `first_slot` and `slot_after` in place of
//! their ends, and what [`slot_at`](super::slot_at) looks for an instant in.
//!
//! Millions of calls are looked up, in about the order of time. So the cuts of all persons lie in that order too, and
//! whoever looks up some calls goes along both, and has only to keep how far each person has come: a search among a
//! person's cuts would miss the cache many times for each call.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, ListArray, StructArray, TimestampMicrosecondArray,
    UInt32Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{sort_to_indices, take};
use arrow::datatypes::{
    ArrowNativeType, DataType, Field, FieldRef, Fields, TimestampMicrosecondType,
};
use datafusion::common::{HashMap, Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::person_spans::{instant, item as span};

/// What a group has.
pub(super) const SPANS: &str = "spans";
/// What a place in a calendar has: a person, the first of its slots, and which of the persons it is, from 1 on. They lie
/// side by side, since each call asks for all three.
const PLACE: usize = 3;
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
struct Cuts {
    /// Of each person its [`PLACE`].
    persons: Vec<[i64; PLACE]>,
    /// Of all persons, in the order of time, each once, and whose each is.
    instants: Vec<i64>,
    whose: Vec<u32>,
}

impl Cuts {
    /// The cuts of all spans, and what each span is [`IN_SLOTS`].
    fn of(spans: &StructArray) -> Result<(Self, [Int64Array; 3])> {
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
    fn come_to(&self) -> Vec<u32> {
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

/// A person comes to its next slot.
fn go_on(come_to: &mut [u32], whose: u32) {
    if let Some(slot) = come_to.get_mut(whose.as_usize()) {
        *slot += 1;
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

/// Where instants are looked for.
pub(super) struct Calendar {
    known: usize,
    persons: Int64Array,
    cuts: TimestampMicrosecondArray,
    whose: UInt32Array,
    come_to: UInt32Array,
}

impl Calendar {
    pub fn of(calendar: &StructArray) -> Result<Self> {
        let lists = calendar.columns().iter().skip(1).map(|column| column.as_list_opt::<i32>());
        let lists: Option<Vec<ArrayRef>> = lists.map(|list| Some(list?.value(0))).collect();
        let Some([known, persons, cuts, whose, come_to]) = lists.as_deref() else {
            return exec_err!("a calendar has persons and cuts");
        };
        let known: &Int64Array = known.as_primitive();
        Ok(Self {
            known: known.values().first().map_or(0, |known| known.as_usize()),
            persons: persons.as_primitive().clone(),
            cuts: cuts.as_primitive().clone(),
            whose: whose.as_primitive().clone(),
            come_to: come_to.as_primitive().clone(),
        })
    }

    /// The slots of persons' instants; none before a person's first.
    pub fn slots(
        &self,
        persons: &Int64Array,
        instants: &TimestampMicrosecondArray,
    ) -> Result<Int64Array> {
        // As they come from a file.
        if instants.values().is_sorted() {
            return Ok(self.slots_in_order(persons, instants));
        }
        let order = sort_to_indices(instants, None, None)?;
        let [persons, instants] =
            [persons as &dyn Array, instants].map(|told| take(told, &order, None));
        let slots = self.slots_in_order(persons?.as_primitive(), instants?.as_primitive());
        let back = sort_to_indices(&order, None, None)?;
        Ok(take(&slots, &back, None)?.as_primitive().clone())
    }

    fn slots_in_order(
        &self,
        persons: &Int64Array,
        instants: &TimestampMicrosecondArray,
    ) -> Int64Array {
        let mut walk = self.walk(instants.iter().flatten().next().unwrap_or_default());
        let slots = persons.iter().zip(instants).map(|(person, instant)| {
            walk.go_to(instant?);
            walk.slot(person?)
        });
        slots.collect()
    }

    /// A walk that begins before an instant, at the last place from where it is known how far all have come.
    fn walk(&self, instant: i64) -> Walk<'_> {
        let before = self.cuts.values().partition_point(|cut| *cut <= instant);
        let known = self.known.max(1);
        let at = before / known * known;
        let come_to = self.come_to.values().get(at..at + self.known).unwrap_or_default();
        Walk { calendar: self, at, come_to: come_to.to_vec() }
    }
}

/// A walk along the cuts.
struct Walk<'a> {
    calendar: &'a Calendar,
    at: usize,
    come_to: Vec<u32>,
}

impl Walk<'_> {
    /// Goes on to an instant that is not before the last one: what is at a cut is behind it.
    fn go_to(&mut self, instant: i64) {
        let Calendar { cuts, whose, .. } = self.calendar;
        let ahead = cuts.values().iter().zip(whose.values()).skip(self.at);
        for (_, whose) in ahead.take_while(|(cut, _)| **cut <= instant) {
            go_on(&mut self.come_to, *whose);
            self.at += 1;
        }
    }

    fn slot(&self, person: i64) -> Option<i64> {
        let (places, _) = self.calendar.persons.values().as_chunks::<PLACE>();
        let held = places_of(person, places.len()).map_while(|at| places.get(at));
        let mut held = held.take_while(|[.., number]| *number > 0);
        let [_, first, number] = held.find(|[held, ..]| *held == person)?;
        let come_to = i64::from(*self.come_to.get(number.as_usize() - 1)?);
        (come_to > *first).then_some(come_to - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERSONS: i64 = 50;

    /// Numbers that are in no order.
    fn spread(n: i64) -> i64 {
        n.wrapping_mul(7_919).rem_euclid(1_009)
    }

    /// Some persons have no more than one cut, and some have many.
    fn cuts_of(person: i64) -> Vec<i64> {
        let mut cuts: Vec<i64> = (0..1 + person % 17).map(|n| spread(person * 31 + n)).collect();
        cuts.sort_unstable();
        cuts.dedup();
        cuts
    }

    #[test]
    fn each_call_is_in_its_slot_wherever_a_walk_begins() {
        // From each cut of a person to its last, some twice, and not in the order of time.
        let told = (0..PERSONS).chain([40, 7]).flat_map(|person| {
            let cuts = cuts_of(person);
            let last = cuts.last().copied().unwrap_or_default();
            cuts.into_iter().rev().map(move |cut| (person, cut, last))
        });
        let told: Vec<(i64, i64, i64)> = told.collect();
        let instants = |told: Vec<i64>| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from(told).with_data_type(instant()))
        };
        let persons = Int64Array::from_iter_values(told.iter().map(|told| told.0));
        let ends =
            [told.iter().map(|told| told.1).collect(), told.iter().map(|told| told.2).collect()];
        let [began, ended] = ends.map(instants);
        let DataType::Struct(fields) = span().data_type().clone() else { panic!("no struct") };
        let spans = StructArray::new(fields, vec![Arc::new(persons), began, ended], None);
        let (cuts, [_, first, after]) = Cuts::of(&spans).unwrap();
        let firsts: Vec<usize> =
            cuts.persons.iter().map(|[_, first, _]| first.as_usize()).collect();
        let expected = |person: i64, instant| {
            let cuts = if person < PERSONS { cuts_of(person) } else { Vec::new() };
            let upto = cuts.partition_point(|cut| *cut <= instant).checked_sub(1);
            upto.map(|upto| (firsts[person.as_usize()] + upto) as i64)
        };
        for (at, (person, began, ended)) in told.iter().enumerate() {
            assert_eq!(Some(first.value(at)), expected(*person, *began));
            assert_eq!(Some(after.value(at)), expected(*person, *ended));
        }
        let come_to = cuts.come_to();
        assert!(come_to.len() > 6 * cuts.persons.len(), "{}", come_to.len());
        let calendar = Calendar {
            known: cuts.persons.len(),
            persons: placed(&cuts.persons),
            cuts: cuts.instants.into(),
            whose: cuts.whose.into(),
            come_to: come_to.into(),
        };
        for from in (-20..1_030).step_by(35) {
            // Of all persons and of two whom nobody knows, at and beside cuts, in no order.
            let called = (0..700).map(|n| (spread(n) % (PERSONS + 2), from + spread(n * 3) % 35));
            let called = called.chain([(3, 1_000_000), (4, i64::MIN)]);
            let (persons, instants): (Vec<i64>, Vec<i64>) = called.unzip();
            let slots = calendar.slots(&persons.clone().into(), &instants.clone().into()).unwrap();
            for ((person, instant), slot) in persons.iter().zip(&instants).zip(&slots) {
                assert_eq!(slot, expected(*person, *instant), "{person} at {instant}");
            }
        }
    }
}
