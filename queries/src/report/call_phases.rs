//! `call-phases`: what the agents' channels did, second by second.
//!
//! The templates call a phase of a channel `told_of`. The period cuts phases, so the template has its
//! bounds itself.

use super::dimension::{UNNAMED, agent, of};
use super::{Behind, Column, Filters, Kind, Report, Sums};

const fn seconds(name: &'static str, meaning: &'static str) -> Column {
    Column { name, kind: Kind::Seconds, meaning }
}

pub const CALL_PHASES: Report = Report {
    name: "call-phases",
    title: "how long agents' channels rang, talked, were held, parked and wrapped up",
    rows: include_str!("call_phases/rows.sql"),
    sums: Sums::Picked(include_str!("call_phases/sums.sql")),
    dimensions: &[
        of("system", "the product that told of the channel", "told_of.system"),
        of("account", "the vendor's account id", "told_of.account_id"),
        agent("the agent whose channel it is", "told_of.agent_id", UNNAMED),
        of("call", "the interaction", "told_of.call_id"),
        of("day", "the day; a phase that lasts over midnight is cut there", "told_of.day"),
        of("week", "the Monday of the week", "CAST(date_trunc('week', told_of.day) AS DATE)"),
        of("month", "the first day of the month", "CAST(date_trunc('month', told_of.day) AS DATE)"),
    ],
    default_by: &["day", "agent"],
    always_by: &[],
    measures: &[
        Column { name: "calls", kind: Kind::Count, meaning: "calls with any of these phases" },
        seconds("ringing_seconds", "alerted, until answered or given up"),
        seconds("talking_seconds", "connected, and neither held, parked nor interrupted"),
        seconds("held_seconds", "connected, and held"),
        seconds("parked_seconds", "connected, and parked, be it held as well"),
        seconds("wrap_seconds", "from the wrap-up's start to the channel's end"),
    ],
    main_measure: "talking_seconds",
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
        what: "phases",
        show: include_str!("call_phases/show.sql"),
        events: include_str!("call_phases/events.sql"),
    },
};
