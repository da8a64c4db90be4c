//! `deal-changes`: what happened to the deals.
//!
//! The templates call a row of the view `deal_changes` `change`.

use super::dimension::{day, month, named, of, week};
use super::{Behind, Column, Dimension, Filters, Kind, List, Report, Sums};

const STAGE_CHANGES: &str = "change.field = 'deal_stage_id'";

pub const DEAL_CHANGES: Report = Report {
    name: "deal-changes",
    title: "what happened to the deals",
    rows: include_str!("deal_changes/rows.sql"),
    sums: Sums::Picked(include_str!("deal_changes/sums.sql")),
    dimensions: &[
        of("account", "the vendor's account id", "change.account_id"),
        of("field", "the field that changed", "change.field"),
        named(of("deal", "the deal", "change.deal_id"), "change.deal_name"),
        named(of("owner", "the deal's owner at that event", "change.owner_id"), "change.owner_name"),
        named(
            of("pipeline", "the deal's pipeline at that event", "change.deal_pipeline_id"),
            "change.deal_pipeline_name",
        ),
        Dimension {
            only: Some(STAGE_CHANGES),
            ..named(of("from_stage", "the stage it left", "change.from_stage"), "change.from_stage_name")
        },
        Dimension {
            only: Some(STAGE_CHANGES),
            ..named(of("to_stage", "the stage it went to", "change.to_stage"), "change.to_stage_name")
        },
        of("day", "the day of the change", day!("change.changed_at")),
        of("week", "the Monday of the week of the change", week!("change.changed_at")),
        of("month", "the first day of the month of the change", month!("change.changed_at")),
    ],
    default_by: &[],
    always_by: &[],
    measures: &[
        Column { name: "changes", kind: Kind::Count, meaning: "changes in the group" },
        Column { name: "deals", kind: Kind::Count, meaning: "distinct deals among them" },
        Column {
            name: "amount_delta",
            kind: Kind::Money,
            meaning: "how much the deals' base currency amount grew; for an update that lacks it, the amount",
        },
        Column { name: "won", kind: Kind::Count, meaning: "moves into a stage that counts as won" },
        Column {
            name: "won_amount",
            kind: Kind::Money,
            meaning: "what those deals were worth in base currency in that event",
        },
        Column { name: "lost", kind: Kind::Count, meaning: "moves into a stage that counts as lost" },
        Column {
            name: "lost_amount",
            kind: Kind::Money,
            meaning: "what those deals were worth in base currency in that event",
        },
        Column {
            name: "reopened",
            kind: Kind::Count,
            meaning: "moves from a won or lost stage to an open one",
        },
    ],
    main_measure: "changes",
    list: Some(&List {
        sql: include_str!("deal_changes/show.sql"),
        order: r#"changed_at, deal_id, field, topic, "partition", "offset""#,
        columns: &[
            Column { name: "changed_at", kind: Kind::Time, meaning: "when" },
            Column { name: "deal_id", kind: Kind::Text, meaning: "the deal" },
            Column { name: "deal_name", kind: Kind::Text, meaning: "its name in that event" },
            Column { name: "field", kind: Kind::Text, meaning: "the field that changed" },
            Column { name: "label", kind: Kind::Text, meaning: "what people see the field called" },
            Column { name: "old", kind: Kind::Text, meaning: "its value before" },
            Column {
                name: "old_name",
                kind: Kind::Text,
                meaning: "what that stage, owner or pipeline is called",
            },
            Column { name: "new", kind: Kind::Text, meaning: "its value after" },
            Column {
                name: "new_name",
                kind: Kind::Text,
                meaning: "what that stage, owner or pipeline is called",
            },
            Column {
                name: "delta",
                kind: Kind::Number,
                meaning: "new − old where both are numbers and no ids",
            },
            Column { name: "currency", kind: Kind::Text, meaning: "the deal's currency" },
            Column { name: "changed_by", kind: Kind::Text, meaning: "who did it" },
            Column { name: "changed_by_name", kind: Kind::Text, meaning: "their name" },
        ],
    }),
    histogram: None,
    filters: Filters {
        time: Some("change.changed_at"),
        system: "change.system",
        account: "change.account_id",
        agent: None,
        deal: Some("CAST(change.deal_id AS VARCHAR)"),
        cost_source: None,
        usual: Some(
            "change.field NOT IN ('updated_at', 'updater_id', 'stage_updated_time', 'last_assigned_at')
    AND change.field NOT LIKE '%\\_count'",
        ),
    },
    behind: Behind {
        what: "changes",
        show: include_str!("deal_changes/explained.sql"),
        events: include_str!("deals/positions.sql"),
    },
};
