//! `deal-slips`: deals whose expected close moved to a later day.
//!
//! The templates call a row of the view `deal_changes` `change`.

use super::dimension::{day, month, named, of, week};
use super::{Behind, Column, Filters, Kind, Report, Sums};

pub const DEAL_SLIPS: Report = Report {
    name: "deal-slips",
    title: "deals whose expected close moved to a later day",
    rows: include_str!("deal_slips/rows.sql"),
    sums: Sums::Picked(include_str!("deal_slips/sums.sql")),
    dimensions: &[
        of("account", "the vendor's account id", "change.account_id"),
        named(of("deal", "the deal", "change.deal_id"), "change.deal_name"),
        named(
            of("owner", "the deal's owner at that event", "change.owner_id"),
            "change.owner_name",
        ),
        named(
            of("pipeline", "the deal's pipeline at that event", "change.deal_pipeline_id"),
            "change.deal_pipeline_name",
        ),
        of("day", "the day of the change", day!("change.changed_at")),
        of("week", "the Monday of the week of the change", week!("change.changed_at")),
        of("month", "the first day of the month of the change", month!("change.changed_at")),
    ],
    default_by: &["deal"],
    always_by: &[],
    measures: &[
        Column {
            name: "times",
            kind: Kind::Count,
            meaning: "how often the expected close moved to a later day",
        },
        Column { name: "days", kind: Kind::Count, meaning: "by how many days together" },
        Column {
            name: "amount",
            kind: Kind::Money,
            meaning: "what these deals were worth at their newest such move, in base currency; each deal once",
        },
    ],
    main_measure: "times",
    list: None,
    histogram: None,
    filters: Filters {
        time: Some("change.changed_at"),
        system: "change.system",
        account: "change.account_id",
        agent: None,
        deal: Some("CAST(change.deal_id AS VARCHAR)"),
        cost_source: None,
        usual: None,
    },
    behind: Behind {
        what: "moves",
        show: include_str!("deal_slips/show.sql"),
        events: include_str!("deals/positions.sql"),
    },
};
