//! `deal-calls`: what was talked with the people of the deals while these were open.
//!
//! The templates call a row of the view `deal_openings` `deal`, and one of `calls_current` `call`. Dimensions
//! and filters name deals or calls, never both: each side is grouped before they meet.

use super::call_cost::CURRENCY;
use super::dimension::{day, month, named, of, week};
use super::{Column, Filters, Kind, Report, Sums, calls};

pub const DEAL_CALLS: Report = Report {
    name: "deal-calls",
    title: "calls with the contacts and accounts of deals while these were open",
    rows: concat!(include_str!("deal_calls/met.sql"), include_str!("deal_calls/rows.sql")),
    sums: Sums::Met {
        picked: include_str!("deal_calls/sums.sql"),
        within: concat!(
            include_str!("deal_calls/met.sql"),
            ",\n",
            include_str!("deal_calls/within.sql")
        ),
        apart: concat!(
            include_str!("deal_calls/met.sql"),
            ",\n",
            include_str!("deal_calls/apart.sql")
        ),
    },
    dimensions: &[
        of("account", "the CRM's account id", "deal.account_id"),
        named(of("deal", "the deal", "deal.deal_id"), "deal.deal_name"),
        named(of("owner", "the deal's owner now", "deal.owner_id"), "deal.owner_name"),
        named(
            of("pipeline", "the deal's pipeline now", "deal.deal_pipeline_id"),
            "deal.deal_pipeline_name",
        ),
        of(
            "outcome",
            "open, won or lost, as the deal is now",
            "coalesce(deal.deal_outcome, 'open')",
        ),
        named(of("agent", "the agent who talked", "call.agent_id"), "call.agent_name"),
        of("direction", "incoming or outgoing", "call.direction"),
        of("day", "the day on which the call started", day!("call.started_at")),
        of("week", "the Monday of the week in which the call started", week!("call.started_at")),
        of(
            "month",
            "the first day of the month in which the call started",
            month!("call.started_at"),
        ),
    ],
    default_by: &["deal"],
    always_by: &[CURRENCY],
    measures: &[
        Column {
            name: "calls",
            kind: Kind::Count,
            meaning: "calls from or to a number of a contact or the account; one that cost two currencies counts in both rows",
        },
        Column { name: "talked_seconds", kind: Kind::Seconds, meaning: "talked time of these" },
        Column {
            name: "cost",
            kind: Kind::Money,
            meaning: "sum of their costs, nothing where no call has one",
        },
    ],
    main_measure: "calls",
    list: None,
    histogram: None,
    filters: Filters {
        time: Some("call.started_at"),
        system: "deal.system",
        account: "deal.account_id",
        agent: Some("call.agent_id"),
        deal: Some("CAST(deal.deal_id AS VARCHAR)"),
        cost_source: Some("call.cost_source"),
        usual: None,
    },
    behind: calls::BEHIND,
};
