//! `dead_letters`: one event that could not be used, whole: raw bytes, stage, cause, position.
//!
//! `id` is the log position as text, so the same letter has the same id after a replay. What is asked of
//! a letter later adds a row with the same id: `retried_at` is when it was asked, `outcome` what came of
//! it (`written`, `repeated`, `refused`, `dropped`), and the row's position that of the asking in the
//! log. All but `refused` close it. `dead_letters_current` has one row a letter.

use super::TableSpec;
use crate::columns::{Column, Kind};

pub static DEAD_LETTERS: TableSpec = TableSpec {
    name: "dead_letters",
    row_is: "one event that could not be used",
    columns: &[
        Column::new("id", Kind::Text),
        Column::new("stage", Kind::Text),
        Column::new("cause", Kind::Text),
        Column::new("message", Kind::Text),
        Column::new("body", Kind::Binary),
        Column::new("route", Kind::Text),
        Column::new("retried_at", Kind::Time),
        Column::new("outcome", Kind::Text),
    ],
    grows: false,
    primary: true,
    sort: &["event_time", "offset"],
};
