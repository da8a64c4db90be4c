//! From dimensions and options to the pieces that stand for `{…}` in a template.
//!
//! In `rows.sql` a dimension's value is `by_<name>`, so that it never meets a column of the row's own;
//! in the answer it is `<name>`.

use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;

use super::dimension::{day, tells_of_call};
use super::period::Period;
use super::{Dimension, Rates};

/// Beyond these no event is.
const FIRST: &str = "1700-01-01T00:00:00Z";
const LAST: &str = "2200-01-01T00:00:00Z";

/// What a call's own row does not tell of its costs, as `told`: those in several currencies.
const TOLD_COSTS: &str = "LEFT JOIN call_costs_split AS told
    ON (told.system IS NOT DISTINCT FROM call.system)
    AND (told.account_id IS NOT DISTINCT FROM call.account_id)
    AND (told.call_id IS NOT DISTINCT FROM call.call_id)";
/// What a call cost, in the terms of the templates: `told` has what its own row does not tell.
const TOLD_COST: &str = "coalesce(told.cost, call.cost)";
const TOLD_CURRENCY: &str =
    "CASE WHEN told.cost IS NOT NULL THEN told.currency ELSE call.currency END";
const DAY: &str = day!("call.started_at");
/// The newest names of the agents of `part`, which has the system and account of each.
const AGENTS: &str = "LEFT JOIN agents
    ON (agents.system IS NOT DISTINCT FROM part.system)
    AND (agents.account_id IS NOT DISTINCT FROM part.account_id)
    AND (agents.agent_id IS NOT DISTINCT FROM part.by_agent)";
/// The first of a call's rows, which stands for the call where its currencies are made one.
const FIRST_ROW: &str = "row_number() OVER (
        PARTITION BY call.system, call.account_id, call.call_id, call.extension ORDER BY told.currency
    ) = 1";

