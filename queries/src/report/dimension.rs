//! Something to group by, and the ways in which dimensions are written down.

/// Something to group by.
#[derive(Debug)]
pub struct Dimension {
    pub name: &'static str,
    pub meaning: &'static str,
    /// The value, in terms of the template; `{zone}` is the report's time zone.
    pub(super) value: &'static str,
    /// The name of the value, where it can have one.
    pub(super) label: Option<&'static str>,
    /// Whether it is an agent, who may have a newer name than the rows tell.
    pub(super) is_agent: bool,
    /// Which rows have this dimension at all; what is left out unless `--all` is none of these.
    pub(super) only: Option<&'static str>,
}

impl Dimension {
    /// Whether its values follow each other in time.
    pub fn is_time(&self) -> bool {
        ["hour", "day", "week", "month"].contains(&self.name)
    }

    /// Whether it is one of calls, where these meet deals.
    pub(super) fn is_of_call(&self) -> bool {
        tells_of_call(self.value)
    }
}

/// Whether this SQL, which has no text of a user's, names a column of calls.
pub(super) fn tells_of_call(sql: &str) -> bool {
    sql.contains("call.")
}

pub const fn of(name: &'static str, meaning: &'static str, value: &'static str) -> Dimension {
    Dimension { name, meaning, value, label: None, is_agent: false, only: None }
}

pub const fn named(dimension: Dimension, label: &'static str) -> Dimension {
    Dimension { label: Some(label), ..dimension }
}

/// The name of an agent where rows tell none.
pub const UNNAMED: &str = "CAST(NULL AS VARCHAR)";

/// An agent, with the name that the rows tell.
pub const fn agent(meaning: &'static str, value: &'static str, label: &'static str) -> Dimension {
    Dimension { is_agent: true, ..named(of("agent", meaning, value), label) }
}

/// An instant on the clocks of the report's zone.
macro_rules! local {
    ($instant:literal) => {
        concat!("arrow_cast(", $instant, ", 'Timestamp(Microsecond, Some(\"{zone}\"))')")
    };
}

/// The day of an instant in the report's zone, the Monday of its week, the first of its month.
macro_rules! day {
    ($instant:literal) => {
        concat!("CAST(", crate::report::dimension::local!($instant), " AS DATE)")
    };
}

macro_rules! week {
    ($instant:literal) => {
        concat!("CAST(date_trunc('week', ", crate::report::dimension::day!($instant), ") AS DATE)")
    };
}

macro_rules! month {
    ($instant:literal) => {
        concat!("CAST(date_trunc('month', ", crate::report::dimension::day!($instant), ") AS DATE)")
    };
}

pub(crate) use {day, local, month, week};
