//! The rows of one table, and the writer of one row.

use std::collections::HashMap as StdHashMap;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::column::{ColumnRows, Fit};
use super::extra::Extra;
use super::names::Names;
use super::origin::{OriginId, Origins};
use super::renames::{AllRenames, Renamed};
use crate::batch::{EventCounts, LeftOut, TableBatch};
use crate::columns::{Column, Kind};
use crate::event::Micros;
use crate::json::Value;
use crate::tables::{COMMON, EVENT_MONTH, EXTRA, TableSpec};

/// Key of the Arrow field metadata that holds the product's label of a field.
pub const LABEL_KEY: &str = "ringlake.label";

/// A table has at most this many columns besides the common ones, unless set otherwise; fields beyond
/// stay in `extra`.
const COLUMN_BUDGET: usize = 4_000;
/// So many of a table's fields beyond the budget are named.
const NAMED: usize = 50;

/// Rows of one table since the last [`TableRows::finish`].
#[derive(Debug)]
pub struct TableRows {
    spec: &'static TableSpec,
    /// The table's own columns, then `extra`, then what it has grown; the common ones are made of
    /// `origins` at the end.
    columns: Vec<ColumnRows>,
    names: Names,
    renames: AllRenames,
    extra_at: usize,
    /// Whose row each row is.
    origins: Vec<OriginId>,
    extra: Extra,
    budget: usize,
    /// Fields beyond the budget, and how many of them were handed out.
    left_out: Vec<Box<str>>,
    handed_out: usize,
}

impl TableRows {
    /// Declared columns, then those that the table has grown (`known`, the table's Arrow schema).
    pub fn new(spec: &'static TableSpec, known: Option<&SchemaRef>) -> Self {
        let mut table = Self {
            spec,
            columns: Vec::new(),
            names: Names::default(),
            renames: AllRenames::default(),
            extra_at: spec.columns.len(),
            origins: Vec::new(),
            extra: Extra::default(),
            budget: COLUMN_BUDGET,
            left_out: Vec::new(),
            handed_out: 0,
        };
        for column in spec.columns {
            table.add(column.name, column.kind, true);
        }
        table.add(EXTRA, Kind::Json, true);
        let declared = spec.declared();
        for field in known.iter().flat_map(|schema| schema.fields()) {
            let grown = !declared.iter().any(|column| column.name == field.name());
            if let (true, Some(kind)) = (grown, Kind::of(field.data_type())) {
                table.add(field.name(), kind, false);
            }
        }
        table
    }

    fn add(&mut self, name: &str, kind: Kind, declared: bool) -> usize {
        self.columns.push(ColumnRows::new(name, kind, declared));
        self.names.add(name)
    }

    pub fn set_budget(&mut self, columns: usize) {
        self.budget = columns;
    }

    /// The fields beyond the budget that were not handed out before.
    pub fn new_left_out(&mut self) -> impl Iterator<Item = LeftOut> {
        let from = std::mem::replace(&mut self.handed_out, self.left_out.len());
        let fields = self.left_out.get(from..).unwrap_or_default();
        fields.iter().map(|field| LeftOut { table: self.spec.name, field: field.clone() })
    }

    pub fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }

    /// Starts a row of the newest of `origins`; it is complete when the writer is dropped.
    pub fn row<'r>(&'r mut self, origins: &Origins, counts: &'r mut EventCounts) -> RowWriter<'r> {
        self.names.begin_row();
        self.renames.begin_row();
        let row = self.origins.len();
        self.origins.push(origins.last());
        RowWriter { table: self, row, counts }
    }

    /// The rows, if there are any, with what `origins` says of each; the table starts anew and keeps
    /// its columns.
    pub fn finish(&mut self, origins: &Origins) -> Option<TableBatch> {
        let rows = std::mem::take(&mut self.origins);
        if rows.is_empty() {
            return None;
        }
        let mut fields: Vec<Field> = COMMON.iter().map(Column::field).collect();
        let mut arrays = origins.columns(&rows);
        for (at, column) in self.columns.iter_mut().enumerate() {
            if at == self.extra_at {
                fields.push(Field::new(EVENT_MONTH, Kind::Text.data_type(), true));
                arrays.push(origins.months(&rows));
            }
            if column.is_written() {
                fields.push(field(column));
                arrays.push(column.finish(rows.len()));
            } else {
                column.skip();
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let schema = Arc::new(Schema::new(fields));
        let rows = RecordBatch::try_new_with_options(schema, arrays, &options);
        // Each array is made by its field's own type and padded to `rows`: they cannot disagree.
        rows.ok().map(|rows| TableBatch { table: self.spec, rows })
    }
}

fn field(column: &ColumnRows) -> Field {
    let field = Field::new(&*column.name, column.kind.data_type(), true);
    match &column.label {
        Some(label) => {
            field.with_metadata(StdHashMap::from([(LABEL_KEY.to_owned(), label.to_string())]))
        }
        None => field,
    }
}

/// Writes one row by naming its columns.
#[derive(Debug)]
pub struct RowWriter<'r> {
    table: &'r mut TableRows,
    row: usize,
    counts: &'r mut EventCounts,
}

