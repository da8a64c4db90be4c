//! `field_changes`: one field of one record or call that changed, with who did it. Values are text
//! with null kept, as the vendor wrote them; `added` and `removed` are JSON arrays.

use super::TableSpec;
use crate::columns::{Column, Kind};

pub static FIELD_CHANGES: TableSpec = TableSpec {
    name: "field_changes",
    row_is: "one field of one record or call that changed",
    columns: &[
        // The singular of the table: deal, contact, call …
        Column::new("record_type", Kind::Text),
        Column::new("record_id", Kind::Text),
        Column::new("field", Kind::Text),
        Column::new("label", Kind::Text),
        Column::new("old_value", Kind::Text),
        Column::new("new_value", Kind::Text),
        Column::new("added", Kind::Json),
        Column::new("removed", Kind::Json),
        // model, system or misc.
        Column::new("origin", Kind::Text),
        Column::new("actor_id", Kind::Text),
        Column::new("actor_name", Kind::Text),
        Column::new("changed_at", Kind::Time),
        // Whether old and new are the same value: the vendor sends such pairs.
        Column::new("unchanged", Kind::Bool),
        // The shape it came in: pair, single, added-removed, value.
        Column::new("shape", Kind::Text),
    ],
    grows: false,
    primary: false,
    sort: &["account_id", "record_type", "record_id", "event_time", "offset"],
};
