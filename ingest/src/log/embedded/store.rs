//! What lies in `<data>/log/events.redb`: one table of records per topic, keyed by offset, and the
//! table `heads` with the next offset and the size of each.
//!
//! The next offset has a place of its own since it must survive the trimming of every record: an
//! offset given twice would be taken for a replay, and the event dropped. Records and heads change in
//! one transaction, durable when it returns. Transactions commit in two phases and keep the
//! allocator's state (redb's quick repair), so that opening after a crash takes no walk through a
//! file of gigabytes.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition,
    WriteTransaction,
};
use ringlake_transform::{LogPartition, Micros, Positions, RawBatch, System};

use super::damage::{guarded, is_damage, named};
use super::{length, record};
use crate::error::LogError;
use crate::log::{LogStatus, NewRecord, PartitionStatus, Topics};

mod collect;

/// Topic → (next offset, bytes of its records).
const HEADS: TableDefinition<&str, (i64, u64)> = TableDefinition::new("heads");
/// What has to be readable behind records that are removed: more than two pages of small ones hold, and some
/// large ones.
const NEAR_RECORDS: usize = 4;
const NEAR_BYTES: usize = 64 << 10;
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
    /// A page to which records would be added is damaged: a write that meets one leaves a file that redb
    /// does not open any more, and what can be read now would be lost with it.
    is_sealed: bool,
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
        let open = || {
            let db = length::open(path, opener)?;
            let mut store = Self { path: path.to_owned(), topics, db, is_sealed: false };
            store.create_tables()?;
            store.is_sealed =
                guarded(|| store.look_at_ends()).is_err_and(|error| is_damage(&error));
            Ok(store)
        };
        guarded(open).map_err(|error| named(path, error))
    }

    /// Looks at the last page of each topic, where records are added.
    fn look_at_ends(&self) -> Result<(), redb::Error> {
        let read = self.db.begin_read()?;
        for topic in self.topics.iter() {
            let next = head(&read.open_table(HEADS)?, topic)?.next;
            let last = read.open_table(topic.table())?.last()?.map(|(offset, _)| offset.value());
            if last.is_some_and(|last| last + 1 != next) {
                return Err(no_end());
            }
        }
        Ok(())
    }

    /// Why nothing can be added, if so.
    pub(super) fn trouble(&self) -> Option<LogError> {
        self.is_sealed.then(|| named(&self.path, no_end()))
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
        if self.is_sealed {
            return Err(no_end());
        }
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
            // Nothing is removed near what cannot be read: pages that grow small are joined.
            let cut = match cut(&read, topic, position, before, limit) {
                Err(error) if is_damage(&error) => None,
                cut => cut?,
            };
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

    /// Gives free space inside the file back to the disk; not while a page is damaged.
    pub(super) fn compact(&mut self) -> Result<bool, redb::Error> {
        if self.is_sealed {
            return Ok(false);
        }
        self.read_all()?;
        Ok(self.db.compact()?)
    }

    /// Sees whether each record can be reached.
    fn read_all(&self) -> Result<(), redb::Error> {
        let read = self.db.begin_read()?;
        for topic in self.topics.iter() {
            read.open_table(topic.table())?
                .range::<i64>(..)?
                .try_for_each(|entry| entry.map(drop))?;
        }
        Ok(())
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
        let fail = |error: redb::Error| named(&self.path, error);
        let read = self.db.begin_read().map_err(|error| fail(error.into()))?;
        let mut news = guarded(|| self.with_news(&read, from)).map_err(fail)?;
        let count = news.len();
        news.rotate_left(turn.checked_rem(count).unwrap_or(0));
        let mut left = max_bytes;
        let mut batches = Vec::with_capacity(count);
        for (done, (topic, offsets)) in news.into_iter().enumerate() {
            let share = left / (count - done);
            let builder = self.collect(&read, topic, offsets, share).map_err(fail)?;
            left = left.saturating_sub(builder.body_bytes());
            batches.extend(builder.finish());
        }
        Ok(batches)
    }

    /// The topics that have records at or behind the reader's offset, with the offsets of these.
    fn with_news(
        &self,
        read: &ReadTransaction,
        from: &[i64],
    ) -> Result<Vec<(&Topic, Range<i64>)>, redb::Error> {
        let heads = read.open_table(HEADS)?;
        let mut news = Vec::new();
        for (topic, from) in self.topics.iter().zip(from) {
            let next = head(&heads, topic)?.next;
            if next > *from {
                news.push((topic, *from..next));
            }
        }
        Ok(news)
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

fn no_end() -> redb::Error {
    redb::Error::Corrupted(
        "the page to which records are added is not what was written there".into(),
    )
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
    let measure = || {
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
        Ok(())
    };
    guarded(measure)?;
    if let Some(cut) = &cut {
        guarded(|| look_behind(&table, cut.last))?;
    }
    Ok(cut)
}

/// Reads what lies just behind this offset: pages that may be joined with those in front of it.
fn look_behind(
    table: &impl ReadableTable<i64, &'static [u8]>,
    last: i64,
) -> Result<(), redb::Error> {
    let mut bytes = 0;
    for (count, entry) in table.range(last + 1..)?.enumerate() {
        bytes += entry?.1.value().len();
        if count >= NEAR_RECORDS && bytes >= NEAR_BYTES {
            break;
        }
    }
    Ok(())
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
