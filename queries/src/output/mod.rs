//! Answers in the formats that people and programs read, written as the rows come.
//!
//! Every text format prints a value the same way ([`cell`]); csv and json carry plain digits, the
//! table groups them. Money goes from the decimal to its digits and never through a float.

pub(crate) mod cell;
mod columnar;
mod csv;
mod json;
mod table;

use std::io::Write;
use std::str::FromStr;

use crate::answer::Answer;
use crate::error::QueryError;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// For people: grouped digits, aligned numbers.
    Table,
    Csv,
    /// One array of objects.
    Json,
    /// One object a line.
    Ndjson,
    Parquet,
    /// An Arrow IPC file.
    Arrow,
}

impl Format {
    pub const ALL: [Self; 6] =
        [Self::Table, Self::Csv, Self::Json, Self::Ndjson, Self::Parquet, Self::Arrow];

    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
        }
    }

    /// Whether it is for programs only, and would upset a terminal.
    pub fn is_binary(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }
}

impl FromStr for Format {
    type Err = QueryError;

    fn from_str(name: &str) -> Result<Self, QueryError> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            QueryError::Unknown {
                what: "format",
                name: name.to_owned(),
                known: Self::ALL.iter().map(|format| format.name().to_owned()).collect(),
                place: None,
            }
        })
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub rows: u64,
    /// Rows of the answer that a table for people leaves out.
    pub left_out: u64,
}

/// Writes the whole answer. `width` is that of the terminal in columns, for the table format; none
/// is as wide as it takes.
pub async fn write(
    answer: Answer,
    format: Format,
    out: &mut (dyn Write + Send),
    width: Option<u16>,
) -> Result<Written, QueryError> {
    match format {
        Format::Table => table::write(answer, out, width).await,
        Format::Csv => csv::write(answer, out).await,
        Format::Json => json::write(answer, out, json::Layout::Array).await,
        Format::Ndjson => json::write(answer, out, json::Layout::Lines).await,
        Format::Parquet => columnar::write_parquet(answer, out).await,
        Format::Arrow => columnar::write_arrow(answer, out).await,
    }
}

fn encode_error(format: Format) -> impl Fn(Box<dyn std::error::Error + Send + Sync>) -> QueryError {
    move |source| QueryError::Encode { format: format.name(), source }
}
