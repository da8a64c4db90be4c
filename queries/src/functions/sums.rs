//! What calls come to, slot by slot, as [`slot_sums`](super::slot_sums) tells it and [`met`](super::met) reads it. A sum is
//! exact, or it is an error.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array, ListArray, StructArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{
    ArrowNativeType, DECIMAL128_MAX_PRECISION, DataType, Field, Fields, UInt32Type,
};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, exec_err};

use super::words::{Words, rows, words};

/// What calls come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// All of them, whether they count or not.
    pub rows: i64,
    pub calls: i64,
    /// In units of the last digit, as costs are.
    pub talked_seconds: i128,
    /// How many cost something or nothing, and not what nobody knows.
    pub costs: i64,
    pub cost: i128,
}

/// A slot and a sum in a list of numbers.
pub(super) const LARGE: usize = 8;

impl Sum {
    pub fn and(self, other: Self) -> Result<Self> {
        let sum = || {
            Some(Self {
                rows: self.rows.checked_add(other.rows)?,
                calls: self.calls.checked_add(other.calls)?,
                talked_seconds: self.talked_seconds.checked_add(other.talked_seconds)?,
                costs: self.costs.checked_add(other.costs)?,
                cost: self.cost.checked_add(other.cost)?,
            })
        };
        sum().ok_or_else(too_large)
    }

    /// What was added to another, which this one began with.
    fn since(self, other: Self) -> Self {
        Self {
            rows: self.rows - other.rows,
            calls: self.calls - other.calls,
            talked_seconds: self.talked_seconds - other.talked_seconds,
            costs: self.costs - other.costs,
            cost: self.cost - other.cost,
        }
    }

    pub fn words(self, slot: u32) -> [i64; LARGE] {
        let ([talked, talked_high], [cost, cost_high]) =
            (halves(self.talked_seconds), halves(self.cost));
        [slot.into(), self.rows, self.calls, talked, talked_high, self.costs, cost, cost_high]
    }

    pub fn of(
        [slot, rows, calls, talked, talked_high, costs, cost, cost_high]: [i64; LARGE],
    ) -> (u32, Self) {
        let talked_seconds = whole([talked, talked_high]);
        (lower(slot), Self { rows, calls, talked_seconds, costs, cost: whole([cost, cost_high]) })
    }
}

/// A slot and its sum, as far as the numbers are of usual size: there are millions of these.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cell {
    pub slot: u32,
    rows: u32,
    calls: u32,
    costs: u32,
    talked_seconds: i64,
    cost: i64,
}

/// A cell in a list of numbers: no more than a line of the cache has, wherever it is.
pub(super) const CELL: usize = 4;

impl Cell {
    pub fn of(slot: u32, sum: &Sum) -> Option<Self> {
        let [rows, calls, costs] = counts(sum)?;
        let talked_seconds = sum.talked_seconds.try_into().ok()?;
        Some(Self { slot, rows, calls, costs, talked_seconds, cost: sum.cost.try_into().ok()? })
    }

    pub fn and(self, other: Self) -> Option<Self> {
        Some(Self {
            slot: self.slot,
            rows: self.rows.checked_add(other.rows)?,
            calls: self.calls.checked_add(other.calls)?,
            costs: self.costs.checked_add(other.costs)?,
            talked_seconds: self.talked_seconds.checked_add(other.talked_seconds)?,
            cost: self.cost.checked_add(other.cost)?,
        })
    }

    pub fn sum(self) -> Sum {
        Sum {
            rows: self.rows.into(),
            calls: self.calls.into(),
            talked_seconds: self.talked_seconds.into(),
            costs: self.costs.into(),
            cost: self.cost.into(),
        }
    }

    pub fn words(self) -> [i64; CELL] {
        let both = |low: u32, high: u32| (i64::from(high) << 32) | i64::from(low);
        let Self { slot, rows, calls, costs, talked_seconds, cost } = self;
        [both(slot, rows), both(calls, costs), talked_seconds, cost]
    }

