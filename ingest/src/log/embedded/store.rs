//! What lies in `<data>/log/events.redb`: one table of records per topic, keyed by offset, and the
//! table `heads` with the next offset and the size of each.
//!
//! The next offset has a place of its own since it must survive the trimming of every record: an
//! offset given twice would be taken for a replay, and the event dropped. Records and heads change in
//! one transaction, durable when it returns. Transactions commit in two phases and keep the
//! allocator's state (redb's quick repair), so that opening after a crash takes no walk through a
//! file of gigabytes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition,
    WriteTransaction,
};
use ringlake_transform::{LogPartition, Micros, Positions, RawBatch, System};

use super::record;
use crate::error::LogError;
use crate::log::batch::BatchBuilder;
use crate::log::{LogStatus, NewRecord, PartitionStatus, Topics, now};

/// Topic → (next offset, bytes of its records).
const HEADS: TableDefinition<&str, (i64, u64)> = TableDefinition::new("heads");
/// Written to see whether writing works.
const PROBE: TableDefinition<(), u64> = TableDefinition::new("probe");

/// How the database is opened: the file at this path, or what a test puts in its place.
pub(super) type Opener = Arc<dyn Fn(&Path) -> Result<Database, redb::DatabaseError> + Send + Sync>;

/// One topic's place in the store.
pub(super) struct Topic {
    pub partition: LogPartition,
    pub system: &'static dyn System,
    table: String,
}

impl Topic {
    pub(super) fn all(topics: &Topics) -> Vec<Self> {
        let topic = |(name, system): (&Arc<str>, _)| Self {
            partition: LogPartition::new(name.clone(), 0),
            system,
            table: format!("events/{name}"),
        };
        topics.iter().map(topic).collect()
    }

    fn name(&self) -> &str {
        &self.partition.topic
    }

    fn table(&self) -> TableDefinition<'_, i64, &'static [u8]> {
        TableDefinition::new(&self.table)
    }
}

pub(super) struct Store {
    path: PathBuf,
    topics: Arc<[Topic]>,
    db: Database,
}

#[derive(Clone, Copy)]
struct Head {
    next: i64,
    bytes: u64,
}

impl Store {
    pub(super) fn open(
        path: &Path,
        topics: Arc<[Topic]>,
        opener: &Opener,
    ) -> Result<Self, LogError> {
        let fail = |error: redb::Error| LogError::storage(path, error);
        let db = opener(path).map_err(|error| fail(error.into()))?;
        let store = Self { path: path.to_owned(), topics, db };
        store.create_tables().map_err(fail)?;
        Ok(store)
    }

    /// Readers may then count on the tables; on a file that has them this writes nothing.
    fn create_tables(&self) -> Result<(), redb::Error> {
        let read = self.db.begin_read()?;
        let missing = self.topics.iter().any(|topic| read.open_table(topic.table()).is_err());
        if !missing && read.open_table(HEADS).is_ok() {
            return Ok(());
        }
        let write = self.begin()?;
        write.open_table(HEADS)?;
        for topic in self.topics.iter() {
            write.open_table(topic.table())?;
        }
        Ok(write.commit()?)
    }

    fn begin(&self) -> Result<WriteTransaction, redb::Error> {
        let mut write = self.db.begin_write()?;
        write.set_durability(Durability::Immediate)?;
        write.set_two_phase_commit(true);
        write.set_quick_repair(true);
        Ok(write)
    }