/// The answers to all `{…}` of a report's templates.
pub struct Pieces(Vec<(&'static str, String)>);

impl Pieces {
    pub fn new(
        dimensions: &[&Dimension],
        conditions: &[String],
        period: Period,
        conversion: Option<(&'static str, Option<&Rates>)>,
        zone: Tz,
    ) -> Self {
        // Where calls meet deals, each side is grouped and filtered before.
        let (of_call, of_deal): (Vec<&Dimension>, Vec<&Dimension>) =
            dimensions.iter().partition(|dimension| dimension.is_of_call());
        // What a column is compared with may be any text.
        let is_of_call =
            |condition: &&String| condition.split('\'').next().is_some_and(tells_of_call);
        let (for_call, for_deal): (Vec<&String>, Vec<&String>) =
            conditions.iter().partition(is_of_call);
        let mut pieces = vec![
            ("values", values(dimensions, str::to_owned)),
            ("call_values", values(&of_call, str::to_owned)),
            ("deal_groups", values(&of_deal, |label| format!("max({label})"))),
            ("deal_grouping", grouping(&of_deal)),
            ("deal_fields", same(&of_deal, |name| format!("'by_{name}', \"by_{name}\""))),
            ("deal_held", same(&of_deal, |name| format!("held['by_{name}'] AS \"by_{name}\""))),
            ("deal_columns", same(&of_deal, |name| format!("\"by_{name}\""))),
            ("deal_shown", same(&of_deal, |name| format!("\"by_{name}\" AS \"{name}\""))),
            ("call_parts", maxima(&of_call, |name| format!("\"by_{name}\""))),
            ("call_keys", keys(&of_call, |name| format!("\"by_{name}\", "))),
            ("agents", agents(dimensions).to_owned()),
            ("groups", groups(dimensions)),
            ("parts", maxima(dimensions, |name| format!("\"by_{name}\""))),
            ("regroups", maxima(dimensions, |name| format!("\"{name}\""))),
            ("shown", same(dimensions, |name| format!("\"{name}\""))),
            ("of_spans", same(dimensions, |name| format!("spans.\"{name}\""))),
            ("keys", keys(dimensions, |name| format!("\"by_{name}\", "))),
            ("group_keys", keys(dimensions, |name| format!("\"{name}\", "))),
            ("order", keys(dimensions, |name| format!("\"{name}\" NULLS LAST, "))),
            ("order_of_spans", keys(dimensions, |name| format!("spans.\"{name}\" NULLS LAST, "))),
            (
                "same_group",
                keys(dimensions, |name| {
                    format!("\n    AND (counted.\"{name}\" IS NOT DISTINCT FROM spans.\"{name}\")")
                }),
            ),
            ("since", bound(period.since, FIRST)),
            ("until", bound(period.until, LAST)),
        ];
        pieces.extend(money(conversion));
        for (_, piece) in &mut pieces {
            *piece = piece.replace("{zone}", zone.name());
        }
        // What somebody filters by may be any text, and names no zone.
        pieces.extend([
            ("zone", zone.name().to_owned()),
            ("filters", all_of(conditions)),
            ("call_filters", all_of(&for_call)),
            ("deal_filters", all_of(&for_deal)),
        ]);
        Self(pieces)
    }

    /// The template as plain SQL. What has been filled in is not filled again.
    pub fn fill(&self, template: &str) -> String {
        let mut filled = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let named = after.split_once('}');
            let (piece, after) = named
                .and_then(|(name, after)| Some((self.piece(name)?, after)))
                .unwrap_or(("{", after));
            filled.push_str(piece);
            rest = after;
        }
        filled + rest
    }

    fn piece(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(held, _)| *held == name).map(|(_, piece)| piece.as_str())
    }
}

pub fn instant(moment: DateTime<Utc>) -> String {
    format!("TIMESTAMP '{}'", moment.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn bound(moment: Option<DateTime<Utc>>, otherwise: &str) -> String {
    let moment = moment.map(|moment| moment.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    let moment = moment.as_deref().unwrap_or(otherwise);
    format!("arrow_cast('{moment}', 'Timestamp(Microsecond, Some(\"UTC\"))')")
}

/// A call's cost and currency: as told, or converted at the rate of its day.
fn money(conversion: Option<(&'static str, Option<&Rates>)>) -> Vec<(&'static str, String)> {
    let mut pieces = vec![
        ("told_costs", TOLD_COSTS.to_owned()),
        ("told_cost", TOLD_COST.to_owned()),
        ("told_currency", TOLD_CURRENCY.to_owned()),
        ("day", DAY.to_owned()),
    ];
    let Some((to, rates)) = conversion else {
        pieces.extend([
            ("cost", TOLD_COST.to_owned()),
            ("currency", TOLD_CURRENCY.to_owned()),
            ("counts", "true".to_owned()),
            ("rates", String::new()),
        ]);
        return pieces;
    };
    let none = Rates::default();
    pieces.extend([
        ("cost", format!(
            "CASE WHEN {TOLD_CURRENCY} = '{to}' THEN {TOLD_COST} ELSE converted({TOLD_COST}, rates.rate) END"
        )),
        ("currency", format!("CASE WHEN {TOLD_COST} IS NOT NULL THEN '{to}' END")),
        ("counts", FIRST_ROW.to_owned()),
        ("rates", rates.unwrap_or(&none).join(to, DAY, TOLD_CURRENCY)),
    ]);
    pieces
}

/// `call.team_id AS "by_team", call.team_name AS "by_team_name", `, with what is to be made of names.
fn values(dimensions: &[&Dimension], name_of: impl Fn(&str) -> String) -> String {
    let value = |Dimension { name, value, .. }: &Dimension| format!("{value} AS \"by_{name}\"");
    each(dimensions, value, |Dimension { name, .. }, told| {
        format!("{} AS \"by_{name}_name\"", name_of(told))
    })
}

fn all_of(conditions: &[impl AsRef<str>]) -> String {
    let conditions: Vec<&str> = conditions.iter().map(AsRef::as_ref).collect();
    if conditions.is_empty() { "true".to_owned() } else { conditions.join("\n    AND ") }
}

/// `by_team AS team, max(by_team_name) AS team_name, `: a value has one name, so any of a group will
/// do.
fn groups(dimensions: &[&Dimension]) -> String {
    let value = |Dimension { name, .. }: &Dimension| format!("\"by_{name}\" AS \"{name}\"");
    each(dimensions, value, |Dimension { name, is_agent, .. }, _| {
        let told = format!("\"by_{name}_name\"");
        let named = if *is_agent { format!("coalesce(agents.name, {told})") } else { told };
        format!("max({named}) AS \"{name}_name\"")
    })
}

/// `by_team, max(by_team_name) AS by_team_name, `: the same by these names, where groups are grouped once more.
fn maxima(dimensions: &[&Dimension], column: impl Fn(&str) -> String) -> String {
    each(
        dimensions,
        |of| column(of.name),
        |of, _| {
            let name = column(&format!("{}_name", of.name));
            format!("max({name}) AS {name}")
        },
    )
}

/// Columns by these names.
fn same(dimensions: &[&Dimension], column: impl Fn(&str) -> String) -> String {
    each(dimensions, |of| column(of.name), |of, _| column(&format!("{}_name", of.name)))
}

/// The columns of the dimensions, names behind their values; a name's is made of what the rows tell as such.
fn each(
    dimensions: &[&Dimension],
    value: impl Fn(&Dimension) -> String,
    name: impl Fn(&Dimension, &str) -> String,
) -> String {
    let mut text = String::new();
    for dimension in dimensions {
        text.push_str(&value(dimension));
        text.push_str(", ");
        if let Some(told) = dimension.label {
            text.push_str(&name(dimension, told));
            text.push_str(", ");
        }
    }
    text
}

/// `GROUP BY by_owner`, or nothing, which is one group.
fn grouping(dimensions: &[&Dimension]) -> String {
    let keys: Vec<String> = dimensions.iter().map(|of| format!("\"by_{}\"", of.name)).collect();
    if keys.is_empty() { String::new() } else { format!("GROUP BY {}", keys.join(", ")) }
}

fn keys(dimensions: &[&Dimension], key: impl Fn(&str) -> String) -> String {
    dimensions.iter().map(|dimension| key(dimension.name)).collect()
}

/// The newest names of agents, beside parts of their groups.
fn agents(dimensions: &[&Dimension]) -> &'static str {
    match dimensions.iter().any(|dimension| dimension.is_agent) {
        true => AGENTS,
        false => "",
    }
}

#[cfg(test)]
mod tests {
    use crate::report;
    use crate::tests::request;

    #[test]
    fn what_somebody_filters_by_is_no_template() {
        let asked = [("agent", "{keys} {zone} {"), ("account", "}{"), ("tz", "Europe/Berlin")];
        let asked = report::render(&request("call-cost", &asked)).unwrap().sql;
        assert!(asked.contains("= '{keys} {zone} {'") && asked.contains("= '}{'"), "{asked}");
        let asked = asked.replace("'{keys} {zone} {'", "").replace("'}{'", "");
        assert!(!asked.contains('{') && asked.contains("Europe/Berlin"), "{asked}");
    }
}