    pub fn told([slot, calls, talked_seconds, cost]: [i64; CELL]) -> Self {
        let [rows, costs] = [slot, calls].map(|both| lower(both >> 32));
        Self { slot: lower(slot), rows, calls: lower(calls), costs, talked_seconds, cost }
    }
}

fn counts(sum: &Sum) -> Option<[u32; 3]> {
    let [rows, calls, costs] = [sum.rows, sum.calls, sum.costs].map(|count| count.try_into().ok());
    Some([rows?, calls?, costs?])
}

fn lower(both: i64) -> u32 {
    (both & i64::from(u32::MAX)).try_into().unwrap_or_default()
}

fn too_large() -> DataFusionError {
    exec_datafusion_err!("a sum of calls has too many digits")
}

/// The lower half of a number, and the upper one.
fn halves(number: i128) -> [i64; 2] {
    let bytes = number.to_le_bytes();
    let [low, high] = [0, 1].map(|half| bytes.as_chunks().0.get(half).copied());
    [low, high].map(|half| half.map(i64::from_le_bytes).unwrap_or_default())
}

fn whole([low, high]: [i64; 2]) -> i128 {
    (i128::from(high) << 64) | i128::from(low.cast_unsigned())
}

/// The upper half of a number that is no larger than its lower one.
fn sign(low: i64) -> i64 {
    low >> 63
}

/// The digits behind the point of seconds and of costs.
pub(super) type Scales = [i8; 2];

pub(super) fn amount(scale: i8) -> DataType {
    DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale)
}

pub(super) fn amounts(units: impl Iterator<Item = Option<i128>>, scale: i8) -> ArrayRef {
    Arc::new(units.collect::<Decimal128Array>().with_data_type(amount(scale)))
}

fn fields([talked, cost]: Scales) -> Fields {
    [
        Field::new_list("before", Field::new_list_field(DataType::UInt32, true), true),
        Field::new("upto", words(), true),
        Field::new("high", words(), true),
        Field::new("talked_seconds", amount(talked), true),
        Field::new("cost", amount(cost), true),
    ]
    .into_iter()
    .collect()
}

/// What the calls of a group come to up to each slot: how many rows are before a slot and what so many rows come to,
/// of slots that have any, as a cell; the upper halves of these numbers, if any is larger than its lower one; and what all
/// come to, which has the digits of seconds and costs.
pub(super) fn running(scales: Scales) -> DataType {
    DataType::Struct(fields(scales))
}

/// The scales of such sums.
pub(super) fn scales_of(sums: &DataType) -> Option<Scales> {
    let DataType::Struct(told) = sums else { return None };
    let scale = |name| match told.find(name)?.1.data_type() {
        DataType::Decimal128(_, scale) => Some(*scale),
        _ => None,
    };
    let scales = [scale("talked_seconds")?, scale("cost")?];
    (*sums == running(scales)).then_some(scales)
}

/// Such sums, in the making.
#[derive(Default)]
pub(super) struct RunningSums {
    before: Vec<u32>,
    lengths: Vec<usize>,
    /// So much of `before` is of groups that have an end.
    ended: usize,
    upto: Words<CELL>,
    high: Words<2>,
    amounts: [Vec<i128>; 2],
    sum: Sum,
}

impl RunningSums {
    /// For so many rows of so many groups.
    pub fn of(rows: usize, groups: usize) -> Self {
        Self { upto: Words::of(rows + groups), ..Self::default() }
    }

