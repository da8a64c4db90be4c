//! Folding: what the states of each entity come to, kept in files, so that a question need not merge
//! them again. What a view then shows is
//!
//! ```text
//! folded rows of the entities that no later state touches
//!   + the view's definition over (kept states of the touched entities + the later states)
//! ```
//!
//! The definition is the view's own SQL; it is only asked of fewer states. That this is the same as
//! asking it of all states is what [`ringlake_transform::merge`] promises of the states it keeps.
//!
//! | file | role |
//! | --- | --- |
//! | [`place`] | what lies on the disk: manifests, folded files, the files committed since |
//! | [`fresh`] | what states make of the entities they touch; [`calls`] does so for calls |
//! | [`shown`] | the views, made of folded and fresh rows |
//! | [`reading`] | whether a fold is of use to an engine |
//! | [`advance`] | folds what was committed since into new files; [`groups`] cuts these |
//!
//! A fold is derived and may be missing, old or of another definition: then the views are asked of all
//! states. It must never be the only place where anything is.

use ringlake_transform::folded::Packed;
use sha2::{Digest, Sha256};

use crate::output::cell::hex;
use crate::views;

pub(crate) mod advance;
mod calls;
pub(crate) mod fresh;
mod groups;
pub(crate) mod place;
pub(crate) mod reading;
mod scope;
pub(crate) mod shown;

pub use advance::{Advanced, Failure, FoldStore, When};

/// Something folded: entities of one kind.
#[derive(Debug)]
pub struct Fold {
    pub name: &'static str,
    /// The tables whose rows are states of the entities.
    pub(crate) tables: &'static [&'static str],
    /// A table of events that are never superseded, read again where such a state needs those of its time.
    pub(crate) beside: Option<&'static str>,
    /// What tells one entity from another, in every part.
    pub(crate) key: &'static [&'static str],
    pub(crate) parts: &'static [Part],
    pub(crate) what: What,
}

/// Rows of one kind that a fold has, in files of their own.
#[derive(Debug)]
pub struct Part {
    pub(crate) name: &'static str,
    /// The view whose rows these are; none where they are states that still matter.
    pub(crate) view: Option<&'static str>,
    /// How its files are sorted.
    pub(crate) sort: &'static [&'static str],
    /// What questions read is fast; the rest is most of a folder, and read when it is folded again.
    pub(crate) packed: Packed,
}

#[derive(Debug)]
pub(crate) enum What {
    /// Calls are merged by column, with their legs and channels.
    Calls,
    /// Of each entity some rows of this table or view count, whole; which, the first part's view decides. Other parts are
    /// made of these rows.
    Picked { told: &'static str },
}

const fn newest(
    name: &'static str,
    tables: &'static [&'static str],
    told: &'static str,
    key: &'static [&'static str],
    parts: &'static [Part],
) -> Fold {
    Fold { name, tables, beside: None, key, parts, what: What::Picked { told } }
}

const fn asked(name: &'static str, view: &'static str, sort: &'static [&'static str]) -> Part {
    Part { name, view: Some(view), sort, packed: Packed::Fast }
}

const fn rows(view: &'static str, sort: &'static [&'static str]) -> Part {
    asked("rows", view, sort)
}

const fn kept(
    name: &'static str,
    view: Option<&'static str>,
    sort: &'static [&'static str],
) -> Part {
    Part { name, view, sort, packed: Packed::Small }
}

const ID: &[&str] = &["system", "account_id", "id"];
const RECORD: &[&str] = &["system", "account_id", "record_id"];
const CALL: &[&str] = &["system", "account_id", "call_id"];

