//! `field_labels`: the label and type of one labeled field, each time this process first sees it or
//! sees it change. The view `field_labels_current` folds the rows to first and last sight.

use super::TableSpec;
use crate::columns::{Column, Kind};

pub static FIELD_LABELS: TableSpec = TableSpec {
    name: "field_labels",
    row_is: "the label, type and first sight of one labeled field",
    columns: &[
        Column::new("record_type", Kind::Text),
        Column::new("field", Kind::Text),
        // The vendor's own column name of a custom field: cf_str07.
        Column::new("column_key", Kind::Text),
        Column::new("label", Kind::Text),
        Column::new("type", Kind::Text),
        // The column of the record's table that holds it; null when it is kept in `extra`.
        Column::new("column_name", Kind::Text),
        Column::new("first_seen_at", Kind::Time),
        Column::new("last_seen_at", Kind::Time),
    ],
    grows: false,
    primary: false,
    sort: &["account_id", "record_type", "field", "event_time"],
};
