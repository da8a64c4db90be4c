//! The views: newest states, and the dimensions that name an id. One `.sql` file an entry, but for the
//! records' newest states, which differ in the table alone.
//!
//! A view stands in the slice after those it uses. Joins compare with `IS NOT DISTINCT FROM`, since
//! not every system tells an account; in brackets, since the parser takes all that follows for its
//! right-hand side.

/// A named query over the tables.
#[derive(Debug)]
pub struct View {
    pub name: &'static str,
    /// What a row is, in half a sentence.
    pub row_is: &'static str,
    pub sql: &'static str,
}

/// The table of `[accounts."…"] currency`, made from the settings.
pub const ACCOUNT_CURRENCIES: &str = "account_currencies";

/// The newest row of each record of a table, whole: null is a value here. Deleted ones are out.
macro_rules! newest {
    ($table:literal) => {
        concat!(
            r#"SELECT * EXCEPT (state_number)
FROM (
    SELECT *, row_number() OVER (
        PARTITION BY system, account_id, id
        ORDER BY event_time DESC, received_at DESC, topic DESC, "partition" DESC, "offset" DESC
    ) AS state_number
    FROM "#,
            $table,
            r"
) AS states
WHERE state_number = 1
    AND is_deleted IS NOT TRUE
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
        name: "call_costs",
        row_is: "what one call cost in one currency",
        sql: include_str!("call_costs.sql"),
    },
    View {
        name: "calls_current",
        row_is: "the newest state of one call",
        sql: include_str!("calls_current.sql"),
    },
    View {
        name: "contacts_current",
        row_is: "the newest state of one contact",
        sql: newest!("contacts"),
    },
    View { name: "leads_current", row_is: "the newest state of one lead", sql: newest!("leads") },
    View { name: "deals_current", row_is: "the newest state of one deal", sql: newest!("deals") },
    View {
        name: "sales_accounts_current",
        row_is: "the newest state of one sales account",
        sql: newest!("sales_accounts"),
    },
    View {
        name: "custom_module_records_current",
        row_is: "the newest state of one custom module record",
        sql: include_str!("custom_module_records_current.sql"),
    },
    View {
        name: "appointments_current",
        row_is: "the newest state of one appointment",
        sql: newest!("appointments"),
    },
    View { name: "tasks_current", row_is: "the newest state of one task", sql: newest!("tasks") },
    View {
        name: "field_labels_current",
        row_is: "the newest label of one field, first and last seen",
        sql: include_str!("field_labels_current.sql"),
    },
    View {
        name: "agents",
        row_is: "the newest name of one agent",
        sql: include_str!("agents.sql"),
    },
    View {
        name: "users",
        row_is: "the newest name of one user of the CRM",
        sql: include_str!("users.sql"),
    },
    View {
        name: "deal_stages",
        row_is: "one deal stage as last shown",
        sql: include_str!("deal_stages.sql"),
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
        name: "deal_changes",
        row_is: "one field of one update of a deal that changed",
        sql: include_str!("deal_changes.sql"),
    },
];
