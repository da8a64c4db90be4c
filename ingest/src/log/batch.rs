//! Collects the records of one partition into a [`RawBatch`].
//!
//! The bodies lie in one buffer that all events of the batch share, so that a batch of a hundred
//! thousand small events costs a handful of allocations.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use ringlake_transform::{
    LogPartition, Micros, OffsetRange, RawBatch, RawEvent, Resolution, System,
};

pub(super) struct BatchBuilder {
    partition: LogPartition,
    system: &'static dyn System,
    bodies: Vec<u8>,
    records: Vec<Record>,
    /// The last route seen: routes repeat, their strings are shared.
    route: Option<Arc<str>>,
}

struct Record {
    offset: i64,
    received_at: Micros,
    route: Option<Arc<str>>,
    resolution: Option<Arc<Resolution>>,
    body: Range<usize>,
    damaged: bool,
}

impl BatchBuilder {
    pub(super) fn new(partition: LogPartition, system: &'static dyn System) -> Self {
        Self { partition, system, bodies: Vec::new(), records: Vec::new(), route: None }
    }

    pub(super) fn is_of(&self, topic: &str, partition: i32) -> bool {
        self.partition.partition == partition && self.partition.topic.as_ref() == topic
    }

    /// Adds a record; offsets have to grow.
    pub(super) fn push(
        &mut self,
        offset: i64,
        received_at: Micros,
        route: Option<&str>,
        resolution: Option<Resolution>,
        body: &[u8],
    ) {
        let start = self.bodies.len();
        self.bodies.extend_from_slice(body);
        let route = route.map(|route| self.shared(route));
        let (resolution, body) = (resolution.map(Arc::new), start..self.bodies.len());
        let damaged = false;
        self.records.push(Record { offset, received_at, route, resolution, body, damaged });
    }

    /// Adds a record that is not what was written, with the bytes that are there.
    pub(super) fn push_damaged(&mut self, offset: i64, received_at: Micros, bytes: &[u8]) {
        self.push(offset, received_at, None, None, bytes);
        if let Some(record) = self.records.last_mut() {
            record.damaged = true;
        }
    }

    fn shared(&mut self, route: &str) -> Arc<str> {
        match &self.route {
            Some(last) if last.as_ref() == route => last.clone(),
            _ => self.route.insert(route.into()).clone(),
        }
    }

    /// The offset behind the last record.
    pub(super) fn next(&self) -> Option<i64> {
        self.records.last().map(|record| record.offset + 1)
    }

    pub(super) fn body_bytes(&self) -> usize {
        self.bodies.len()
    }

    /// The batch, or nothing where no record came.
    pub(super) fn finish(self) -> Option<RawBatch> {
        let range = OffsetRange::new(self.records.first()?.offset, self.records.last()?.offset);
        let bodies = Bytes::from(self.bodies);
        let event = |record: Record| RawEvent {
            offset: record.offset,
            received_at: record.received_at,
            route: record.route,
            resolution: record.resolution,
            body: bodies.slice(record.body),
            damaged: record.damaged,
        };
        let events = self.records.into_iter().map(event).collect();
        Some(RawBatch { partition: self.partition, system: self.system, range, events })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringlake_transform::SYSTEMS;

    #[test]
    fn keeps_bodies_routes_and_the_range() {
        let mut builder = BatchBuilder::new(LogPartition::new("t", 2), SYSTEMS[0]);
        let resolution: Resolution = "drop 5 t/2/1".parse().unwrap();
        builder.push(4, 10, Some("hangup"), None, b"one");
        builder.push(9, 11, Some("hangup"), Some(resolution.clone()), b"");
        builder.push(10, 12, None, None, b"three");
        assert!(builder.is_of("t", 2) && !builder.is_of("t", 1) && !builder.is_of("u", 2));
        let batch = builder.finish().unwrap();
        assert_eq!(batch.range, OffsetRange::new(4, 10));
        let bodies: Vec<&[u8]> = batch.events.iter().map(|event| event.body.as_ref()).collect();
        assert_eq!(bodies, [&b"one"[..], b"", b"three"]);
        assert_eq!(batch.events[1].route.as_deref(), Some("hangup"));
        assert_eq!(batch.events[1].resolution.as_deref(), Some(&resolution));
        assert_eq!((&batch.events[2].route, &batch.events[2].resolution), (&None, &None));
    }

    #[test]
    fn no_record_makes_no_batch() {
        assert!(BatchBuilder::new(LogPartition::new("t", 0), SYSTEMS[0]).finish().is_none());
    }
}
