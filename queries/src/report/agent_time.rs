//! `agent-time`: how agents spent their time.
//!
//! The templates call a state or a call of an agent `told_of`. The period cuts states, so the template
//! has its bounds itself.

use super::dimension::{UNNAMED, agent, of};
use super::{Behind, Column, Filters, Kind, Report, Sums};

pub const AGENT_TIME: Report = Report {
    name: "agent-time",
    title: "how long agents were in each state, and what they handled in it",
    rows: include_str!("agent_time/rows.sql"),
    sums: Sums::Picked(include_str!("agent_time/sums.sql")),
    dimensions: &[
        of("system", "the product that told of the agent", "told_of.system"),
        of("account", "the vendor's account id", "told_of.account_id"),
        agent("the agent", "told_of.agent_id", UNNAMED),
        of("presence", "the presence or state, as the vendor calls it", "told_of.presence"),
        of("day", "the day; a state that lasts over midnight is cut there", "told_of.day"),
        of("week", "the Monday of the week", "CAST(date_trunc('week', told_of.day) AS DATE)"),
        of("month", "the first day of the month", "CAST(date_trunc('month', told_of.day) AS DATE)"),
    ],
    default_by: &["agent", "day", "presence"],
    always_by: &[],
    measures: &[
        Column { name: "seconds", kind: Kind::Seconds, meaning: "time in these states" },
        Column {
            name: "calls",
            kind: Kind::Count,
            meaning: "calls in which the agent talked, counted in the state in which they began",
        },
        Column { name: "talked_seconds", kind: Kind::Seconds, meaning: "talked time of these" },
        Column {
            name: "occupancy",
            kind: Kind::Ratio,
            meaning: "talked_seconds / the time that was not spent offline",
        },
    ],
    main_measure: "seconds",
    list: None,
    histogram: None,
    filters: Filters {
        time: None,
        system: "told_of.system",
        account: "told_of.account_id",
        agent: Some("told_of.agent_id"),
        deal: None,
        cost_source: None,
        usual: None,
    },
    behind: Behind {
        what: "states and calls",
        show: include_str!("agent_time/show.sql"),
        events: include_str!("agent_time/events.sql"),
    },
};
