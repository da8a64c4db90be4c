//! From lines to raw events.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use ringlake_transform::{
    LogPartition, Micros, OffsetRange, RawBatch, RawEvent, SYSTEMS, System, systems,
};

use super::Piece;
use super::lines::{BLOCK, Blocks, split};
use crate::envelope::Envelope;

/// How the lines of a file are to be read.
#[derive(Clone)]
pub struct Reading {
    /// The system of lines without envelopes, and of lines that are no envelope.
    pub system: Option<&'static dyn System>,
    pub route: Option<Arc<str>>,
    pub enveloped: bool,
    /// Counts as the time of receipt where no envelope tells it.
    pub received_at: Micros,
}

impl Reading {
    /// What the meaning of a line depends on, besides the line.
    pub fn identity(&self) -> [&str; 3] {
        let system = self.system.map_or("", System::name);
        let way = if self.enveloped { "enveloped" } else { "plain" };
        [system, self.route.as_deref().unwrap_or(""), way]
    }
}

/// Reads a file as pieces of about `max_bytes`.
pub struct Pieces<R> {
    blocks: Blocks<R>,
    reading: Reading,
    partition: LogPartition,
    /// The last line that the tables have.
    behind: Option<i64>,
    max_bytes: usize,
    line: i64,
    end: u64,
    /// What a line that is no envelope is given to: the system of the line before it.
    system: &'static dyn System,
}

impl<R: Read> Pieces<R> {
    pub fn new(
        source: R,
        reading: Reading,
        partition: LogPartition,
        behind: Option<i64>,
        max_bytes: usize,
    ) -> Self {
        #[allow(clippy::indexing_slicing, reason = "there is always a system")]
        let system = reading.system.unwrap_or(SYSTEMS[0]);
        let blocks = Blocks::new(source, BLOCK.min(max_bytes.max(1)));
        Self { blocks, reading, partition, behind, max_bytes, line: 0, end: 0, system }
    }

    pub fn next(&mut self) -> io::Result<Option<Piece>> {
        let mut piece = Piece { batches: Vec::new(), lines: 0, skipped: 0, end: self.end };
        let mut bytes = 0;
        while bytes < self.max_bytes {
            let Some(block) = self.blocks.next()? else {
                return Ok((piece.end > 0 && piece.lines + piece.skipped > 0).then_some(piece));
            };
            self.end += block.len() as u64;
            piece.end = self.end;
            for line in split(&block) {
                let number = self.line;
                self.line += 1;
                if self.behind.is_some_and(|behind| number <= behind) {
                    piece.skipped += 1;
                    continue;
                }
                piece.lines += 1;
                bytes += line.len();
                self.add(&mut piece.batches, number, line);
            }
        }
        Ok(Some(piece))
    }

    fn add(&mut self, batches: &mut Vec<RawBatch>, number: i64, line: Bytes) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let event = self.event(number, line);
        let system = self.system;
        let range = OffsetRange::new(number, number);
        match batches.last_mut() {
            Some(batch) if batch.system.name() == system.name() => {
                batch.range = batch.range.join(range);
                batch.events.push(event);
            }
            _ => {
                let partition = self.partition.clone();
                batches.push(RawBatch { partition, system, range, events: vec![event] });
            }
        }
    }

    /// The event of a line. A line that is no envelope stays as it is, and becomes a dead letter.
    fn event(&mut self, offset: i64, line: Bytes) -> RawEvent {
        let enveloped = if self.reading.enveloped { self.open(offset, &line) } else { None };
        enveloped.unwrap_or_else(|| RawEvent {
            offset,
            received_at: self.reading.received_at,
            route: self.reading.route.clone(),
            body: line,
            resolution: None,
            damaged: false,
        })
    }

    fn open(&mut self, offset: i64, line: &Bytes) -> Option<RawEvent> {
        let envelope: Envelope<'_> = serde_json::from_slice(line).ok()?;
        if envelope.system != self.system.name() {
            self.system = systems::by_name(&envelope.system).ok()?;
        }
        // Routes are few: the system's own strings would do, but any route may come.
        let route = match (&envelope.route, &self.reading.route) {
            (Some(route), Some(known)) if **route == **known => Some(known.clone()),
            (Some(route), _) => Some(Arc::from(route.as_ref())),
            (None, _) => None,
        };
        let received_at = envelope.received_at().unwrap_or(self.reading.received_at);
        let resolution = envelope.resolution().map(Arc::new);
        let body = envelope.body()?;
        Some(RawEvent { offset, received_at, route, body, resolution, damaged: false })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    fn pieces(text: &str, reading: Reading, behind: Option<i64>, max_bytes: usize) -> Vec<Piece> {
        let partition = LogPartition::new("import:test", 0);
        let mut pieces = Pieces::new(text.as_bytes(), reading, partition, behind, max_bytes);
        std::iter::from_fn(|| pieces.next().unwrap()).collect()
    }

    fn plain() -> Reading {
        Reading { system: Some(SYSTEMS[0]), route: None, enveloped: false, received_at: 5 }
    }

    fn offsets(pieces: &[Piece]) -> Vec<i64> {
        let batches = pieces.iter().flat_map(|piece| &piece.batches);
        batches.flat_map(|batch| batch.events.iter().map(|event| event.offset)).collect()
    }

    #[test]
    fn the_offset_is_the_line_and_blank_lines_count() {
        let text = "{}\n\n  \r\n{}\r\n{}";
        for max_bytes in [1, 4, 1000] {
            let pieces = pieces(text, plain(), None, max_bytes);
            assert_eq!(offsets(&pieces), [0, 3, 4], "batches of {max_bytes}");
            assert_eq!(pieces.iter().map(|piece| piece.lines).sum::<u64>(), 5);
            assert_eq!(pieces.last().unwrap().end, text.len() as u64);
        }
    }

    #[test]
    fn what_the_tables_have_is_passed_over() {
        let pieces = pieces("a\nb\nc\nd\n", plain(), Some(1), 1000);
        assert_eq!(offsets(&pieces), [2, 3]);
        assert_eq!(pieces[0].skipped, 2);
        assert_eq!(pieces[0].batches[0].range, OffsetRange::new(2, 3));
    }

    #[test]
    fn envelopes_name_their_system_and_what_is_none_is_kept_as_it_is() {
        let (one, two) = (SYSTEMS[0].name(), SYSTEMS[3].name());
        let text = format!(
            "{{\"system\":\"{one}\",\"body\":\"{{}}\",\"received_at\":\"1970-01-01T00:00:01Z\"}}\n\
             {{\"system\":\"{two}\",\"route\":\"answer\",\"body_base64\":\"YT1i\"}}\n\
             no envelope\n\
             {{\"system\":\"nobody\",\"body\":\"x\"}}\n"
        );
        let reading = Reading { system: None, enveloped: true, ..plain() };
        let pieces = pieces(&text, reading, None, 1000);
        let batches = &pieces[0].batches;
        let systems: Vec<&str> = batches.iter().map(|batch| batch.system.name()).collect();
        assert_eq!(systems, [one, two]);
        assert_eq!(batches[0].events[0].received_at, 1_000_000);
        assert_eq!(batches[1].events[0].body, "a=b");
        assert_eq!(batches[1].events[0].route.as_deref(), Some("answer"));
        assert_eq!(batches[1].events[1].body, "no envelope");
        assert_eq!(batches[1].events.len(), 3, "bad lines go with the system before them");
    }
}
