//! What the reports about calls have in common: their groups and filters.
//!
//! The templates call a row of `calls_current` `call`.

use super::{Dimension, Filters};

const fn of(name: &'static str, meaning: &'static str, value: &'static str) -> Dimension {
    Dimension { name, meaning, value, label: None, join: None, only: None }
}

const fn named(dimension: Dimension, label: &'static str) -> Dimension {
    Dimension { label: Some(label), ..dimension }
}

const AGENT_NAMES: &str = "LEFT JOIN agents
    ON (agents.system IS NOT DISTINCT FROM call.system)
    AND (agents.account_id IS NOT DISTINCT FROM call.account_id)
    AND (agents.agent_id IS NOT DISTINCT FROM call.agent_id)";

pub const DIMENSIONS: &[Dimension] = &[
    of("system", "the product that told of the call", "call.system"),
    of("account", "the vendor's account id", "call.account_id"),
    Dimension {
        label: Some("coalesce(agents.name, call.agent_name)"),
        join: Some(AGENT_NAMES),
        ..of("agent", "the agent who talked to the customer", "call.agent_id")
    },
    named(of("team", "the team the call was assigned to", "call.team_id"), "call.team_name"),
    named(of("queue", "the queue the call came by", "call.queue_id"), "call.queue_name"),
    of("number", "the account's own number", "call.number"),
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
        "CAST(date_part('hour', arrow_cast(call.started_at, 'Timestamp(Microsecond, Some(\"{zone}\"))')) AS BIGINT)",
    ),
    of(
        "day",
        "the day on which the call started",
        "CAST(arrow_cast(call.started_at, 'Timestamp(Microsecond, Some(\"{zone}\"))') AS DATE)",
    ),
    of(
        "week",
        "the Monday of the week in which the call started",
        "CAST(date_trunc('week', CAST(arrow_cast(call.started_at, 'Timestamp(Microsecond, Some(\"{zone}\"))') AS DATE)) AS DATE)",
    ),
    of(
        "month",
        "the first day of the month in which the call started",
        "CAST(date_trunc('month', CAST(arrow_cast(call.started_at, 'Timestamp(Microsecond, Some(\"{zone}\"))') AS DATE)) AS DATE)",
    ),
];

pub const FILTERS: Filters = Filters {
    time: "call.started_at",
    system: "call.system",
    account: "call.account_id",
    agent: Some("call.agent_id"),
    deal: None,
    usual: None,
};
