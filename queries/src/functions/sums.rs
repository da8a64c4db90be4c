//! What calls come to, slot by slot, as [`slot_sums`](super::slot_sums) tells it and [`met`](super::met) reads it. A sum is
//! exact, or it is an error.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array, Int64Array, ListArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{
    ArrowNativeType, DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef, Fields,
};
use datafusion::common::{Result, exec_datafusion_err, internal_err};

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
        sum().ok_or_else(|| exec_datafusion_err!("a sum of calls has too many digits"))
    }

    /// What was added to another, which this one began with.
    pub fn since(self, other: Self) -> Self {
        Self {
            rows: self.rows - other.rows,
            calls: self.calls - other.calls,
            talked_seconds: self.talked_seconds - other.talked_seconds,
            costs: self.costs - other.costs,
            cost: self.cost - other.cost,
        }
    }
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
        ("slot", DataType::Int64),
        ("rows", DataType::Int64),
        ("calls", DataType::Int64),
        ("talked_seconds", amount(talked)),
        ("costs", DataType::Int64),
        ("cost", amount(cost)),
    ]
    .into_iter()
    .map(|(name, of)| Field::new(name, of, true))
    .collect()
}

pub(super) fn item(scales: Scales) -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Struct(fields(scales)), true))
}

/// The scales of such lists.
pub(super) fn scales_of(lists: &DataType) -> Option<Scales> {
    let DataType::List(told) = lists else { return None };
    let DataType::Struct(fields) = told.data_type() else { return None };
    let scale = |name| match fields.find(name)?.1.data_type() {
        DataType::Decimal128(_, scale) => Some(*scale),
        _ => None,
    };
    let scales = [scale("talked_seconds")?, scale("cost")?];
    (*told == item(scales)).then_some(scales)
}

/// The rows of lists.
pub(super) struct Rows<'a> {
    pub slots: &'a Int64Array,
    numbers: [&'a Int64Array; 3],
    amounts: [&'a Decimal128Array; 2],
}

impl<'a> Rows<'a> {
    pub fn of(rows: &'a ArrayRef) -> Result<Self> {
        match rows.as_struct_opt().map(StructArray::columns) {
            Some([slots, rows, calls, talked, costs, cost]) => Ok(Self {
                slots: slots.as_primitive(),
                numbers: [rows, calls, costs].map(|column| column.as_primitive()),
                amounts: [talked, cost].map(|column| column.as_primitive()),
            }),
            _ => internal_err!("sums by slot are lists of these"),
        }
    }

    pub fn sum(&self, at: usize) -> Sum {
        let [rows, calls, costs] = self.numbers.map(|column| column.value(at));
        let [talked_seconds, cost] = self.amounts.map(|column| column.value(at));
        Sum { rows, calls, talked_seconds, costs, cost }
    }
}

/// Sums up to the slots of one list.
pub(super) struct Running {
    /// How many rows are before each slot, and before what is behind the last.
    before: Vec<u32>,
    /// What so many rows come to, from none on. They lie side by side: a span asks for two, anywhere.
    upto: Vec<Sum>,
}

impl Running {
    /// Of a list in the order of slots, as far as these are of a calendar that has so many.
    pub fn of(list: &ArrayRef, slots: usize) -> Result<Self> {
        let rows = Rows::of(list)?;
        let known = rows.slots.values().iter().take_while(|slot| slot.as_usize() < slots);
        let mut before = Vec::with_capacity(slots + 1);
        let mut upto = Vec::with_capacity(rows.slots.len() + 1);
        let mut all = 0;
        upto.push(Sum::default());
        for ((at, slot), row) in known.enumerate().zip(0..) {
            before.resize(before.len().max(slot.as_usize() + 1), row);
            upto.push(rows.sum(at));
            all = row + 1;
        }
        before.resize(slots + 1, all);
        Ok(Self { before, upto })
    }

    /// What calls come to from one slot up to another.
    pub fn within(&self, first: i64, after: i64) -> Sum {
        let [from, until] = [first, after]
            .map(|slot| self.before.get(slot.as_usize()).copied().unwrap_or_default());
        if from >= until {
            return Sum::default();
        }
        let [from, until] =
            [from, until].map(|rows| self.upto.get(rows.as_usize()).copied().unwrap_or_default());
        until.since(from)
    }
}

/// The sums of groups, as a list for each.
#[derive(Default)]
pub(super) struct Lists {
    lengths: Vec<usize>,
    /// So many rows are in lists that have one.
    ended: usize,
    slots: Vec<i64>,
    rows: Vec<i64>,
    calls: Vec<i64>,
    talked_seconds: Vec<i128>,
    costs: Vec<i64>,
    cost: Vec<i128>,
}

impl Lists {
    /// To the list that has no end yet.
    pub fn add(&mut self, slot: u32, sum: Sum) {
        self.slots.push(slot.into());
        self.rows.push(sum.rows);
        self.calls.push(sum.calls);
        self.talked_seconds.push(sum.talked_seconds);
        self.costs.push(sum.costs);
        self.cost.push(sum.cost);
    }

    pub fn end(&mut self) {
        self.lengths.push(self.slots.len() - self.ended);
        self.ended = self.slots.len();
    }

    pub fn told(self, scales: Scales) -> Result<ArrayRef> {
        let number = |numbers: Vec<i64>| -> ArrayRef { Arc::new(Int64Array::from(numbers)) };
        let [talked, cost] = scales;
        let units = |units: Vec<i128>, scale| -> ArrayRef {
            Arc::new(Decimal128Array::from(units).with_data_type(amount(scale)))
        };
        let columns = vec![
            number(self.slots),
            number(self.rows),
            number(self.calls),
            units(self.talked_seconds, talked),
            number(self.costs),
            units(self.cost, cost),
        ];
        let offsets = OffsetBuffer::from_lengths(self.lengths);
        let rows = StructArray::try_new(fields(scales), columns, None)?;
        Ok(Arc::new(ListArray::try_new(item(scales), offsets, Arc::new(rows), None)?))
    }
}
