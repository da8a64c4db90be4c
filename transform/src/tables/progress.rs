//! `progress`: how far all tables are complete, one live row per log partition.
//!
//! Each batch ends with a commit here that replaces the rows of the partitions it moved. Readers
//! take all tables at the `tables` versions of the newest row, so nobody sees half a batch; the log
//! is trimmed and the consumer resumes behind `position`. Older versions of this table are the
//! history that `--as-of` walks.

use super::TableSpec;
use crate::columns::{Column, Kind};

pub static PROGRESS: TableSpec = TableSpec {
    name: "progress",
    row_is: "one finished batch: position per partition, version of each table",
    columns: &[
        Column::required("topic", Kind::Text),
        Column::required("partition", Kind::Int),
        // The last offset up to which every table is complete.
        Column::required("position", Kind::Int),
        Column::required("committed_at", Kind::Time),
        // JSON object: table name to Delta version.
        Column::required("tables", Kind::Json),
        // Since the partition's first event: all events up to the position, how many of them became
        // dead letters, and how many were repeats and have no row; the others have rows. `verify`
        // counts the tables against these.
        Column::new("events", Kind::Int),
        Column::new("dead_lettered", Kind::Int),
        Column::new("repeated", Kind::Int),
    ],
    grows: false,
    primary: false,
    sort: &["topic", "partition"],
};