pub const FOLDS: &[Fold] = &[
    Fold {
        name: "calls",
        tables: &["calls", "call_participants", "channel_events"],
        beside: Some("channel_events"),
        key: CALL,
        parts: &[
            asked("whole", "_calls_whole", &["started_at", "call_id"]),
            asked("cost_lines", "_call_cost_lines", CALL),
            asked("split_costs", "_split_cost_lines", CALL),
            asked("phases", "channel_phases", &["began_at", "call_id"]),
            kept("states", None, CALL),
            kept("legs", None, CALL),
        ],
        what: What::Calls,
    },
    newest("contacts", &["contacts"], "contacts", ID, &[rows("_contacts_newest", ID)]),
    newest("leads", &["leads"], "leads", ID, &[rows("_leads_newest", ID)]),
    newest("deals", &["deals"], "deals", ID, &[rows("_deals_newest", ID)]),
    newest(
        "sales_accounts",
        &["sales_accounts"],
        "sales_accounts",
        ID,
        &[rows("_sales_accounts_newest", ID)],
    ),
    newest(
        "custom_module_records",
        &["custom_module_records"],
        "custom_module_records",
        &["system", "account_id", "module_name", "id"],
        &[rows("_custom_module_records_newest", ID)],
    ),
    newest(
        "appointments",
        &["appointments"],
        "appointments",
        ID,
        &[rows("_appointments_newest", ID)],
    ),
    newest("tasks", &["tasks"], "tasks", ID, &[rows("_tasks_newest", ID)]),
    newest(
        "agents",
        &["calls", "call_participants", "agent_events"],
        "_agents_told",
        &["system", "account_id", "agent_id"],
        &[rows("_agents_newest", &["agent_id"])],
    ),
    newest(
        "users",
        &["deals", "contacts"],
        "_users_told",
        &["system", "account_id", "user_id"],
        &[rows("_users_newest", &["user_id"])],
    ),
    Fold {
        name: "deal_histories",
        tables: &["deals", "field_changes"],
        beside: None,
        key: RECORD,
        parts: &[kept("kept", Some("_deal_history_kept"), RECORD), rows("_deal_histories", RECORD)],
        what: What::Picked { told: "_deal_history_told" },
    },
    newest("deal_stages", &["deals"], "_deal_stages_told", ID, &[rows("_deal_stages_newest", ID)]),
    newest(
        "deal_pipelines",
        &["deals"],
        "_deal_pipelines_told",
        ID,
        &[rows("_deal_pipelines_newest", ID)],
    ),
    Fold {
        name: "deal_changes",
        tables: &["field_changes"],
        beside: Some("deals"),
        key: &["system", "account_id", "event_key"],
        // Most questions are about one field, and most fields of an update are of no interest.
        parts: &[rows("_deal_changes_first", &["field", "changed_at", "record_id"])],
        what: What::Picked { told: "_deal_changes_told" },
    },
];

impl Fold {
    /// The fold that keeps the rows of a view.
    pub(crate) fn of_view(view: &str) -> Option<&'static Self> {
        FOLDS.iter().find(|fold| fold.parts.iter().any(|part| part.view == Some(view)))
    }

    /// Where it lies, relative to the root of the tables.
    pub fn folder(&self) -> String {
        ringlake_transform::folded::folder(self.name, &self.definition())
    }

    /// Tells folds apart that were made by other rules than these.
    fn definition(&self) -> String {
        /// Counts up when the code beside the SQL changes what it makes of the same states.
        const RULES: u32 = 1;
        let views: Vec<&str> = match &self.what {
            What::Calls => calls::DEFINITION.to_vec(),
            What::Picked { told } => {
                self.parts.iter().filter_map(|part| part.view).chain([*told]).collect()
            }
        };
        let mut hash = Sha256::new();
        hash.update(format!("{RULES} {:?}", self.key));
        for view in views.into_iter().filter_map(views::by_name) {
            hash.update(view.sql);
        }
        let mut definition = hex(&hash.finalize());
        definition.truncate(8);
        definition
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_tables_and_names_exist() {
        let mut folders = std::collections::HashSet::new();
        for fold in FOLDS {
            assert!(folders.insert(fold.folder()), "{} stands twice", fold.name);
            for table in fold.tables.iter().chain(&fold.beside) {
                assert!(ringlake_transform::tables::by_name(table).is_some(), "{table}");
            }
            for view in fold.parts.iter().filter_map(|part| part.view) {
                assert!(views::by_name(view).is_some(), "{view}");
            }
        }
    }
}
