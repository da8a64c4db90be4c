//! `slot_sums(slot, counts, talk_seconds, cost)`: what the calls of a group come to from the first slot up to each one
//! that has any. What they come to in some slots is then the difference of two of these, however many calls there were;
//! [`met`](super::met) asks so.
//!
//! Calls that do not count, and their seconds, are none; their costs are costs. A sum is exact, or it is an error.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int64Type};
use datafusion::common::{
    Result, exec_datafusion_err, exec_err, internal_datafusion_err, internal_err, plan_err,
};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};

use super::sums::{CELL, Cell, LARGE, RunningSums, Scales, Sum, running, scales_of};
use super::words::{Words, rows, words};

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SlotSums {
    signature: Signature,
}

impl Default for SlotSums {
    fn default() -> Self {
        Self { signature: Signature::any(4, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for SlotSums {
    fn name(&self) -> &str {
        "slot_sums"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [
                DataType::Int64,
                DataType::Boolean,
                DataType::Decimal128(_, talked),
                DataType::Decimal128(_, cost),
            ] => Ok(running([*talked, *cost])),
            _ => plan_err!(
                "slot_sums takes a slot (BIGINT), whether the call counts, its seconds and its cost (DECIMAL)"
            ),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let state = ["cells", "large"].map(|part| format_state_name(args.name, part));
        Ok(state.map(|name| Arc::new(Field::new(name, words(), true))).into())
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        plan_err!("slot_sums is asked of groups: add GROUP BY")
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let Some(scales) = scales_of(args.return_field.data_type()) else {
            return internal_err!("these are no sums by slot");
        };
        Ok(Box::new(Groups { scales, groups: Vec::new() }))
    }
}

/// The sums of a group's slots. Calls are written down, and sorted once they are many: hundreds of thousands of slots in
/// no order, each looked for when a call comes, would miss the cache with every one of millions.
#[derive(Debug, Default)]
struct Slots {
    /// Of which the first `joined` are sorted, one for each slot.
    cells: Vec<[i64; CELL]>,
    joined: usize,
    /// What is no cell.
    large: Vec<(u32, Sum)>,
}

/// So many cells more than twice the slots are worth sorting.
const FEW: usize = 65_536;

fn slot_of(cell: &[i64; CELL]) -> u32 {
    Cell::told(*cell).slot
}

impl Slots {
    fn add(&mut self, slot: u32, sum: Sum) {
        match Cell::of(slot, &sum) {
            Some(cell) => self.cells.push(cell.words()),
            None => self.large.push((slot, sum)),
        }
        self.join_many();
    }

    /// All that another was told.
    fn add_all(&mut self, cells: &[[i64; CELL]], large: &[[i64; LARGE]]) {
        self.cells.extend_from_slice(cells);
        self.large.extend(large.iter().copied().map(Sum::of));
        self.join_many();
    }

    fn join_many(&mut self) {
        if self.cells.len() > 2 * self.joined + FEW {
            self.join();
        }
    }

    /// Where two do not go into one cell, the slot has both.
    fn join(&mut self) {
        let (_, new) = self.cells.split_at_mut(self.joined);
        if !new.is_sorted_by_key(slot_of) {
            radsort::sort_by_key(new, slot_of);
        }
        // Which merges the two that are sorted.
        self.cells.sort_by_key(slot_of);
        self.cells.dedup_by(|next, held| {
            let [next, own] = [*next, *held].map(Cell::told);
            let both = own.and(next).filter(|_| next.slot == own.slot);
            both.map(|both| *held = both.words()).is_some()
        });
        self.joined = self.cells.len();
    }

    fn len(&self) -> usize {
        self.cells.len() + self.large.len()
    }

    /// Hands them over, once they are joined, in the order of slots, of which one may come more than once.
    fn each(mut self, mut take: impl FnMut(u32, Sum) -> Result<()>) -> Result<()> {
        self.large.sort_by_key(|(slot, _)| *slot);
        let mut large = self.large.into_iter().peekable();
        for cell in self.cells.into_iter().map(Cell::told) {
            while let Some((slot, sum)) = large.next_if(|(slot, _)| *slot < cell.slot) {
                take(slot, sum)?;
            }
            take(cell.slot, cell.sum())?;
        }
        large.try_for_each(|(slot, sum)| take(slot, sum))
    }

    fn size(&self) -> usize {
        self.cells.capacity() * size_of::<[i64; CELL]>()
            + self.large.capacity() * size_of::<(u32, Sum)>()
    }
}

/// The sums of each slot of each group.
#[derive(Debug)]
struct Groups {
    scales: Scales,
    groups: Vec<Slots>,
}

impl Groups {
    fn taken(&mut self, which: EmitTo) -> Vec<Slots> {
        let mut groups = which.take_needed(&mut self.groups);
        groups.iter_mut().for_each(Slots::join);
        groups
    }

    fn slots(&mut self, group: usize) -> Result<&mut Slots> {
        let slots = self.groups.get_mut(group);
        slots.ok_or_else(|| internal_datafusion_err!("there is no group {group}"))
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        columns: &[ArrayRef],
        group_of: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        let ([slots, counts, talked, cost], None) = (columns, filter) else {
            return exec_err!(
                "slot_sums is told by its second argument what counts, not by FILTER"
            );
        };
        self.groups.resize_with(groups, Slots::default);
        let (slots, counts) = (slots.as_primitive::<Int64Type>(), counts.as_boolean());
        let [talked, cost] = [talked, cost].map(|column| column.as_primitive::<Decimal128Type>());
        for (row, group) in group_of.iter().enumerate() {
            if slots.is_null(row) {
                continue;
            }
            let counts = counts.is_valid(row) && counts.value(row);
            let costs = cost.is_valid(row);
            let call = Sum {
                rows: 1,
                calls: counts.into(),
                talked_seconds: if counts && talked.is_valid(row) { talked.value(row) } else { 0 },
                costs: costs.into(),
                cost: if costs { cost.value(row) } else { 0 },
            };
            let slot = slots.value(row);
            let slot = slot.try_into().map_err(|_| exec_datafusion_err!("{slot} is no slot"))?;
            self.slots(*group)?.add(slot, call);
        }
        Ok(())
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        group_of: &[usize],
        groups: usize,
    ) -> Result<()> {
        let [cells, large] = states else { return internal_err!("sums by slot are in two parts") };
        self.groups.resize_with(groups, Slots::default);
        let lists = rows(cells)?.into_iter().zip(rows(large)?);
        for (group, (cells, large)) in group_of.iter().zip(lists) {
            self.slots(*group)?.add_all(cells, large);
        }
        Ok(())
    }

    fn evaluate(&mut self, which: EmitTo) -> Result<ArrayRef> {
        let groups = self.taken(which);
        let mut sums = RunningSums::of(groups.iter().map(Slots::len).sum(), groups.len());
        for slots in groups {
            slots.each(|slot, sum| sums.add(slot, sum))?;
            sums.end();
        }
        sums.told(self.scales)
    }

    fn state(&mut self, which: EmitTo) -> Result<Vec<ArrayRef>> {
        let mut groups = self.taken(which);
        let large = groups.iter_mut().map(|slots| {
            let large = std::mem::take(&mut slots.large);
            large.into_iter().map(|(slot, sum)| sum.words(slot)).collect()
        });
        let large: Words<LARGE> = large.collect();
        let cells: Words<CELL> = groups.into_iter().map(|slots| slots.cells).collect();
        Ok(vec![cells.told()?, large.told()?])
    }

    fn convert_to_state(
        &self,
        columns: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let rows = columns.first().map_or(0, |column| column.len());
        let mut each = Self { scales: self.scales, groups: Vec::new() };
        each.update_batch(columns, &Vec::from_iter(0..rows), filter, rows)?;
        each.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        let slots = self.groups.iter().map(Slots::size).sum::<usize>();
        self.groups.capacity() * size_of::<Slots>() + slots
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use arrow::array::Int64Array;

    use super::super::sums::{Running, amounts};
    use super::*;

    type Call = (i64, bool, Option<i128>, Option<i128>);

    /// Of many slots, more than are sorted at once, with amounts that no cell takes and sums that none does.
    fn calls() -> Vec<Call> {
        let calls = 0..200_000_i64;
        let told = calls.map(|n| {
            let unit = if n % 50_000 == 7 { i128::from(i64::MAX) * 9 } else { 3 };
            let cost = (n % 11 > 0).then(|| i128::from(n % 13 - 6) * unit);
            let talked =
                (n % 7 > 0).then(|| if n % 1000 < 3 { i128::from(i64::MAX) } else { n.into() });
            (n * n % 997, n % 5 > 0, talked, cost)
        });
        told.collect()
    }

    fn columns(calls: &[Call]) -> Vec<ArrayRef> {
        let slots = Int64Array::from_iter_values(calls.iter().map(|call| call.0));
        let counts: BooleanArray = calls.iter().map(|call| Some(call.1)).collect();
        let talked = amounts(calls.iter().map(|call| call.2), 6);
        vec![Arc::new(slots), Arc::new(counts), talked, amounts(calls.iter().map(|call| call.3), 9)]
    }

    fn none() -> Groups {
        Groups { scales: [6, 9], groups: Vec::new() }
    }

    /// Each slot by itself, and some of them together.
    fn compared(running: &Running<'_>, calls: &[Call]) {
        let mut own: BTreeMap<i64, Sum> = BTreeMap::new();
        for (slot, counts, talked, cost) in calls {
            let call = Sum {
                rows: 1,
                calls: (*counts).into(),
                talked_seconds: talked.filter(|_| *counts).unwrap_or_default(),
                costs: cost.is_some().into(),
                cost: cost.unwrap_or_default(),
            };
            let held = own.entry(*slot).or_default();
            *held = held.and(call).unwrap();
        }
        for first in 0..1_000_i64 {
            for slots in [1, 2, 400] {
                let within = own.range(first..first + slots).map(|(_, sum)| *sum);
                let within = within.fold(Sum::default(), |sum, next| sum.and(next).unwrap());
                let after = (first + slots).min(1_000);
                let [from, until] = &running.before(&[first, after])[..] else { panic!() };
                assert_eq!(running.between(from, until), within, "{first}, {slots} slots");
            }
        }
    }

    #[test]
    fn sums_of_any_slots_are_exact_however_large_and_in_what_parts() {
        let calls = calls();
        let mut whole = none();
        whole.update_batch(&columns(&calls), &vec![0; calls.len()], None, 1).unwrap();
        assert!(whole.size() < 16_000_000, "{}", whole.size());
        let sums = whole.evaluate(EmitTo::All).unwrap();
        compared(&Running::of(sums.as_struct()).unwrap()[0], &calls);

        // In two parts, which have both groups in another order.
        let mut both = none();
        for (at, part) in calls.chunks(130_000).enumerate() {
            let mut held = none();
            let group_of: Vec<usize> = part.iter().map(|call| usize::from(call.1) ^ at).collect();
            held.update_batch(&columns(part), &group_of, None, 2).unwrap();
            both.merge_batch(&held.state(EmitTo::All).unwrap(), &[at, 1 - at], 2).unwrap();
        }
        let sums = both.evaluate(EmitTo::All).unwrap();
        let running = Running::of(sums.as_struct()).unwrap();
        for (group, counts) in [false, true].into_iter().enumerate() {
            let own = Vec::from_iter(calls.iter().copied().filter(|call| call.1 == counts));
            compared(&running[group], &own);
        }
    }

    #[test]
    fn what_is_no_slot_is_an_error() {
        for slot in [-1, i64::MAX] {
            let told = columns(&[(slot, true, None, None)]);
            let refused = none().update_batch(&told, &[0], None, 1).unwrap_err();
            assert!(refused.to_string().contains("is no slot"), "{refused}");
        }
    }
}
