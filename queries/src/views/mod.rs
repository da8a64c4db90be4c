//! The views: newest states, and the dimensions that name an id. One `.sql` file an entry, but for the
//! newest rows of tables, which differ in the table and key alone.
//!
//! A view stands in the slice after those it uses. Names that begin with `_` are steps on the way, that
//! folding keeps the results of (see `fold`); they are not listed.
//!
//! Joins compare with `IS NOT DISTINCT FROM`, since not every system tells an account; in brackets, since
//! the parser takes all that follows for its right-hand side.

/// A named query over the tables.
#[derive(Debug)]
pub struct View {
    pub name: &'static str,
    /// What a row is, in half a sentence.
    pub row_is: &'static str,
    pub sql: &'static str,
}

/// What the names of steps on the way begin with.
pub(crate) const STEP: char = '_';

/// The table of `[accounts."…"] currency`, made from the settings.
pub const ACCOUNT_CURRENCIES: &str = "account_currencies";

/// The table of `[accounts."…"] country`, made from the settings.
pub const ACCOUNT_COUNTRIES: &str = "account_countries";

/// The view of calls that tariffs rate, and its rows where there are none: nothing is then read of a call for its
/// rating.
pub(crate) const RATED: &str = "calls_current";
pub(crate) const UNRATED: &str = "SELECT *, CAST(NULL AS VARCHAR) AS tariff FROM _calls_told";

/// The newest of the rows that have the same key, whole: null is a value here. `$tie` decides between
/// rows of one event.
macro_rules! newest {
    ($told:literal, $key:literal, $tie:literal) => {
        concat!(
            "SELECT * EXCEPT (place)
FROM (
    SELECT *, row_number() OVER (
        PARTITION BY system, account_id, ",
            $key,
            r#"
        ORDER BY event_time DESC, received_at DESC, topic DESC, "partition" DESC, "offset" DESC"#,
            $tie,
            "
    ) AS place
    FROM ",
            $told,
            "
) AS ranked
WHERE place = 1"
        )
    };
}

/// The records that are not deleted, as they are now.
macro_rules! current {
    ($newest:literal) => {
        concat!(
            "SELECT *
FROM ",
            $newest,
            "
WHERE is_deleted IS NOT TRUE
    AND event_type NOT LIKE '%Delete'"
        )
    };
}

