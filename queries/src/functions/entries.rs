//! Aggregates that keep sorted entries of a few numbers for each group, and join those that belong together: what
//! [`person_spans`](super::person_spans) and [`nearest_rank`](super::nearest_rank) have in common.
//!
//! Memory follows the entries that are left once they are joined, not the rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{ArrowNativeType, DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, ScalarValue, internal_datafusion_err, internal_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

pub type Entry<const N: usize> = [i64; N];

/// What an aggregate makes of its rows.
pub trait Rule<const N: usize>: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// What is held of a group.
    type Held: Held<N>;

    /// Hands over the entries that each row tells, with the row's place. A batch of them is not held: millions
    /// of rows come by here, and to write their entries down takes longer than to count them.
    fn each_entry(
        &self,
        columns: &[ArrayRef],
        take: impl FnMut(usize, Entry<N>) -> Result<()>,
    ) -> Result<()>;

    /// The answers of these groups, whose entries are sorted and joined.
    fn answers(&self, groups: &[Vec<Entry<N>>]) -> Result<ArrayRef>;
}

/// The entries of one group.
pub trait Held<const N: usize>: Clone + Default + std::fmt::Debug + Send + Sync + 'static {
    fn add(&mut self, entry: Entry<N>);

    /// All of them, sorted and joined.
    fn joined(self) -> Vec<Entry<N>>;

    /// Bytes that they take, beside itself.
    fn size(&self) -> usize;
}

/// How a partial aggregate tells its entries.
pub fn state_field<const N: usize>(name: &str) -> FieldRef {
    Arc::new(Field::new(name, DataType::List(item(N)), true))
}

fn fields(numbers: usize) -> Fields {
    (0..numbers).map(|at| Field::new(format!("number_{at}"), DataType::Int64, true)).collect()
}

fn item(numbers: usize) -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Struct(fields(numbers)), true))
}

/// Entries that are written down as they come, and sorted and joined once they are many; `joined` were left of them the
/// last time.
///
/// `joins` takes an entry into another one, whichever comes first in their order, or says that the two stay apart.
#[derive(Clone, Debug)]
pub struct Listed<const N: usize> {
    entries: Vec<Entry<N>>,
    joined: usize,
}

impl<const N: usize> Default for Listed<N> {
    fn default() -> Self {
        Self { entries: Vec::new(), joined: 0 }
    }
}

impl<const N: usize> Listed<N> {
    pub fn add(&mut self, entry: Entry<N>, joins: fn(&mut Entry<N>, Entry<N>) -> bool) {
        // What comes one after the other often belongs together.
        if self.entries.last_mut().is_some_and(|last| joins(last, entry)) {
            return;
        }
        self.entries.push(entry);
        if self.entries.len() > 2 * self.joined + 256 {
            self.join(joins);
        }
    }

    fn join(&mut self, joins: fn(&mut Entry<N>, Entry<N>) -> bool) {
        // A stable sort makes use of what is sorted already.
        self.entries.sort();
        self.entries.dedup_by(|next, held| joins(held, *next));
        self.joined = self.entries.len();
    }

    pub fn joined(mut self, joins: fn(&mut Entry<N>, Entry<N>) -> bool) -> Vec<Entry<N>> {
        self.join(joins);
        self.entries
    }

    pub fn size(&self) -> usize {
        self.entries.capacity() * size_of::<Entry<N>>()
    }
}

/// Where rows are in groups.
#[derive(Debug)]
pub struct Groups<R: Rule<N>, const N: usize> {
    rule: R,
    groups: Vec<R::Held>,
}

impl<R: Rule<N>, const N: usize> Groups<R, N> {
    pub fn new(rule: R) -> Self {
        Self { rule, groups: Vec::new() }
    }

    fn have(&mut self, groups: usize) {
        self.groups.resize_with(groups, R::Held::default);
    }

