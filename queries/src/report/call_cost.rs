//! `call-cost`: what the calls cost.

use super::{Column, Kind, Report, Sums, calls};

/// The currency as the last group, in all reports that sum costs.
pub const CURRENCY: Column = Column {
    name: "currency",
    kind: Kind::Text,
    meaning: "the currency of the amounts; calls without any cost have none",
};

pub const CALL_COST: Report = Report {
    name: "call-cost",
    title: "what the calls cost, per currency",
    rows: include_str!("call_cost/rows.sql"),
    sums: Sums::Picked(include_str!("call_cost/sums.sql")),
    dimensions: calls::DIMENSIONS,
    default_by: &["agent"],
    always_by: &[CURRENCY],
    measures: &[
        Column {
            name: "calls",
            kind: Kind::Count,
            meaning: "calls that started in the period; one that cost two currencies counts in both rows",
        },
        Column {
            name: "costed_calls",
            kind: Kind::Count,
            meaning: "those with a cost; zero is a cost",
        },
        Column {
            name: "billed_seconds",
            kind: Kind::Seconds,
            meaning: "billed duration of the costed calls, or where that is not known, talked time",
        },
        Column {
            name: "cost",
            kind: Kind::Money,
            meaning: "sum of the costs, nothing where no call has one",
        },
        Column { name: "cost_per_call", kind: Kind::Ratio, meaning: "cost / costed_calls" },
        Column {
            name: "cost_per_minute",
            kind: Kind::Ratio,
            meaning: "cost / (billed_seconds / 60), nothing where no second was billed",
        },
    ],
    main_measure: "cost",
    list: None,
    histogram: None,
    filters: calls::FILTERS,
    behind: calls::BEHIND,
};