pub const VIEWS: &[View] = &[
    View {
        name: "call_participants_current",
        row_is: "the newest state of one leg",
        sql: include_str!("call_participants_current.sql"),
    },
    View {
        name: "channel_calls_current",
        row_is: "one call seen through its channels",
        sql: include_str!("channel_calls_current.sql"),
    },
    View {
        name: "channel_phases",
        row_is: "one phase of an agent's channel",
        sql: include_str!("channel_phases.sql"),
    },
    View {
        name: "_calls_stated",
        row_is: "what the states of one call tell together",
        sql: include_str!("calls_stated.sql"),
    },
    View {
        name: "_call_cost_lines",
        row_is: "what one call cost in one currency, as it was told",
        sql: include_str!("call_cost_lines.sql"),
    },
    View {
        name: "_split_cost_lines",
        row_is: "what one call cost in one currency, as it was told, where its own row does not tell that",
        sql: "SELECT * EXCEPT (is_split) FROM _call_cost_lines WHERE is_split",
    },
    View {
        name: "_calls_whole",
        row_is: "all that is known of one call",
        sql: include_str!("calls_whole.sql"),
    },
    View {
        name: "call_costs_told",
        row_is: "what one call cost in one currency, as its vendor told",
        sql: include_str!("call_costs.sql"),
    },
    View {
        name: "call_costs_split",
        row_is: "what one call cost in one currency, where its own row does not tell that",
        sql: include_str!("call_costs_split.sql"),
    },
    View {
        name: "_calls_told",
        row_is: "the newest state of one call, as its vendor told",
        sql: include_str!("calls_current.sql"),
    },
    View {
        name: RATED,
        row_is: "the newest state of one call, rated by a tariff where its vendor tells no cost",
        sql: include_str!("rated_calls.sql"),
    },
    View {
        name: "call_costs",
        row_is: "what one call cost in one currency",
        sql: include_str!("rated_costs.sql"),
    },
    View {
        name: "unrated_calls",
        row_is: "one call without any cost, and why",
        sql: include_str!("unrated_calls.sql"),
    },
    View {
        name: "_contacts_newest",
        row_is: "the newest state of one contact, deleted or not",
        sql: newest!("contacts", "id", ""),
    },
    View {
        name: "contacts_current",
        row_is: "the newest state of one contact",
        sql: current!("_contacts_newest"),
    },
    View {
        name: "_leads_newest",
        row_is: "the newest state of one lead, deleted or not",
        sql: newest!("leads", "id", ""),
    },
    View {
        name: "leads_current",
        row_is: "the newest state of one lead",
        sql: current!("_leads_newest"),
    },
    View {
        name: "_deals_newest",
        row_is: "the newest state of one deal, deleted or not",
        sql: newest!("deals", "id", ""),
    },
    View {
        name: "deals_current",
        row_is: "the newest state of one deal",
        sql: current!("_deals_newest"),
    },
    View {
        name: "_sales_accounts_newest",
        row_is: "the newest state of one sales account, deleted or not",
        sql: newest!("sales_accounts", "id", ""),
    },
    View {
        name: "sales_accounts_current",
        row_is: "the newest state of one sales account",
        sql: current!("_sales_accounts_newest"),
    },
    View {
        name: "_custom_module_records_newest",
        row_is: "the newest state of one custom module record, deleted or not",
        sql: newest!("custom_module_records", "module_name, id", ""),
    },
    View {
        name: "custom_module_records_current",
        row_is: "the newest state of one custom module record",
        sql: current!("_custom_module_records_newest"),
    },
    View {
        name: "_appointments_newest",
        row_is: "the newest state of one appointment, deleted or not",
        sql: newest!("appointments", "id", ""),
    },
    View {
        name: "appointments_current",
        row_is: "the newest state of one appointment",
        sql: current!("_appointments_newest"),
    },
    View {
        name: "_tasks_newest",
        row_is: "the newest state of one task, deleted or not",
        sql: newest!("tasks", "id", ""),
    },
    View {
        name: "tasks_current",
        row_is: "the newest state of one task",
        sql: current!("_tasks_newest"),
    },
    View {
        name: "field_labels_current",
        row_is: "the newest label of one field, first and last seen",
        sql: include_str!("field_labels_current.sql"),
    },
    View {
        name: "dead_letters_current",
        row_is: "one event that could not be used, and what came of it since",
        sql: include_str!("dead_letters_current.sql"),
    },
    View {
        name: "_agents_told",
        row_is: "the name of one agent, each time it was told",
        sql: include_str!("agents_told.sql"),
    },
    View {
        name: "_agents_newest",
        row_is: "the name of one agent, when it was told last",
        sql: newest!("_agents_told", "agent_id", ", name"),
    },
    View {
        name: "agents",
        row_is: "the newest name of one agent",
        sql: include_str!("agents.sql"),
    },
    View {
        name: "_users_told",
        row_is: "the name of one user of the CRM, each time it was told",
        sql: include_str!("users_told.sql"),
    },
    View {
        name: "_users_newest",
        row_is: "the name of one user of the CRM, when it was told last",
        sql: newest!("_users_told", "user_id", ", name"),
    },
    View {
        name: "users",
        row_is: "the newest name of one user of the CRM",
        sql: include_str!("users.sql"),
    },
    View {
        name: "_deal_stages_told",
        row_is: "one deal stage, each time it was told",
        sql: include_str!("deal_stages_told.sql"),
    },
    View {
        name: "_deal_stages_newest",
        row_is: "one deal stage, when it was told last",
        sql: newest!("_deal_stages_told", "id", ""),
    },
    View {
        name: "deal_stages",
        row_is: "one deal stage as last shown",
        sql: include_str!("deal_stages.sql"),
    },
    View {
        name: "_deal_stages_held",
        row_is: "all deal stages in one list, to look them up",
        sql: include_str!("deal_stages_held.sql"),
    },
    View {
        name: "_deal_stages_closed",
        row_is: "all deal stages that are not open in one list",
        sql: include_str!("deal_stages_closed.sql"),
    },
    View {
        name: "_deal_pipelines_told",
        row_is: "one deal pipeline, each time it was told",
        sql: include_str!("deal_pipelines_told.sql"),
    },
    View {
        name: "_deal_pipelines_newest",
        row_is: "one deal pipeline, when it was told last",
        sql: newest!("_deal_pipelines_told", "id", ""),
    },
    View {
        name: "deal_pipelines",
        row_is: "one deal pipeline as last shown",
        sql: include_str!("deal_pipelines.sql"),
    },
    View {
        name: "deal_value_names",
        row_is: "the name of one id that a deal's field can hold",
        sql: include_str!("deal_value_names.sql"),
    },
    View {
        name: "_deal_changes_told",
        row_is: "one field of one update of a deal that changed, each time it was told",
        sql: include_str!("deal_changes_told.sql"),
    },
    View {
        name: "_deal_changes_first",
        row_is: "one field of one update of a deal that changed, when it was told first",
        sql: include_str!("deal_changes_first.sql"),
    },
    View {
        name: "deal_changes",
        row_is: "one field of one update of a deal that changed",
        sql: include_str!("deal_changes.sql"),
    },
    View {
        name: "_deal_history_told",
        row_is: "one state of a deal or change of its stage, each time that it was told",
        sql: include_str!("deal_history_told.sql"),
    },
    View {
        name: "_deal_history_kept",
        row_is: "one deal's newest state, or a change of its stage when it was told first",
        sql: include_str!("deal_history_kept.sql"),
    },
    View {
        name: "_deal_histories",
        row_is: "one deal with its stays in stages, its contacts and its account",
        sql: include_str!("deal_histories.sql"),
    },
    View {
        name: "deal_stays",
        row_is: "one stay of a deal in a stage",
        sql: include_str!("deal_stays.sql"),
    },
    View {
        name: "_people_numbers",
        row_is: "one number by which a contact or an account is called, each time that it is told",
        sql: include_str!("people_numbers.sql"),
    },
    View {
        name: "_phone_book",
        row_is: "the numbers of all people, to look them up",
        sql: include_str!("phone_book.sql"),
    },
    View {
        name: "deal_numbers",
        row_is: "one number by which a deal's people are called, each time that it is told",
        sql: include_str!("deal_numbers.sql"),
    },
    View {
        name: "deal_openings",
        row_is: "one deal that is not deleted, its stays in open stages and its people's numbers",
        sql: include_str!("deal_openings.sql"),
    },
];

/// The view of this name.
pub fn by_name(name: &str) -> Option<&'static View> {
    VIEWS.iter().find(|view| view.name == name)
}