    fn taken(&mut self, which: EmitTo) -> Vec<Vec<Entry<N>>> {
        which.take_needed(&mut self.groups).into_iter().map(R::Held::joined).collect()
    }
}

fn of<T>(groups: &mut [T], group: usize) -> Result<&mut T> {
    groups.get_mut(group).ok_or_else(|| internal_datafusion_err!("there is no group {group}"))
}

impl<R: Rule<N>, const N: usize> GroupsAccumulator for Groups<R, N> {
    fn update_batch(
        &mut self,
        columns: &[ArrayRef],
        group_of: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        self.have(groups);
        let held = &mut self.groups;
        self.rule.each_entry(columns, |row, entry| {
            let counts = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if let (true, Some(group)) = (counts, group_of.get(row)) {
                of(held, *group)?.add(entry);
            }
            Ok(())
        })
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        group_of: &[usize],
        groups: usize,
    ) -> Result<()> {
        let Some(lists) = states.first().and_then(|states| states.as_list_opt::<i32>()) else {
            return internal_err!("partial aggregates are lists of entries");
        };
        self.have(groups);
        let columns = lists.values().as_struct().columns();
        let numbers: Vec<&Int64Array> =
            columns.iter().map(|column| column.as_primitive()).collect();
        let Ok(numbers) = <[&Int64Array; N]>::try_from(numbers) else {
            return internal_err!("an entry has {N} numbers");
        };
        for (group, bounds) in group_of.iter().zip(lists.value_offsets().windows(2)) {
            let [from, until] = bounds else { continue };
            let group = of(&mut self.groups, *group)?;
            for at in from.as_usize()..until.as_usize() {
                group.add(numbers.map(|number| number.value(at)));
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, which: EmitTo) -> Result<ArrayRef> {
        let groups = self.taken(which);
        self.rule.answers(&groups)
    }

    fn state(&mut self, which: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = self.taken(which);
        let offsets = OffsetBuffer::from_lengths(groups.iter().map(Vec::len));
        let entries = StructArray::try_new(fields(N), columns(&groups), None)?;
        Ok(vec![Arc::new(ListArray::try_new(item(N), offsets, Arc::new(entries), None)?)])
    }

    fn convert_to_state(
        &self,
        columns: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let rows = columns.first().map_or(0, |column| column.len());
        let mut each = Self::new(self.rule.clone());
        each.update_batch(columns, &Vec::from_iter(0..rows), filter, rows)?;
        each.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        let held = self.groups.iter().map(R::Held::size).sum::<usize>();
        self.groups.capacity() * size_of::<R::Held>() + held
    }
}

/// The numbers of all entries, column by column.
fn columns<const N: usize>(groups: &[Vec<Entry<N>>]) -> Vec<ArrayRef> {
    let column = |at: usize| -> ArrayRef {
        let numbers = groups.iter().flatten().filter_map(|entry| entry.get(at).copied());
        Arc::new(Int64Array::from_iter_values(numbers))
    };
    (0..N).map(column).collect()
}

/// Where all rows are one group.
#[derive(Debug)]
pub struct Whole<R: Rule<N>, const N: usize>(Groups<R, N>);

impl<R: Rule<N>, const N: usize> Whole<R, N> {
    pub fn new(rule: R) -> Self {
        Self(Groups { rule, groups: vec![R::Held::default()] })
    }
}

fn first_group(columns: &[ArrayRef]) -> Vec<usize> {
    vec![0; columns.first().map_or(0, |column| column.len())]
}

impl<R: Rule<N>, const N: usize> Accumulator for Whole<R, N> {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(columns, &first_group(columns), None, 1)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states, &first_group(states), 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        // Over a window there is a next row.
        let held = self.0.groups.clone();
        let groups = self.0.taken(EmitTo::All);
        self.0.groups = held;
        ScalarValue::try_from_array(&self.0.rule.answers(&groups)?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let state = self.0.state(EmitTo::All)?;
        state.iter().map(|column| ScalarValue::try_from_array(column, 0)).collect()
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}