impl RowWriter<'_> {
    fn with(&mut self, name: &str, f: impl FnOnce(&mut ColumnRows, usize) -> Fit) -> Fit {
        let found = self.table.names.find(name);
        let fit = match found.and_then(|at| self.table.columns.get_mut(at)) {
            Some(column) => f(column, self.row),
            None => Fit::Misfit,
        };
        debug_assert!(found.is_some(), "{} has no column {name}", self.table.spec.name);
        fit
    }

    pub fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.with(name, |column, row| column.text(row, value));
        self
    }

    /// As [`RowWriter::text`]: false if the row has a value there already.
    pub fn try_text(&mut self, name: &str, value: &str) -> bool {
        self.with(name, |column, row| column.text(row, value)) == Fit::Held
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
        let fit = self.offer(name, value);
        self.keep(fit, key, value);
        self
    }

    /// A vendor's field into the column that `renamed` has for it; one without a column is kept.
    pub fn put_field(&mut self, renamed: &'static Renamed, key: &str, value: Value<'_>) {
        let TableRows { columns, names, renames, .. } = &mut *self.table;
        let found = renames.find(renamed, key, names).and_then(|at| columns.get_mut(at));
        match found.map(|column| column.value(self.row, value)) {
            Some(fit) => self.keep(fit, key, value),
            None if value.is_null() => {}
            None => self.extra(key, value),
        }
    }

    /// As [`RowWriter::put`], for a member of an object that is kept as `<path>.<key>`.
    pub fn put_member(&mut self, name: &str, path: &str, key: &str, value: Value<'_>) {
        let fit = self.offer(name, value);
        if fit != Fit::Held {
            self.keep(fit, &format!("{path}.{key}"), value);
        }
    }

    fn offer(&mut self, name: &str, value: Value<'_>) -> Fit {
        self.with(name, |column, row| column.value(row, value))
    }

    fn keep(&mut self, fit: Fit, key: &str, value: Value<'_>) {
        match fit {
            Fit::Held => {}
            Fit::Misfit => self.misfit(key, value),
            Fit::Taken => self.duplicate(key, value),
        }
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
    pub fn grow(
        &mut self,
        name: &str,
        kind: impl FnOnce() -> Kind,
        label: Option<&str>,
        value: Value<'_>,
    ) {
        let at = match self.table.names.find(name) {
            Some(at) => at,
            None if self.table.columns.len() < self.table.budget => {
                self.table.add(name, kind(), false)
            }
            None => return self.left_out(name, value),
        };
        let Some(column) = self.table.columns.get_mut(at) else { return };
        if let (Some(label), None) = (label, &column.label) {
            column.label = Some(label.into());
        }
        let fit = column.value(self.row, value);
        self.keep(fit, name, value);
    }

    /// Keeps a value for which there is no column left.
    fn left_out(&mut self, name: &str, value: Value<'_>) {
        self.counts.left_out += 1;
        let known = &mut self.table.left_out;
        if known.len() < NAMED && !known.iter().any(|field| **field == *name) {
            known.push(name.into());
        }
        self.extra(name, value);
    }

    /// A key that stood twice: the last one has the column, the others are kept beside it.
    fn duplicate(&mut self, key: &str, value: Value<'_>) {
        self.counts.duplicate_keys += 1;
        self.extra(key, value);
    }

    /// The same, of a text.
    pub fn duplicate_text(&mut self, key: &str, value: &str) {
        self.counts.duplicate_keys += 1;
        self.extra_text(key, value);
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
        let TableRows { columns, extra, extra_at, .. } = &mut *self.table;
        let column = columns.get_mut(*extra_at);
        extra.take(|json| {
            if let (Some(json), Some(column)) = (json, column) {
                column.text(self.row, json);
            }
        });
    }
}