    /// Adds the records, each behind the last of its topic. Durable on return.
    pub(super) fn append(&self, records: &[&NewRecord]) -> Result<(), redb::Error> {
        let write = self.begin()?;
        {
            let mut heads = write.open_table(HEADS)?;
            for topic in self.topics.iter() {
                let of_topic = |record: &&&NewRecord| record.system.name() == topic.system.name();
                let mut records = records.iter().filter(of_topic).peekable();
                if records.peek().is_none() {
                    continue;
                }
                let mut head = head(&heads, topic)?;
                let mut events = write.open_table(topic.table())?;
                for record in records {
                    let len = record::encoded_len(record);
                    record::encode(
                        head.next,
                        record,
                        events.insert_reserve(head.next, len)?.as_mut(),
                    );
                    head = Head { next: head.next + 1, bytes: head.bytes + len as u64 };
                }
                set_head(&mut heads, topic, head)?;
            }
        }
        Ok(write.commit()?)
    }

    /// Writes and syncs something that does not matter.
    pub(super) fn probe(&self) -> Result<(), redb::Error> {
        let write = self.begin()?;
        {
            let mut probe = write.open_table(PROBE)?;
            let count = probe.get(())?.map_or(0, |count| count.value());
            probe.insert((), count.wrapping_add(1))?;
        }
        Ok(write.commit()?)
    }

    /// Removes up to `limit` records per topic that lie at or behind the released position and were
    /// received before `before`. Returns how many went.
    pub(super) fn trim(
        &self,
        released: &Positions,
        before: Micros,
        limit: usize,
    ) -> Result<u64, redb::Error> {
        let read = self.db.begin_read()?;
        let mut removed = 0;
        for topic in self.topics.iter() {
            let Some(position) = released.get(&topic.partition) else { continue };
            let cut = cut(&read, topic, position, before, limit)?;
            if let Some(cut) = cut {
                removed += cut.records;
                self.remove(topic, &cut)?;
            }
        }
        Ok(removed)
    }

    fn remove(&self, topic: &Topic, cut: &Cut) -> Result<(), redb::Error> {
        let write = self.begin()?;
        {
            let mut heads = write.open_table(HEADS)?;
            let head = head(&heads, topic)?;
            write.open_table(topic.table())?.retain_in(..=cut.last, |_, _| false)?;
            let bytes = head.bytes.saturating_sub(cut.bytes);
            set_head(&mut heads, topic, Head { bytes, ..head })?;
        }
        Ok(write.commit()?)
    }

    /// Gives free space inside the file back to the disk.
    pub(super) fn compact(&mut self) -> Result<bool, redb::CompactionError> {
        self.db.compact()
    }

    pub(super) fn status(&self, released: &Positions) -> Result<LogStatus, redb::Error> {
        let read = self.db.begin_read()?;
        let heads = read.open_table(HEADS)?;
        let mut partitions = Vec::with_capacity(self.topics.len());
        for topic in self.topics.iter() {
            let head = head(&heads, topic)?;
            let first = read.open_table(topic.table())?.first()?.map(|(offset, _)| offset.value());
            partitions.push(PartitionStatus {
                partition: topic.partition.clone(),
                first: first.unwrap_or(head.next),
                next: head.next,
                bytes: Some(head.bytes),
                released: released.get(&topic.partition),
            });
        }
        Ok(LogStatus { partitions })
    }

    /// Events of each topic from its offset in `from` (in the order of the topics), sharing
    /// `max_bytes`. `turn` says which topic comes first, so that none always does.
    pub(super) fn read(
        &self,
        from: &[i64],
        max_bytes: usize,
        turn: usize,
    ) -> Result<Vec<RawBatch>, LogError> {
        let fail = |error: redb::Error| LogError::storage(&self.path, error);
        let read = self.db.begin_read().map_err(|error| fail(error.into()))?;
        let mut news = self.with_news(&read, from).map_err(fail)?;
        let count = news.len();
        news.rotate_left(turn.checked_rem(count).unwrap_or(0));
        let mut left = max_bytes;
        let mut batches = Vec::with_capacity(count);
        for (done, (topic, from)) in news.into_iter().enumerate() {
            let builder = self.collect(&read, topic, from, left / (count - done))?;
            left = left.saturating_sub(builder.body_bytes());
            batches.extend(builder.finish());
        }
        Ok(batches)
    }