    /// To the group that has no end yet: one row of a slot, in the order of slots.
    pub fn add(&mut self, slot: u32, sum: Sum) -> Result<()> {
        if self.upto.open().is_empty() {
            self.upto.add(Cell::default().words());
        }
        let row = u32::try_from(self.upto.open().len() - 1).map_err(|_| too_large())?;
        self.before.resize(self.before.len().max(self.ended + slot.as_usize() + 1), row);
        self.sum = self.sum.and(sum)?;
        let [rows, calls, costs] = counts(&self.sum).ok_or_else(too_large)?;
        let [[talked_seconds, talked], [cost, costed]] =
            [self.sum.talked_seconds, self.sum.cost].map(halves);
        let high = [talked, costed];
        if !self.high.open().is_empty() || high != [talked_seconds, cost].map(sign) {
            for cell in self.upto.open().iter().skip(self.high.open().len()) {
                let Cell { talked_seconds, cost, .. } = Cell::told(*cell);
                self.high.add([talked_seconds, cost].map(sign));
            }
            self.high.add(high);
        }
        self.upto.add(Cell { slot, rows, calls, costs, talked_seconds, cost }.words());
        Ok(())
    }

    pub fn end(&mut self) {
        self.lengths.push(self.before.len() - self.ended);
        self.ended = self.before.len();
        self.upto.end();
        self.high.end();
        let Sum { talked_seconds, cost, .. } = std::mem::take(&mut self.sum);
        for (held, told) in self.amounts.iter_mut().zip([talked_seconds, cost]) {
            held.push(told);
        }
    }

    pub fn told(self, scales: Scales) -> Result<ArrayRef> {
        let item = Arc::new(Field::new_list_field(DataType::UInt32, true));
        let offsets = OffsetBuffer::from_lengths(self.lengths);
        let before = Arc::new(UInt32Array::from(self.before));
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(ListArray::try_new(item, offsets, before, None)?),
            self.upto.told()?,
            self.high.told()?,
        ];
        for (units, scale) in self.amounts.into_iter().zip(scales) {
            columns.push(amounts(units.into_iter().map(Some), scale));
        }
        Ok(Arc::new(StructArray::try_new(fields(scales), columns, None)?))
    }
}

/// Those of one group, where spans are looked for.
pub(super) struct Running<'a> {
    before: &'a [u32],
    upto: &'a [[i64; CELL]],
    high: &'a [[i64; 2]],
}

impl<'a> Running<'a> {
    /// Those of each group.
    pub fn of(sums: &'a StructArray) -> Result<Vec<Self>> {
        let [before, upto, high, ..] = sums.columns() else {
            return exec_err!("sums by slot are lists");
        };
        let Some(before) = before.as_list_opt::<i32>() else {
            return exec_err!("sums by slot are lists");
        };
        let all = before.values().as_primitive::<UInt32Type>().values();
        let before = before
            .value_offsets()
            .array_windows()
            .map(|[from, until]| all.get(from.as_usize()..until.as_usize()).unwrap_or_default());
        let told = before.zip(rows(upto)?).zip(rows(high)?);
        Ok(told.map(|((before, upto), high)| Self { before, upto, high }).collect())
    }

    /// What is before each slot.
    pub fn before(&self, slots: &[i64]) -> Vec<Before> {
        let all = self.upto.len().saturating_sub(1);
        let rows =
            |slot: &i64| self.before.get(slot.as_usize()).map_or(all, |rows| rows.as_usize());
        let rows: Vec<usize> = slots.iter().map(rows).collect();
        let cell = |rows: usize| self.upto.get(rows).copied().unwrap_or_default();
        rows.into_iter().map(|rows| Before { rows, cell: cell(rows) }).collect()
    }

    /// What the slots from one on come to, before another.
    pub fn between(&self, from: &Before, until: &Before) -> Sum {
        // There is nothing where the first comes later.
        if from.rows >= until.rows {
            return Sum::default();
        }
        self.sum(until).since(self.sum(from))
    }

    fn sum(&self, before: &Before) -> Sum {
        let cell = Cell::told(before.cell);
        let Some([talked, costed]) = self.high.get(before.rows) else { return cell.sum() };
        let talked_seconds = whole([cell.talked_seconds, *talked]);
        Sum { talked_seconds, cost: whole([cell.cost, *costed]), ..cell.sum() }
    }
}

/// What is before a slot: so many rows, and what they come to.
pub(super) struct Before {
    rows: usize,
    cell: [i64; CELL],
}
