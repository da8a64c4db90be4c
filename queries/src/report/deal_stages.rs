//! `deal-stages`: how deals go through the stages.
//!
//! The templates call a row of the view `deal_stays` `stay`.

use super::dimension::{named, of};
use super::{Behind, Column, Filters, Kind, Report, Sums};

pub const DEAL_STAGES: Report = Report {
    name: "deal-stages",
    title: "how many deals went through each stage, and how long they stayed",
    rows: include_str!("deal_stages/rows.sql"),
    sums: Sums::Picked(include_str!("deal_stages/sums.sql")),
    dimensions: &[
        of("account", "the vendor's account id", "stay.account_id"),
        named(of("stage", "the stage", "stay.stage_id"), "stay.stage_name"),
        named(
            of("pipeline", "the pipeline that the deal is in now", "stay.deal_pipeline_id"),
            "stay.deal_pipeline_name",
        ),
        named(of("owner", "the deal's owner now", "stay.owner_id"), "stay.owner_name"),
        named(of("deal", "the deal", "stay.deal_id"), "stay.deal_name"),
    ],
    default_by: &["stage"],
    always_by: &[],
    measures: &[
        Column {
            name: "entered",
            kind: Kind::Count,
            meaning: "stays that began in the period, by creation or by a move",
        },
        Column { name: "left", kind: Kind::Count, meaning: "stays that ended in the period" },
        Column {
            name: "open",
            kind: Kind::Count,
            meaning: "stays that had not ended when the period did; deleted deals are out",
        },
        Column {
            name: "amount_open",
            kind: Kind::Money,
            meaning: "what the deals of these are worth now, in base currency",
        },
        Column {
            name: "mean_days",
            kind: Kind::Ratio,
            meaning: "how long the stays that ended in the period lasted, on average",
        },
        Column {
            name: "median_days",
            kind: Kind::Ratio,
            meaning: "the shortest time that half of them did not exceed",
        },
    ],
    main_measure: "entered",
    list: None,
    histogram: None,
    filters: Filters {
        time: None,
        system: "stay.system",
        account: "stay.account_id",
        agent: None,
        deal: Some("CAST(stay.deal_id AS VARCHAR)"),
        cost_source: None,
        usual: None,
    },
    behind: Behind {
        what: "stays",
        show: include_str!("deal_stages/show.sql"),
        events: include_str!("deal_stages/events.sql"),
    },
};
