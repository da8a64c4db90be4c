//! What librdkafka has been told to read, and how it is told otherwise.
//!
//! Under the eager protocol an assignment is replaced as a whole; under the cooperative one partitions are
//! taken away and added. Either way a partition that is told again starts anew at the offset given, and
//! nothing that was fetched for it before comes out any more.

use rdkafka::consumer::{BaseConsumer, Consumer, RebalanceProtocol};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use ringlake_transform::LogPartition;

use super::group::Group;

/// The partitions that librdkafka reads.
#[derive(Default)]
pub(super) struct Assignment {
    told: Vec<LogPartition>,
}

impl Assignment {
    /// Has these partitions read from these offsets, and no others.
    pub(super) fn replace<'p>(
        &mut self,
        base: &BaseConsumer<Group>,
        places: impl Iterator<Item = (&'p LogPartition, i64)>,
    ) -> KafkaResult<()> {
        let (mut list, mut told) = (TopicPartitionList::new(), Vec::new());
        for (partition, offset) in places {
            let number = partition.partition;
            list.add_partition_offset(&partition.topic, number, Offset::Offset(offset))?;
            told.push(partition.clone());
        }
        if is_cooperative(base) {
            if !self.told.is_empty() {
                base.incremental_unassign(&listed(&std::mem::take(&mut self.told)))?;
            }
            base.incremental_assign(&list)?;
        } else {
            base.assign(&list)?;
        }
        self.told = told;
        Ok(())
    }

    /// Answers an assignment that brings nothing. What is read already is read on: to take it away and
    /// give it back would cost a fetch, and now and then a stall.
    pub(super) fn keep(&mut self, base: &BaseConsumer<Group>) -> KafkaResult<()> {
        let nothing = TopicPartitionList::new();
        if is_cooperative(base) {
            return base.incremental_assign(&nothing);
        }
        self.told.clear();
        base.assign(&nothing)
    }

    /// Gives these partitions up; the others are read on.
    pub(super) fn remove(
        &mut self,
        base: &BaseConsumer<Group>,
        gone: &[LogPartition],
    ) -> KafkaResult<()> {
        if !is_cooperative(base) {
            self.told.clear();
            return base.unassign();
        }
        // One that was never told is none that librdkafka could take away; the group waits for a word
        // all the same.
        let (gone, left) = self.told.drain(..).partition(|told| gone.contains(told));
        self.told = left;
        base.incremental_unassign(&listed(&gone))
    }

    /// The end of all reading. It cannot fail in a way that anybody could mend.
    pub(super) fn clear(&mut self, base: &BaseConsumer<Group>) {
        let all = std::mem::take(&mut self.told);
        let _ = match is_cooperative(base) {
            true => base.incremental_unassign(&listed(&all)),
            false => base.unassign(),
        };
    }
}

fn is_cooperative(base: &BaseConsumer<Group>) -> bool {
    matches!(base.rebalance_protocol(), RebalanceProtocol::Cooperative)
}

fn listed(partitions: &[LogPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    list
}
