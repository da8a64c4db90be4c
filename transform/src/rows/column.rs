//! One column under construction: a typed Arrow builder that fills its gaps with nulls by itself.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Int64Builder,
    ListBuilder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field};

use crate::columns::{DECIMAL_PRECISION, DECIMAL_SCALE, Kind, SECONDS_PRECISION, SECONDS_SCALE};
use crate::event::Micros;
use crate::json::{JsonKind, Value};
use crate::values;

/// What became of a value that was offered to a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It is in the column, or it was null.
    Held,
    /// The column's type cannot hold it unchanged.
    Misfit,
    /// The row has a value in this column already.
    Taken,
}

#[derive(Debug)]
enum Builder {
    Text(StringBuilder),
    Int(Int64Builder),
    Bool(BooleanBuilder),
    Decimal(Decimal128Builder),
    Date(Date32Builder),
    Time(TimestampMicrosecondBuilder),
    TextList(ListBuilder<StringBuilder>),
    Binary(BinaryBuilder),
}

/// Runs one expression over whichever builder it is.
macro_rules! each {
    ($builder:expr, $b:ident => $body:expr) => {
        match $builder {
            Builder::Text($b) => $body,
            Builder::Int($b) => $body,
            Builder::Bool($b) => $body,
            Builder::Decimal($b) => $body,
            Builder::Date($b) => $body,
            Builder::Time($b) => $body,
            Builder::TextList($b) => $body,
            Builder::Binary($b) => $body,
        }
    };
}

#[derive(Debug)]
pub(super) struct ColumnRows {
    pub(super) name: Box<str>,
    pub(super) kind: Kind,
    pub(super) declared: bool,
    pub(super) label: Option<Box<str>>,
    builder: Builder,
    /// Rows the builder has; those up to the present row are filled with nulls when needed.
    filled: usize,
    /// Whether a value was put in since the last [`ColumnRows::finish`].
    used: bool,
}

impl ColumnRows {
    pub(super) fn new(name: &str, kind: Kind, declared: bool) -> Self {
        let builder = match kind {
            Kind::Text | Kind::Json => Builder::Text(StringBuilder::new()),
            Kind::Int => Builder::Int(Int64Builder::new()),
            Kind::Bool => Builder::Bool(BooleanBuilder::new()),
            Kind::Decimal => Builder::Decimal(
                Decimal128Builder::new()
                    .with_data_type(DataType::Decimal128(DECIMAL_PRECISION, DECIMAL_SCALE)),
            ),
            Kind::Seconds => Builder::Decimal(
                Decimal128Builder::new()
                    .with_data_type(DataType::Decimal128(SECONDS_PRECISION, SECONDS_SCALE)),
            ),
            Kind::Date => Builder::Date(Date32Builder::new()),
            Kind::Time => {
                Builder::Time(TimestampMicrosecondBuilder::new().with_data_type(kind.data_type()))
            }
            Kind::TextList => Builder::TextList(
                ListBuilder::new(StringBuilder::new()).with_field(Arc::new(Field::new(
                    "element",
                    DataType::Utf8,
                    true,
                ))),
            ),
            Kind::Binary => Builder::Binary(BinaryBuilder::new()),
        };
        Self { name: name.into(), kind, declared, label: None, builder, filled: 0, used: false }
    }

    /// Whether anything of this column is to be written.
    pub(super) fn is_written(&self) -> bool {
        self.declared || self.used
    }

    /// Makes room for a value in `row`; false if there is one.
    fn open(&mut self, row: usize) -> bool {
        if self.filled > row {
            return false;
        }
        let gap = row - self.filled;
        if gap > 0 {
            each!(&mut self.builder, b => b.append_nulls(gap));
        }
        self.filled = row + 1;
        self.used = true;
        true
    }

    pub(super) fn text(&mut self, row: usize, text: &str) -> Fit {
        if !matches!(self.builder, Builder::Text(_)) {
            return Fit::Misfit;
        }
        if !self.open(row) {
            return Fit::Taken;
        }
        if let Builder::Text(b) = &mut self.builder {
            b.append_value(text);
        }
        Fit::Held
    }

    pub(super) fn int(&mut self, row: usize, value: i64) -> Fit {
        if !matches!(self.builder, Builder::Int(_)) {
            return Fit::Misfit;
        }
        if !self.open(row) {
            return Fit::Taken;
        }
        if let Builder::Int(b) = &mut self.builder {
            b.append_value(value);
        }
        Fit::Held
    }

    pub(super) fn bool(&mut self, row: usize, value: bool) -> Fit {
        if !matches!(self.builder, Builder::Bool(_)) {
            return Fit::Misfit;
        }
        if !self.open(row) {
            return Fit::Taken;
        }
        if let Builder::Bool(b) = &mut self.builder {
            b.append_value(value);
        }
        Fit::Held
    }

    pub(super) fn time(&mut self, row: usize, value: Micros) -> Fit {
        if !matches!(self.builder, Builder::Time(_)) {
            return Fit::Misfit;
        }
        if !self.open(row) {
            return Fit::Taken;
        }
        if let Builder::Time(b) = &mut self.builder {
            b.append_value(value);
        }
        Fit::Held
    }

