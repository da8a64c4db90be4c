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
    /// What the label needs beside the template's own tables.
    pub(super) join: Option<&'static str>,
    /// Which rows have this dimension at all.
    pub(super) only: Option<&'static str>,
}

impl Dimension {
    /// Whether its values follow each other in time.
    pub fn is_time(&self) -> bool {
        ["hour", "day", "week", "month"].contains(&self.name)
    }
}

pub const fn of(name: &'static str, meaning: &'static str, value: &'static str) -> Dimension {
    Dimension { name, meaning, value, label: None, join: None, only: None }
}

pub const fn named(dimension: Dimension, label: &'static str) -> Dimension {
    Dimension { label: Some(label), ..dimension }
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

/// Joins the newest name of an agent to the template's row of this alias.
macro_rules! agent_names {
    ($row:literal) => {
        concat!(
            "LEFT JOIN agents
    ON (agents.system IS NOT DISTINCT FROM ",
            $row,
            ".system)
    AND (agents.account_id IS NOT DISTINCT FROM ",
            $row,
            ".account_id)
    AND (agents.agent_id IS NOT DISTINCT FROM ",
            $row,
            ".agent_id)"
        )
    };
}

pub(crate) use agent_names;
