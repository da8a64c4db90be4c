//! The kinds of column there are, and the Arrow type of each.
//!
//! One kind has one Arrow type everywhere, so that a reader of any table knows what a number means:
//! times are µs UTC, money and decimals are exact, durations are decimal seconds.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};

/// Digits of a decimal column, before and after the point together.
pub const DECIMAL_PRECISION: u8 = 28;
/// Digits after the point of a decimal column.
pub const DECIMAL_SCALE: i8 = 9;
/// Digits of a seconds column: whole seconds and up to six digits of a fraction.
pub const SECONDS_PRECISION: u8 = 18;
pub const SECONDS_SCALE: i8 = 6;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Text,
    Int,
    Bool,
    /// Exact decimal: money, and the CRM's `decimal` fields.
    Decimal,
    /// A duration in seconds, `Decimal128(18, 6)`.
    Seconds,
    Date,
    /// An instant, µs UTC.
    Time,
    TextList,
    /// JSON text, as the vendor wrote it.
    Json,
    Binary,
}

impl Kind {
    pub fn data_type(self) -> DataType {
        match self {
            Self::Text | Self::Json => DataType::Utf8,
            Self::Int => DataType::Int64,
            Self::Bool => DataType::Boolean,
            Self::Decimal => DataType::Decimal128(DECIMAL_PRECISION, DECIMAL_SCALE),
            Self::Seconds => DataType::Decimal128(SECONDS_PRECISION, SECONDS_SCALE),
            Self::Date => DataType::Date32,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            // The item's name is the one that Parquet and Delta readers give back.
            Self::TextList => DataType::List(Arc::new(Field::new("element", DataType::Utf8, true))),
            Self::Binary => DataType::Binary,
        }
    }

    /// The kind of a column read back from a table; `Json` reads as `Text`.
    pub fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Int64 => Self::Int,
            DataType::Boolean => Self::Bool,
            DataType::Decimal128(SECONDS_PRECISION, SECONDS_SCALE) => Self::Seconds,
            DataType::Decimal128(_, _) => Self::Decimal,
            DataType::Date32 => Self::Date,
            DataType::Timestamp(_, _) => Self::Time,
            DataType::List(_) | DataType::LargeList(_) | DataType::ListView(_) => Self::TextList,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Self::Binary,
            _ => return None,
        })
    }
}

/// One declared column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    /// Never null: true of the columns that every event has.
    pub required: bool,
}

impl Column {
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, required: false }
    }

    pub const fn required(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, required: true }
    }

    /// Every column is nullable in Arrow and Delta, so that a later version may leave one empty.
    pub fn field(&self) -> Field {
        Field::new(self.name, self.kind.data_type(), true)
    }
}
