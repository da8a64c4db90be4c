//! Aggregates that keep sorted pairs of numbers for each group, and join those that belong together: what
//! [`time_spans`](super::time_spans) and [`nearest_rank`](super::nearest_rank) have in common.
//!
//! Memory follows the pairs that are left once they are joined, not the rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{ArrowNativeType, DataType, Field, FieldRef, Fields, Int64Type};
use datafusion::common::{Result, ScalarValue, internal_datafusion_err, internal_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

pub type Pair = (i64, i64);

/// What an aggregate makes of its rows.
pub trait Rule: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// Hands over the pair of each row, with the row's place, that tells one. A batch of them is not held: millions
    /// of rows come by here, and to write their pairs down takes longer than to count them.
    fn each_pair(
        &self,
        columns: &[ArrayRef],
        take: impl FnMut(usize, Pair) -> Result<()>,
    ) -> Result<()>;

    /// Takes the next pair, in the order of their first numbers, into the one before it, or says that it is
    /// another.
    fn joins(held: &mut Pair, next: Pair) -> bool;

    /// The answers of these groups, whose pairs are sorted and joined.
    fn answers(&self, groups: &[Vec<Pair>]) -> Result<ArrayRef>;
}

/// How a partial aggregate tells its pairs.
pub fn state_field(name: &str) -> FieldRef {
    Arc::new(Field::new(name, DataType::List(item()), true))
}

fn fields() -> Fields {
    ["first", "second"].into_iter().map(|name| Field::new(name, DataType::Int64, true)).collect()
}

fn item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Struct(fields()), true))
}

/// Pairs of a group, of which the first `joined` are sorted and joined.
#[derive(Clone, Debug, Default)]
struct Pairs {
    pairs: Vec<Pair>,
    joined: usize,
}

impl Pairs {
    fn joined(pairs: Vec<Pair>) -> Self {
        Self { joined: pairs.len(), pairs }
    }

    fn add<R: Rule>(&mut self, pair: Pair) {
        self.pairs.push(pair);
        if self.pairs.len() > 2 * self.joined + 256 {
            self.join::<R>();
        }
    }

    fn join<R: Rule>(&mut self) {
        self.pairs.sort_unstable_by_key(|pair| pair.0);
        self.pairs.dedup_by(|next, held| R::joins(held, *next));
        self.joined = self.pairs.len();
    }
}

/// Where rows are in groups.
#[derive(Debug)]
pub struct Groups<R> {
    rule: R,
    groups: Vec<Pairs>,
}

fn of(groups: &mut [Pairs], group: usize) -> Result<&mut Pairs> {
    groups.get_mut(group).ok_or_else(|| internal_datafusion_err!("there is no group {group}"))
}

impl<R: Rule> Groups<R> {
    pub fn new(rule: R) -> Self {
        Self { rule, groups: Vec::new() }
    }

    fn taken(&mut self, which: EmitTo) -> Vec<Vec<Pair>> {
        let mut groups = which.take_needed(&mut self.groups);
        groups.iter_mut().for_each(Pairs::join::<R>);
        groups.into_iter().map(|group| group.pairs).collect()
    }
}

impl<R: Rule> GroupsAccumulator for Groups<R> {
    fn update_batch(
        &mut self,
        columns: &[ArrayRef],
        group_of: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        self.groups.resize(groups, Pairs::default());
        let held = &mut self.groups;
        self.rule.each_pair(columns, |row, pair| {
            let counts = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if let (true, Some(group)) = (counts, group_of.get(row)) {
                of(held, *group)?.add::<R>(pair);
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
            return internal_err!("partial aggregates are lists of pairs");
        };
        self.groups.resize(groups, Pairs::default());
        let pairs = lists.values().as_struct();
        let first = pairs.column(0).as_primitive::<Int64Type>();
        let second = pairs.column(1).as_primitive::<Int64Type>();
        for (group, bounds) in group_of.iter().zip(lists.value_offsets().windows(2)) {
            let [from, until] = bounds else { continue };
            let group = of(&mut self.groups, *group)?;
            for at in from.as_usize()..until.as_usize() {
                group.add::<R>((first.value(at), second.value(at)));
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
        let (first, second): (Vec<i64>, Vec<i64>) = groups.into_iter().flatten().unzip();
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::from(first)), Arc::new(Int64Array::from(second))];
        let pairs = StructArray::try_new(fields(), columns, None)?;
        Ok(vec![Arc::new(ListArray::try_new(item(), offsets, Arc::new(pairs), None)?)])
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
        let pairs = self.groups.iter().map(|group| group.pairs.capacity()).sum::<usize>();
        self.groups.capacity() * size_of::<Pairs>() + pairs * size_of::<Pair>()
    }
}

/// Where all rows are one group.
#[derive(Debug)]
pub struct Whole<R>(Groups<R>);

impl<R: Rule> Whole<R> {
    pub fn new(rule: R) -> Self {
        Self(Groups { rule, groups: vec![Pairs::default()] })
    }
}

fn first_group(columns: &[ArrayRef]) -> Vec<usize> {
    vec![0; columns.first().map_or(0, |column| column.len())]
}

impl<R: Rule> Accumulator for Whole<R> {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(columns, &first_group(columns), None, 1)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states, &first_group(states), 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let groups = self.0.taken(EmitTo::All);
        let answer = self.0.rule.answers(&groups)?;
        // Over a window there is a next row.
        self.0.groups = groups.into_iter().map(Pairs::joined).collect();
        ScalarValue::try_from_array(&answer, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let state = self.0.state(EmitTo::All)?;
        state.iter().map(|column| ScalarValue::try_from_array(column, 0)).collect()
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}
