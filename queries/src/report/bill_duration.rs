//! `bill-duration`: what was billed against what was talked.

use super::{Column, Kind, List, Report, Sums, calls};

pub const BILL_DURATION: Report = Report {
    name: "bill-duration",
    title: "what was billed against what was talked",
    rows: include_str!("bill_duration/rows.sql"),
    sums: Sums::Picked(include_str!("bill_duration/sums.sql")),
    dimensions: calls::DIMENSIONS,
    default_by: &["agent"],
    always_by: &[],
    measures: &[
        Column { name: "calls", kind: Kind::Count, meaning: "calls that started in the period" },
        Column {
            name: "billed_calls",
            kind: Kind::Count,
            meaning: "those whose billed duration is known",
        },
        Column {
            name: "billed_seconds",
            kind: Kind::Seconds,
            meaning: "sum of their billed durations",
        },
        Column {
            name: "talked_seconds",
            kind: Kind::Seconds,
            meaning: "talked time of the billed calls",
        },
        Column {
            name: "rounding_seconds",
            kind: Kind::Seconds,
            meaning: "billed_seconds − talked_seconds",
        },
        Column {
            name: "billed_p50",
            kind: Kind::Seconds,
            meaning: "the smallest billed duration that half of the billed calls do not exceed",
        },
        Column {
            name: "billed_p90",
            kind: Kind::Seconds,
            meaning: "the smallest billed duration that nine in ten of them do not exceed",
        },
        Column { name: "billed_max", kind: Kind::Seconds, meaning: "the longest billed duration" },
        Column { name: "unbilled_calls", kind: Kind::Count, meaning: "calls − billed_calls" },
    ],
    main_measure: "billed_seconds",
    list: None,
    histogram: Some(&List {
        sql: include_str!("bill_duration/histogram.sql"),
        order: "",
        columns: &[
            Column {
                name: "over_seconds",
                kind: Kind::Count,
                meaning: "the bin's calls were billed more seconds than this",
            },
            Column {
                name: "to_seconds",
                kind: Kind::Count,
                meaning: "and no more than this; nothing where the bin is open",
            },
            Column { name: "calls", kind: Kind::Count, meaning: "billed calls in the bin" },
        ],
    }),
    filters: calls::FILTERS,
    behind: calls::BEHIND,
};
