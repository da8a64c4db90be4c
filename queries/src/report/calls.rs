//! What the reports about calls have in common: their groups and filters, and what is behind a line.
//!
//! The templates call a row of `calls_current` `call`.

use super::dimension::{agent, day, local, month, named, of, week};
use super::{Behind, Dimension, Filters};

pub const DIMENSIONS: &[Dimension] = &[
    of("system", "the product that told of the call", "call.system"),
    of("account", "the vendor's account id", "call.account_id"),
    agent("the agent who talked to the customer", "call.agent_id", "call.agent_name"),
    named(of("team", "the team the call was assigned to", "call.team_id"), "call.team_name"),
    named(of("queue", "the queue the call came by", "call.queue_id"), "call.queue_name"),
    of("number", "the account's own number", "call.\"number\""),
    of("direction", "incoming or outgoing", "call.direction"),
    of(
        "country",
        "the country of the customer's number, by its calling code",
        "country_of(call.customer_number)",
    ),
    named(of("customer", "the customer's number", "call.customer_number"), "call.customer_name"),
    of(
        "hour",
        "the hour of the day, 0 to 23, at which the call started",
        concat!("CAST(date_part('hour', ", local!("call.started_at"), ") AS BIGINT)"),
    ),
    of("day", "the day on which the call started", day!("call.started_at")),
    of("week", "the Monday of the week in which the call started", week!("call.started_at")),
    of("month", "the first day of the month in which the call started", month!("call.started_at")),
];

pub const FILTERS: Filters = Filters {
    time: Some("call.started_at"),
    system: "call.system",
    account: "call.account_id",
    agent: Some("call.agent_id"),
    deal: None,
    cost_source: Some("call.cost_source"),
    usual: None,
};

pub const BEHIND: Behind = Behind {
    what: "calls",
    show: include_str!("calls/show.sql"),
    events: include_str!("calls/events.sql"),
};
