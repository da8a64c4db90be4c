//! A moment of the past: which version of `progress` is read, and with it all tables at once.
//!
//! What `progress` says of itself decides, not the clock of a file system: its rows name the time at which
//! they were committed.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::error::QueryError;
use crate::report::period::moment;

/// Which state of the tables is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// This version of `progress`.
    Version(u64),
    /// The newest state that was there by then.
    Time(DateTime<Utc>),
}

impl AsOf {
    /// Digits alone are a version, everything else is a time as reports take it.
    ///
    /// # Errors
    /// A text that is neither.
    pub fn read(text: &str, zone: Tz) -> Result<Self, QueryError> {
        match text.trim().parse() {
            Ok(version) => Ok(Self::Version(version)),
            Err(_) => moment(text, zone).map(Self::Time),
        }
    }

    pub(crate) fn gone(self, source: Option<QueryError>) -> QueryError {
        let asked = match self {
            Self::Version(version) => format!("version {version}"),
            Self::Time(time) => time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
        };
        QueryError::AsOf { asked, source: source.map(Box::new) }
    }
}

/// When the newest row of a state of `progress` was committed, in microseconds since 1970.
pub(crate) fn committed_at(rows: &[RecordBatch]) -> Option<i64> {
    let times = rows.iter().filter_map(|batch| {
        let times = batch.column_by_name("committed_at")?;
        arrow::compute::max(times.as_primitive_opt::<TimestampMicrosecondType>()?)
    });
    times.max()
}
