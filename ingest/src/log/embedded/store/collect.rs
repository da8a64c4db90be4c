//! Reads the records of a topic, also around a page that is damaged.
//!
//! A record that cannot be reached comes all the same, as damaged and without its bytes: its offset was given,
//! so it was there. It must never end the reading, nor be passed over in silence.

use std::ops::Range;

use redb::{ReadTransaction, ReadableTable};

use super::{Store, Topic, guarded, is_damage, record};
use crate::error::LogError;
use crate::log::batch::BatchBuilder;
use crate::log::now;

/// Records of a batch that cannot be reached, at most: each takes some time to find that out.
const MOST_UNREACHED: usize = 1_000;

impl Store {
    /// Reads until `share` bytes are there; one record at least. One that cannot be reached comes all the
    /// same, as damaged and without its bytes: its offset was given, so it was there.
    pub(super) fn collect(
        &self,
        read: &ReadTransaction,
        topic: &Topic,
        offsets: Range<i64>,
        share: usize,
    ) -> Result<BatchBuilder, redb::Error> {
        let mut builder = BatchBuilder::new(topic.partition.clone(), topic.system);
        let table = guarded(|| Ok(read.open_table(topic.table())?))?;
        let (mut at, mut unreached) = (offsets.start, 0);
        while at < offsets.end && builder.body_bytes() < share && unreached < MOST_UNREACHED {
            let rest = at..offsets.end;
            let outcome = guarded(|| self.collect_sound(&table, topic, rest, share, &mut builder));
            let reached = builder.next().unwrap_or(at);
            match outcome {
                Ok(()) => break,
                Err(error) if !is_damage(&error) => return Err(error),
                // Of many in a row the first is told here, and each in `dead_letters`.
                Err(_) if reached > at || unreached == 0 => self.tell_damaged(topic, reached),
                Err(_) => {}
            }
            builder.push_damaged(reached, now(), &[]);
            (at, unreached) = (reached + 1, unreached + 1);
        }
        Ok(builder)
    }

    /// The same, as far as it can be reached.
    fn collect_sound(
        &self,
        table: &impl ReadableTable<i64, &'static [u8]>,
        topic: &Topic,
        offsets: Range<i64>,
        share: usize,
        builder: &mut BatchBuilder,
    ) -> Result<(), redb::Error> {
        let mut entries = table.range(offsets.clone())?;
        for expected in offsets {
            let entry = entries.next().transpose()?;
            let Some((key, value)) = entry.filter(|(key, _)| key.value() == expected) else {
                return Err(redb::Error::Corrupted(format!("there is no record {expected}")));
            };
            match record::decode(key.value(), value.value()) {
                Some(stored) => {
                    let record::Stored { received_at, route, resolution, body } = stored;
                    builder.push(expected, received_at, route, resolution, body);
                }
                None => {
                    self.tell_damaged(topic, expected);
                    builder.push_damaged(expected, now(), value.value());
                }
            }
            if builder.body_bytes() >= share {
                break;
            }
        }
        Ok(())
    }

    fn tell_damaged(&self, topic: &Topic, offset: i64) {
        let (path, partition) = (self.path.clone(), topic.partition.clone());
        let error = LogError::Damaged { path, partition, offset };
        let hint = error.hint();
        tracing::error!(%error, hint, "its bytes go to dead_letters, and the rest is read");
    }
}