    /// The topics that have records at or behind the reader's offset, with that offset.
    fn with_news(
        &self,
        read: &ReadTransaction,
        from: &[i64],
    ) -> Result<Vec<(&Topic, i64)>, redb::Error> {
        let heads = read.open_table(HEADS)?;
        let mut news = Vec::new();
        for (topic, from) in self.topics.iter().zip(from) {
            if head(&heads, topic)?.next > *from {
                news.push((topic, *from));
            }
        }
        Ok(news)
    }

    /// Reads until `share` bytes are there; one record at least, where there is one.
    fn collect(
        &self,
        read: &ReadTransaction,
        topic: &Topic,
        from: i64,
        share: usize,
    ) -> Result<BatchBuilder, LogError> {
        let fail = |error: redb::Error| LogError::storage(&self.path, error);
        let damaged = |offset| LogError::Damaged {
            path: self.path.clone(),
            partition: topic.partition.clone(),
            offset,
        };
        let mut builder = BatchBuilder::new(topic.partition.clone(), topic.system);
        let table = read.open_table(topic.table()).map_err(|error| fail(error.into()))?;
        let entries = table.range(from..).map_err(|error| fail(error.into()))?;
        for (expected, entry) in (from..).zip(entries) {
            let (key, value) = entry.map_err(|error| fail(error.into()))?;
            if key.value() != expected {
                return Err(damaged(expected));
            }
            match record::decode(expected, value.value()) {
                Some(stored) => {
                    let record::Stored { received_at, route, resolution, body } = stored;
                    builder.push(expected, received_at, route, resolution, body);
                }
                None => {
                    let (error, hint) = (damaged(expected), damaged(expected).hint());
                    tracing::error!(%error, hint, "its bytes go to dead_letters, and the rest is read");
                    builder.push_damaged(expected, now(), value.value());
                }
            }
            if builder.body_bytes() >= share {
                break;
            }
        }
        Ok(builder)
    }
}

impl Store {
    /// When the record at this offset was received; none where there is none that can be read.
    pub(super) fn received_at(
        &self,
        topic: &Topic,
        offset: i64,
    ) -> Result<Option<Micros>, redb::Error> {
        let read = self.db.begin_read()?;
        let held = read.open_table(topic.table())?.get(offset)?;
        Ok(held.and_then(|held| Some(record::decode(offset, held.value())?.received_at)))
    }
}

/// A stretch of records at the front of a topic that may go.
struct Cut {
    last: i64,
    records: u64,
    bytes: u64,
}

fn cut(
    read: &ReadTransaction,
    topic: &Topic,
    position: i64,
    before: Micros,
    limit: usize,
) -> Result<Option<Cut>, redb::Error> {
    let table = read.open_table(topic.table())?;
    let mut cut: Option<Cut> = None;
    for entry in table.range(..=position)?.take(limit) {
        let (offset, value) = entry?;
        // A record whose time cannot be read is kept: the reader is to name it.
        if record::received_at(value.value()).is_none_or(|received| received >= before) {
            break;
        }
        let so_far = cut.get_or_insert(Cut { last: 0, records: 0, bytes: 0 });
        so_far.last = offset.value();
        so_far.records += 1;
        so_far.bytes += value.value().len() as u64;
    }
    Ok(cut)
}

fn head(
    heads: &impl ReadableTable<&'static str, (i64, u64)>,
    topic: &Topic,
) -> Result<Head, redb::Error> {
    let held = heads.get(topic.name())?.map(|head| head.value());
    let (next, bytes) = held.unwrap_or_default();
    Ok(Head { next, bytes })
}

fn set_head(
    heads: &mut Table<'_, &'static str, (i64, u64)>,
    topic: &Topic,
    head: Head,
) -> Result<(), redb::Error> {
    heads.insert(topic.name(), (head.next, head.bytes))?;
    Ok(())
}