    pub(super) fn binary(&mut self, row: usize, value: &[u8]) -> Fit {
        if !matches!(self.builder, Builder::Binary(_)) {
            return Fit::Misfit;
        }
        if !self.open(row) {
            return Fit::Taken;
        }
        if let Builder::Binary(b) = &mut self.builder {
            b.append_value(value);
        }
        Fit::Held
    }

    /// A JSON value, by the column's kind.
    pub(super) fn value(&mut self, row: usize, value: Value<'_>) -> Fit {
        if value.is_null() {
            return Fit::Held;
        }
        if self.filled > row {
            return Fit::Taken;
        }
        self.convert(row, value).unwrap_or(Fit::Misfit)
    }

    /// None where the value cannot be what the column holds.
    fn convert(&mut self, row: usize, value: Value<'_>) -> Option<Fit> {
        match self.kind {
            Kind::Text => Some(self.text(row, value.scalar_text()?)),
            Kind::Json => Some(self.text(row, value.raw())),
            Kind::Bool => Some(self.bool(row, value.as_bool()?)),
            Kind::Time => Some(self.time(row, values::time_of(value)?)),
            Kind::Int => Some(self.int(row, int_of(value)?)),
            Kind::Decimal => self.decimal(row, value, DECIMAL_PRECISION, DECIMAL_SCALE),
            Kind::Seconds => self.seconds(row, value, 1),
            Kind::Date => {
                let days = values::date(value.as_str()?)?;
                self.open(row);
                if let Builder::Date(b) = &mut self.builder {
                    b.append_value(days);
                }
                Some(Fit::Held)
            }
            Kind::TextList => self.list(row, value),
            Kind::Binary => None,
        }
    }

    /// A number times `factor`, for a duration in another unit than the column's.
    pub(super) fn scaled(&mut self, row: usize, value: Value<'_>, factor: i128) -> Fit {
        if self.filled > row {
            return Fit::Taken;
        }
        self.seconds(row, value, factor).unwrap_or(Fit::Misfit)
    }

    fn decimal(&mut self, row: usize, value: Value<'_>, precision: u8, scale: i8) -> Option<Fit> {
        self.units(row, units_of(value, precision, scale)?)
    }

    fn seconds(&mut self, row: usize, value: Value<'_>, factor: i128) -> Option<Fit> {
        let units = units_of(value, SECONDS_PRECISION, SECONDS_SCALE)?.checked_mul(factor)?;
        let limit = 10i128.pow(u32::from(SECONDS_PRECISION));
        self.units(row, Some(units).filter(|units| units.abs() < limit)?)
    }

    fn units(&mut self, row: usize, units: i128) -> Option<Fit> {
        self.open(row);
        if let Builder::Decimal(b) = &mut self.builder {
            b.append_value(units);
        }
        Some(Fit::Held)
    }

    /// An array's elements, a container among them as JSON text; or the parts of `a;b;c`, as the
    /// vendor joins a custom field's choices.
    fn list(&mut self, row: usize, value: Value<'_>) -> Option<Fit> {
        if !matches!(value.kind(), JsonKind::Array | JsonKind::String) {
            return None;
        }
        self.open(row);
        if let Builder::TextList(list) = &mut self.builder {
            match value.as_str() {
                Some(text) => text.split(';').for_each(|part| list.values().append_value(part)),
                None => value.items().for_each(|item| match item.kind() {
                    JsonKind::Null => list.values().append_null(),
                    _ => list.values().append_value(item.scalar_text().unwrap_or(item.raw())),
                }),
            }
            list.append(true);
        }
        Some(Fit::Held)
    }

    /// The column's `rows` values; the builder starts anew.
    pub(super) fn finish(&mut self, rows: usize) -> ArrayRef {
        let gap = rows.saturating_sub(self.filled);
        if gap > 0 {
            each!(&mut self.builder, b => b.append_nulls(gap));
        }
        self.filled = 0;
        self.used = false;
        if let Builder::Text(b) = &mut self.builder {
            // The next batch will be about as large as this one: its text is not moved as it grows.
            let bytes = b.values_slice().len();
            let next = StringBuilder::with_capacity(rows, bytes);
            return Arc::new(std::mem::replace(b, next).finish());
        }
        each!(&mut self.builder, b => Arc::new(b.finish()) as ArrayRef)
    }

    /// Forgets the rows of a column that is not written.
    pub(super) fn skip(&mut self) {
        self.filled = 0;
    }
}

/// A number, or text that is one, in units of 10^-`scale`.
fn units_of(value: Value<'_>, precision: u8, scale: i8) -> Option<i128> {
    let text = value.scalar_text().filter(|_| value.kind() != JsonKind::Bool)?;
    values::decimal(text, precision, scale)
}

/// A whole number, or text that is exactly one: `"007"` stays text.
fn int_of(value: Value<'_>) -> Option<i64> {
    match value.kind() {
        JsonKind::Number => values::integer(value.raw()),
        JsonKind::String => {
            let text = value.as_str()?;
            let digits = text.strip_prefix('-').unwrap_or(text);
            let canonical = text == "0" || digits.starts_with(|first| matches!(first, '1'..='9'));
            text.parse().ok().filter(|_| canonical)
        }
        _ => None,
    }
}
