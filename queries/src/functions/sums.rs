//! What calls come to, slot by slot, as [`slot_sums`](super::slot_sums) tells it and [`met`](super::met) reads it. A sum is
//! exact, or it is an error.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Int64Array, ListArray, StructArray, UInt32Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{
    ArrowNativeType, DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef, Fields, Int64Type,
    UInt32Type,
};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, exec_err, internal_err};

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

/// What a sum is in a list of numbers.
const WORDS: usize = 7;

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

    fn words(self) -> [i64; WORDS] {
        let [talked, talked_high] = halves(self.talked_seconds);
        let [cost, cost_high] = halves(self.cost);
        [self.rows, self.calls, talked, talked_high, self.costs, cost, cost_high]
    }

    fn of([rows, calls, talked, talked_high, costs, cost, cost_high]: [i64; WORDS]) -> Self {
        let talked_seconds = whole([talked, talked_high]);
        Self { rows, calls, talked_seconds, costs, cost: whole([cost, cost_high]) }
    }
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

/// The digits behind the point of seconds and of costs.
pub(super) type Scales = [i8; 2];

pub(super) fn amount(scale: i8) -> DataType {
    DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale)
}

pub(super) fn amounts(units: impl Iterator<Item = Option<i128>>, scale: i8) -> ArrayRef {
    Arc::new(units.collect::<Decimal128Array>().with_data_type(amount(scale)))
}

fn units(units: Vec<i128>, scale: i8) -> ArrayRef {
    Arc::new(Decimal128Array::from(units).with_data_type(amount(scale)))
}

fn part_fields([talked, cost]: Scales) -> Fields {
    [
        ("slot", DataType::UInt32),
        ("rows", DataType::UInt32),
        ("calls", DataType::UInt32),
        ("talked_seconds", amount(talked)),
        ("costs", DataType::UInt32),
        ("cost", amount(cost)),
    ]
    .into_iter()
    .map(|(name, of)| Field::new(name, of, true))
    .collect()
}

fn part(scales: Scales) -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Struct(part_fields(scales)), true))
}

/// What some of the calls come to in each slot that has any, in the order of slots.
pub(super) fn parts(scales: Scales) -> DataType {
    DataType::List(part(scales))
}

/// Such lists, in the making.
#[derive(Default)]
pub(super) struct Parts {
    lengths: Vec<usize>,
    /// So many rows are in lists that have an end.
    ended: usize,
    slots: Vec<u32>,
    counts: [Vec<u32>; 3],
    amounts: [Vec<i128>; 2],
}

impl Parts {
    /// For so many rows.
    pub fn of(rows: usize) -> Self {
        let (slots, counts) =
            (Vec::with_capacity(rows), [(); 3].map(|()| Vec::with_capacity(rows)));
        let amounts = [(); 2].map(|()| Vec::with_capacity(rows));
        Self { slots, counts, amounts, ..Self::default() }
    }

    /// To the list that has no end yet.
    pub fn add(&mut self, slot: u32, sum: Sum) -> Result<()> {
        self.slots.push(slot);
        for (held, told) in self.counts.iter_mut().zip([sum.rows, sum.calls, sum.costs]) {
            held.push(told.try_into().map_err(|_| too_large())?);
        }
        for (held, told) in self.amounts.iter_mut().zip([sum.talked_seconds, sum.cost]) {
            held.push(told);
        }
        Ok(())
    }

    pub fn end(&mut self) {
        self.lengths.push(self.slots.len() - self.ended);
        self.ended = self.slots.len();
    }

    pub fn told(self, scales: Scales) -> Result<ArrayRef> {
        let [talked, cost] = scales;
        let numbers = |numbers: Vec<u32>| -> ArrayRef { Arc::new(UInt32Array::from(numbers)) };
        let [rows, calls, costs] = self.counts.map(numbers);
        let [talked_seconds, costed] = self.amounts;
        let (talked_seconds, costed) = (units(talked_seconds, talked), units(costed, cost));
        let columns = vec![numbers(self.slots), rows, calls, talked_seconds, costs, costed];
        let offsets = OffsetBuffer::from_lengths(self.lengths);
        let rows = Arc::new(StructArray::try_new(part_fields(scales), columns, None)?);
        Ok(Arc::new(ListArray::try_new(part(scales), offsets, rows, None)?))
    }
}

