//! A walk along a [`calendar`](super::calendar): which slots persons' instants are in.
//!
//! Millions of calls are looked up, in about the order of time. So the cuts of all persons lie in that order too, and
//! whoever looks up some calls goes along both, and has only to keep how far each person has come: a search among a
//! person's cuts would miss the cache many times for each call.

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, StructArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::{sort_to_indices, take};
use arrow::datatypes::ArrowNativeType;
use datafusion::common::{Result, exec_err};

use super::places::{PLACE, found};

/// A person comes to its next slot.
pub(super) fn go_on(come_to: &mut [u32], whose: u32) {
    if let Some(slot) = come_to.get_mut(whose.as_usize()) {
        *slot += 1;
    }
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
        let place = |person: Option<i64>| person.and_then(|person| self.place(person));
        // All are looked for before the walk, so that one is not waited for after the other.
        let places: Vec<Option<[i64; PLACE]>> = persons.iter().map(place).collect();
        let mut walk = self.walk(instants.iter().flatten().next().unwrap_or_default());
        let slots = places.iter().zip(instants).map(|(place, instant)| {
            walk.go_to(instant?);
            walk.slot(place.as_ref()?)
        });
        slots.collect()
    }

    /// A person's [`PLACE`].
    fn place(&self, person: i64) -> Option<[i64; PLACE]> {
        found(&self.persons, person).next()
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

    fn slot(&self, [_, first, number]: &[i64; PLACE]) -> Option<i64> {
        let come_to = i64::from(*self.come_to.get(number.as_usize() - 1)?);
        (come_to > *first).then_some(come_to - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::DataType;

    use super::super::calendar::Cuts;
    use super::super::person_spans::{instant, item as span};
    use super::super::places::placed;
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
