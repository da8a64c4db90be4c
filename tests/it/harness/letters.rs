//! Dead letters as an earlier version, which knew less, would have left them.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, StringArray};
use arrow::record_batch::RecordBatch;
use ringlake_sinks::{Sink, SinkSettings};
use ringlake_transform::{
    FlatBatch, Flattener, LogPartition, OffsetRange, RawBatch, RawEvent, systems,
};

use super::process::Place;

/// An event that today's version knows and an earlier one did not.
pub struct OldLetter<'a> {
    pub id: &'a str,
    pub system: &'a str,
    pub route: Option<&'a str>,
    pub stage: &'a str,
    pub received_at: i64,
    pub body: Vec<u8>,
}

/// Writes them to the tables of a place that nobody serves.
pub fn leave(place: &Place, letters: &[OldLetter<'_>]) {
    let root = place.data().join("tables").display().to_string();
    let write = async {
        let mut sink = Sink::open(SinkSettings::new(root)).await.unwrap();
        for letter in letters {
            sink.write(batch(letter)).await.unwrap();
        }
    };
    tokio::runtime::Runtime::new().unwrap().block_on(write);
}

/// What the present version writes of an event it does not know, with another body, stage and id.
fn batch(letter: &OldLetter<'_>) -> FlatBatch {
    let event = RawEvent {
        offset: 0,
        received_at: letter.received_at,
        route: letter.route.map(Arc::from),
        body: "no event".into(),
        resolution: None,
        damaged: false,
    };
    let mut flat = Flattener::default().flatten(vec![RawBatch {
        partition: LogPartition::new(format!("import:older {}", letter.id), 0),
        system: systems::by_name(letter.system).unwrap(),
        range: OffsetRange::new(0, 0),
        events: vec![event],
    }]);
    let rows = &mut flat.tables[0].rows;
    let mut columns = rows.columns().to_vec();
    let mut set =
        |name: &str, value: ArrayRef| columns[rows.schema().index_of(name).unwrap()] = value;
    let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    set("id", text(letter.id));
    set("stage", text(letter.stage));
    set("cause", text("older"));
    set("body", Arc::new(BinaryArray::from_vec(vec![&letter.body])));
    *rows = RecordBatch::try_new(rows.schema(), columns).unwrap();
    flat
}
