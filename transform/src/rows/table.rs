//! The rows of one table, and the writer of one row.

use std::collections::HashMap as StdHashMap;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use hashbrown::HashMap;

use super::column::{ColumnRows, Fit};
use super::extra::Extra;
use crate::batch::{EventCounts, TableBatch};
use crate::columns::Kind;
use crate::event::Micros;
use crate::json::Value;
use crate::tables::{EXTRA, TableSpec};

/// Key of the Arrow field metadata that holds the product's label of a field.
pub const LABEL_KEY: &str = "ringlake.label";

/// At most this many columns; fields beyond it stay in `extra`.
pub const COLUMN_BUDGET: usize = 4_000;

/// Rows of one table since the last [`TableRows::finish`].
#[derive(Debug)]
pub struct TableRows {
    spec: &'static TableSpec,
    columns: Vec<ColumnRows>,
    index: HashMap<Box<str>, usize>,
    /// The column that followed each column last time: vendors keep their order of keys, so a
    /// guess is one comparison where a look-up would be a hash.
    follower: Vec<usize>,
    last: usize,
    rows: usize,
    extra: Extra,
}

impl TableRows {
    /// Declared columns, then those that the table has grown (`known`, the table's Arrow schema).
    pub fn new(spec: &'static TableSpec, known: Option<&SchemaRef>) -> Self {
        let mut table = Self {
            spec,
            columns: Vec::new(),
            index: HashMap::new(),
            follower: Vec::new(),
            last: 0,
            rows: 0,
            extra: Extra::default(),
        };
        for column in spec.declared() {
            table.add(column.name, column.kind, true);
        }
        for field in known.iter().flat_map(|schema| schema.fields()) {
            let kind = Kind::of(field.data_type());
            if let (false, Some(kind)) = (table.index.contains_key(field.name().as_str()), kind) {
                table.add(field.name(), kind, false);
            }
        }
        table
    }

    fn add(&mut self, name: &str, kind: Kind, declared: bool) -> usize {
        let at = self.columns.len();
        self.columns.push(ColumnRows::new(name, kind, declared));
        self.index.insert(name.into(), at);
        self.follower.push(at + 1);
        at
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether the table has a column of this name, and its kind.
    pub fn kind_of(&self, name: &str) -> Option<Kind> {
        let at = *self.index.get(name)?;
        self.columns.get(at).map(|column| column.kind)
    }

    /// Starts a row; it is complete when the writer is dropped.
    pub fn row<'r>(&'r mut self, counts: &'r mut EventCounts) -> RowWriter<'r> {
        self.last = 0;
        RowWriter { table: self, counts }
    }

    fn find(&mut self, name: &str) -> Option<usize> {
        let guess = self.follower.get(self.last).copied().unwrap_or(0);
        let found = match self.columns.get(guess) {
            Some(column) if &*column.name == name => guess,
            _ => *self.index.get(name)?,
        };
        if let Some(follower) = self.follower.get_mut(self.last) {
            *follower = found;
        }
        self.last = found;
        Some(found)
    }

    /// The rows, if there are any; the table starts anew and keeps its columns.
    pub fn finish(&mut self) -> Option<TableBatch> {
        if self.rows == 0 {
            return None;
        }
        let rows = std::mem::take(&mut self.rows);
        let mut fields: Vec<Field> = Vec::with_capacity(self.columns.len());
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for column in &mut self.columns {
            if !column.is_written() {
                column.skip();
                continue;
            }
            let field = Field::new(&*column.name, column.kind.data_type(), true);
            fields.push(match &column.label {
                Some(label) => field
                    .with_metadata(StdHashMap::from([(LABEL_KEY.to_owned(), label.to_string())])),
                None => field,
            });
            arrays.push(column.finish(rows));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::new(Schema::new(fields));
        let rows = RecordBatch::try_new_with_options(schema, arrays, &options);
        // Each array is made by its field's own type and padded to `rows`: they cannot disagree.
        rows.ok().map(|rows| TableBatch { table: self.spec, rows })
    }
}

/// Writes one row by naming its columns.
#[derive(Debug)]
pub struct RowWriter<'r> {
    table: &'r mut TableRows,
    counts: &'r mut EventCounts,
}

impl RowWriter<'_> {
    fn with(&mut self, name: &str, f: impl FnOnce(&mut ColumnRows, usize) -> Fit) -> Fit {
        let row = self.table.rows;
        let found = self.table.find(name);
        let fit = match found.and_then(|at| self.table.columns.get_mut(at)) {
            Some(column) => f(column, row),
            None => Fit::Misfit,
        };
        debug_assert!(found.is_some(), "{} has no column {name}", self.table.spec.name);
        fit
    }