/// The rows of such lists.
pub(super) struct PartRows<'a> {
    pub slots: &'a UInt32Array,
    counts: [&'a UInt32Array; 3],
    amounts: [&'a Decimal128Array; 2],
}

impl<'a> PartRows<'a> {
    pub fn of(rows: &'a ArrayRef) -> Result<Self> {
        match rows.as_struct_opt().map(StructArray::columns) {
            Some([slots, rows, calls, talked, costs, cost]) => Ok(Self {
                slots: slots.as_primitive(),
                counts: [rows, calls, costs].map(|column| column.as_primitive()),
                amounts: [talked, cost].map(|column| column.as_primitive()),
            }),
            _ => internal_err!("parts of sums by slot are lists of these"),
        }
    }

    pub fn sum(&self, at: usize) -> Sum {
        let [rows, calls, costs] = self.counts.map(|column| column.value(at).into());
        let [talked_seconds, cost] = self.amounts.map(|column| column.value(at));
        Sum { rows, calls, talked_seconds, costs, cost }
    }
}

fn fields([talked, cost]: Scales) -> Fields {
    let list = |name, of| Field::new_list(name, Field::new_list_field(of, true), true);
    [
        list("before", DataType::UInt32),
        list("upto", DataType::Int64),
        Field::new("talked_seconds", amount(talked), true),
        Field::new("cost", amount(cost), true),
    ]
    .into_iter()
    .collect()
}

/// What the calls of a group come to up to each slot: how many rows are before a slot and what so many rows come to,
/// of slots that have any; and what all come to, which has the digits of seconds and costs.
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
    /// They lie side by side: a span asks for two, anywhere.
    upto: Vec<[i64; WORDS]>,
    lengths: [Vec<usize>; 2],
    amounts: [Vec<i128>; 2],
    /// So much of `before` and `upto` is of groups that have an end.
    ended: [usize; 2],
    sum: Sum,
}

impl RunningSums {
    /// For so many rows of so many groups.
    pub fn of(rows: usize, groups: usize) -> Self {
        Self { upto: Vec::with_capacity(rows + groups), ..Self::default() }
    }

    /// To the group that has no end yet: one row of a slot, in the order of slots.
    pub fn add(&mut self, slot: u32, sum: Sum) -> Result<()> {
        let [before, upto] = self.ended;
        if self.upto.len() == upto {
            self.upto.push(Sum::default().words());
        }
        let row = u32::try_from(self.upto.len() - upto - 1).map_err(|_| too_large())?;
        self.before.resize(self.before.len().max(before + slot.as_usize() + 1), row);
        self.sum = self.sum.and(sum)?;
        self.upto.push(self.sum.words());
        Ok(())
    }

    pub fn end(&mut self) {
        let now = [self.before.len(), self.upto.len()];
        for ((lengths, now), ended) in self.lengths.iter_mut().zip(now).zip(self.ended) {
            lengths.push(now - ended);
        }
        let Sum { talked_seconds, cost, .. } = std::mem::take(&mut self.sum);
        for (held, told) in self.amounts.iter_mut().zip([talked_seconds, cost]) {
            held.push(told);
        }
        self.ended = now;
    }

    pub fn told(self, scales: Scales) -> Result<ArrayRef> {
        let list = |values: ArrayRef, lengths: Vec<usize>| -> Result<ArrayRef> {
            let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
            let offsets = OffsetBuffer::from_lengths(lengths);
            Ok(Arc::new(ListArray::try_new(item, offsets, values, None)?))
        };
        let [before, upto] = self.lengths;
        let [talked_seconds, costs] = self.amounts;
        let [talked, cost] = scales;
        let columns = vec![
            list(Arc::new(UInt32Array::from(self.before)), before)?,
            list(
                Arc::new(Int64Array::from(self.upto.into_flattened())),
                upto.into_iter().map(|rows| rows * WORDS).collect(),
            )?,
            units(talked_seconds, talked),
            units(costs, cost),
        ];
        Ok(Arc::new(StructArray::try_new(fields(scales), columns, None)?))
    }
}

/// Those of one group, where spans are looked for.
pub(super) struct Running<'a> {
    before: &'a [u32],
    upto: &'a [[i64; WORDS]],
}

impl<'a> Running<'a> {
    /// Those of each group.
    pub fn of(sums: &'a StructArray) -> Result<Vec<Self>> {
        let list = |name| sums.column_by_name(name).and_then(|list| list.as_list_opt::<i32>());
        let (Some(before), Some(upto)) = (list("before"), list("upto")) else {
            return exec_err!("sums by slot are lists");
        };
        let rows = before.values().as_primitive::<UInt32Type>().values();
        let numbers = upto.values().as_primitive::<Int64Type>().values();
        let told = before.value_offsets().array_windows().zip(upto.value_offsets().array_windows());
        let told = told.map(|([from, until], [first, after])| {
            let before = rows.get(from.as_usize()..until.as_usize()).unwrap_or_default();
            let upto = numbers.get(first.as_usize()..after.as_usize()).unwrap_or_default();
            Self { before, upto: upto.as_chunks().0 }
        });
        Ok(told.collect())
    }

    /// How many rows are before each slot.
    pub fn before(&self, slots: &[i64]) -> Vec<usize> {
        let all = self.upto.len().saturating_sub(1);
        let before = |slot: &i64| self.before.get(slot.as_usize());
        slots.iter().map(|slot| before(slot).map_or(all, |rows| rows.as_usize())).collect()
    }

    /// What the rows behind so many come to, up to so many.
    pub fn between(&self, from: usize, until: usize) -> Sum {
        if from >= until {
            return Sum::default();
        }
        let [from, until] = [from, until].map(|rows| self.upto.get(rows).copied());
        from.zip(until).map(|(from, until)| Sum::of(until).since(Sum::of(from))).unwrap_or_default()
    }
}
