//! Lists of rows that are as many numbers each, as a column of Arrow.
//!
//! A list is handed over as it lies in memory, however long it is, and all of a row that is looked for anywhere is in one
//! place.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{ArrowNativeType, DataType, Field, Int64Type};
use datafusion::common::{Result, internal_datafusion_err};

pub(super) fn words() -> DataType {
    DataType::new_list(DataType::Int64, true)
}

/// Such lists, in the making.
#[derive(Debug, Default)]
pub(super) struct Words<const N: usize> {
    rows: Vec<[i64; N]>,
    lengths: Vec<usize>,
    /// So many rows are in lists that have an end.
    ended: usize,
}

impl<const N: usize> Words<N> {
    /// For so many rows.
    pub fn of(rows: usize) -> Self {
        Self { rows: Vec::with_capacity(rows), ..Self::default() }
    }

    /// To the list that has no end yet.
    pub fn add(&mut self, row: [i64; N]) {
        self.rows.push(row);
    }

    /// The list that has no end yet.
    pub fn open(&self) -> &[[i64; N]] {
        self.rows.get(self.ended..).unwrap_or_default()
    }

    pub fn end(&mut self) {
        self.lengths.push(self.rows.len() - self.ended);
        self.ended = self.rows.len();
    }

    pub fn told(self) -> Result<ArrayRef> {
        let offsets = OffsetBuffer::from_lengths(self.lengths.into_iter().map(|rows| rows * N));
        let numbers = Arc::new(Int64Array::from(self.rows.into_flattened()));
        let item = Arc::new(Field::new_list_field(DataType::Int64, true));
        Ok(Arc::new(ListArray::try_new(item, offsets, numbers, None)?))
    }
}

impl<const N: usize> FromIterator<Vec<[i64; N]>> for Words<N> {
    /// Of whole lists, the first of which, and that may be all, is not copied.
    fn from_iter<I: IntoIterator<Item = Vec<[i64; N]>>>(lists: I) -> Self {
        let mut words = Self::default();
        for list in lists {
            if words.rows.is_empty() {
                words.rows = list;
            } else {
                words.rows.extend(list);
            }
            words.end();
        }
        words
    }
}

/// The rows of each list.
pub(super) fn rows<const N: usize>(lists: &dyn Array) -> Result<Vec<&[[i64; N]]>> {
    let lists = lists.as_list_opt::<i32>();
    let told =
        lists.and_then(|lists| Some((lists, lists.values().as_primitive_opt::<Int64Type>()?)));
    let (lists, numbers) =
        told.ok_or_else(|| internal_datafusion_err!("rows are lists of numbers"))?;
    let list = |[from, until]: &[i32; 2]| {
        let numbers = numbers.values().get(from.as_usize()..until.as_usize());
        numbers.unwrap_or_default().as_chunks().0
    };
    Ok(lists.value_offsets().array_windows().map(list).collect())
}