    pub fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.with(name, |column, row| column.text(row, value));
        self
    }

    pub fn some_text(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.text(name, value);
        }
        self
    }

    pub fn int(&mut self, name: &str, value: i64) -> &mut Self {
        self.with(name, |column, row| column.int(row, value));
        self
    }

    pub fn bool(&mut self, name: &str, value: bool) -> &mut Self {
        self.with(name, |column, row| column.bool(row, value));
        self
    }

    pub fn time(&mut self, name: &str, value: Micros) -> &mut Self {
        self.with(name, |column, row| column.time(row, value));
        self
    }

    pub fn some_time(&mut self, name: &str, value: Option<Micros>) -> &mut Self {
        if let Some(value) = value {
            self.time(name, value);
        }
        self
    }

    pub fn binary(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.with(name, |column, row| column.binary(row, value));
        self
    }

    /// A vendor's value into the column `name`; one that does not fit goes to `extra` under `key`.
    pub fn put(&mut self, name: &str, key: &str, value: Value<'_>) -> &mut Self {
        match self.with(name, |column, row| column.value(row, value)) {
            Fit::Held => {}
            Fit::Misfit => self.misfit(key, value),
            Fit::Taken => self.duplicate(key, value),
        }
        self
    }

    /// A number times `factor` into the decimal column `name`; one that does not fit goes to `extra`.
    pub fn put_scaled(&mut self, name: &str, key: &str, value: Value<'_>, factor: i128) {
        if !self.try_scaled(name, value, factor) {
            self.misfit(key, value);
        }
    }

    /// As [`RowWriter::put_scaled`], for a value that is kept elsewhere already: false if it did not
    /// fit.
    pub fn try_scaled(&mut self, name: &str, value: Value<'_>, factor: i128) -> bool {
        value.is_null()
            || self.with(name, |column, row| column.scaled(row, value, factor)) == Fit::Held
    }

    /// As [`RowWriter::put`], for a field that may have no column yet: one of `kind` is added.
    pub fn grow(&mut self, name: &str, kind: Kind, label: Option<&str>, value: Value<'_>) {
        let at = match self.table.find(name) {
            Some(at) => at,
            None if self.table.columns.len() < COLUMN_BUDGET => self.table.add(name, kind, false),
            None => return self.extra(name, value),
        };
        let row = self.table.rows;
        let Some(column) = self.table.columns.get_mut(at) else { return };
        if let (Some(label), None) = (label, &column.label) {
            column.label = Some(label.into());
        }
        match column.value(row, value) {
            Fit::Held => {}
            Fit::Misfit => self.misfit(name, value),
            Fit::Taken => self.duplicate(name, value),
        }
    }

    /// A key that stood twice: the last one has the column, the others are kept beside it.
    fn duplicate(&mut self, key: &str, value: Value<'_>) {
        self.counts.duplicate_keys += 1;
        self.extra(key, value);
    }

    fn misfit(&mut self, key: &str, value: Value<'_>) {
        self.counts.misfits += 1;
        self.extra(key, value);
    }

    /// Keeps a value without a column.
    pub fn extra(&mut self, key: &str, value: Value<'_>) {
        self.table.extra.raw(key, value.raw());
    }

    /// Keeps a text without a column.
    pub fn extra_text(&mut self, key: &str, value: &str) {
        self.table.extra.text(key, value);
    }
}

impl Drop for RowWriter<'_> {
    fn drop(&mut self) {
        let table = &mut *self.table;
        let column = table.index.get(EXTRA).and_then(|at| table.columns.get_mut(*at));
        let row = table.rows;
        table.extra.take(|json| {
            if let (Some(json), Some(column)) = (json, column) {
                column.text(row, json);
            }
        });
        table.rows += 1;
    }
}
