//! Partitions that come: where to begin, and handing them out.

use std::sync::Arc;

use harkara_engine::LogError;
use rdkafka::{Offset, TopicPartitionList, consumer::Consumer as _};

use super::{Consumer, Member, Part};
use crate::slot::{Hold, Reader, Slot};

/// Before a partition that its reader dropped is handed out again.
const HAND_OUT_AGAIN_NS: u64 = 1_000_000_000;

/// Where a partition is read from.
struct Start {
    partition: u16,
    committed: Option<u64>,
    /// The oldest record that is still there.
    first: u64,
}

impl Start {
    /// Offset 0 holds the marker, which is nobody's record.
    fn offset(&self) -> u64 {
        self.committed.unwrap_or(self.first).max(1)
    }

    /// What was not done and is not there any more.
    fn missing(&self) -> Option<LogError> {
        let (from, first) = (self.offset(), self.first);
        (from < first).then(|| gone(self.partition, from, first))
    }
}

/// Records that nobody has processed were removed.
pub(super) fn gone(partition: u16, from: u64, first: u64) -> LogError {
    LogError::Stop(format!(
        "partition {partition} of the log has no records from {from} to {first} any more, and they \
         were not processed: the retention was shorter than the outage. Restore them, or set the \
         group's offset to {first} to go on without them"
    ))
}

impl Member {
    /// Begins with what the group gave. Tried again at the next turn when brokers don't answer.
    pub(super) fn arrive(&mut self, consumer: &Consumer) {
        let Some(partitions) = self.coming.take() else { return };
        match self.begin(consumer, &partitions) {
            Ok(()) => self.count_parts(),
            Err(error) => {
                tracing::warn!(%error, "partitions are not begun yet, will try again");
                self.coming = Some(partitions);
            }
        }
    }

    fn begin(&mut self, consumer: &Consumer, partitions: &[u16]) -> Result<(), LogError> {
        let ear = &consumer.context().ear;
        let doing = "beginning partitions";
        let mut list = TopicPartitionList::new();
        let starts = self.starts(consumer, partitions)?;
        for start in &starts {
            let offset = Offset::Offset(i64::try_from(start.offset()).unwrap_or(i64::MAX));
            let added =
                list.add_partition_offset(&self.shared.topic, i32::from(start.partition), offset);
            added.map_err(|error| ear.trouble(doing, &error))?;
        }
        consumer.incremental_assign(&list).map_err(|error| ear.trouble(doing, &error))?;
        // A pause outlives the ownership that it was made in.
        consumer.resume(&list).map_err(|error| ear.trouble(doing, &error))?;
        let now = self.now();
        for start in starts {
            let part = Part {
                slot: Slot::new(start.partition, start.offset()),
                hold: None,
                since_ns: now,
                due_ns: 0,
                next: start.offset(),
                committed: start.committed,
                failed: false,
                jump: None,
                behind_ns: None,
            };
            self.parts.insert(start.partition, part);
            if let Some(missing) = start.missing() {
                self.fail(consumer, start.partition, missing);
            }
        }
        self.commits.hurry();
        Ok(())
    }

    /// Where the group left off, and what is still there: two questions for all partitions.
    fn starts(&self, consumer: &Consumer, partitions: &[u16]) -> Result<Vec<Start>, LogError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let ear = &consumer.context().ear;
        let committed = consumer.committed_offsets(self.list(partitions), self.wait());
        let committed = committed.map_err(|error| ear.trouble("asking for progress", &error))?;
        let mut firsts = self.list(partitions);
        let asked = firsts.set_all_offsets(Offset::Beginning);
        let firsts = asked.and_then(|()| consumer.offsets_for_times(firsts, self.wait()));
        let firsts = firsts.map_err(|error| ear.trouble("asking for first records", &error))?;
        let of = |list: &TopicPartitionList, partition: u16| {
            let element = list.find_partition(&self.shared.topic, i32::from(partition));
            element.map(|element| (element.error(), element.offset()))
        };
        let start = |partition: &u16| {
            let first = match of(&firsts, *partition) {
                Some((Ok(()), Offset::Offset(first))) => u64::try_from(first).ok(),
                _ => None,
            };
            let committed = match of(&committed, *partition) {
                Some((Ok(()), Offset::Offset(offset))) => Some(u64::try_from(offset).ok()),
                Some((Ok(()), _)) => Some(None),
                _ => None,
            };
            first.zip(committed).map(|(first, committed)| Start {
                partition: *partition,
                committed,
                first,
            })
        };
        let starts: Option<Vec<Start>> = partitions.iter().map(start).collect();
        starts.ok_or_else(|| LogError::Unknown("no answer for some partitions".to_owned()))
    }

    /// Hands out what is begun, as soon as the group has confirmed that it is ours.
    pub(super) fn hand_out(&mut self, consumer: &Consumer) {
        if self.is_leaving() || self.going.is_some() || !self.confirmed.holds() {
            return;
        }
        self.take_back(consumer);
        let (now, confirmed_ns) = (self.now(), self.commits.confirmed_ns());
        for part in self.parts.values_mut() {
            if part.hold.is_some() || part.since_ns > confirmed_ns || part.due_ns > now {
                continue;
            }
            let hold = Arc::new(Hold);
            let weak = Arc::downgrade(&hold);
            let (slot, confirmed) = (Arc::clone(&part.slot), Arc::clone(&self.confirmed));
            match self.out.try_send(Box::new(Reader { slot, hold, confirmed })) {
                Ok(()) => part.hold = Some(weak),
                // Nobody takes them, or nobody wants them any more.
                Err(_) => return,
            }
        }
    }

    /// What was dropped by its reader although it is ours begins anew where it was done, after a
    /// while: whoever dropped it has a reason that may last.
    fn take_back(&mut self, consumer: &Consumer) {
        let now = self.now();
        let dropped = self.parts.iter().filter(|(_, part)| part.hold.is_some() && !part.is_held());
        let dropped: Vec<u16> = dropped.map(|(partition, _)| *partition).collect();
        for partition in dropped {
            let Some(part) = self.parts.get_mut(&partition) else { continue };
            part.slot.end();
            let start = part.slot.done();
            part.slot = Slot::new(partition, start);
            part.hold = None;
            part.due_ns = now.saturating_add(HAND_OUT_AGAIN_NS);
            self.seek(consumer, partition, start);
        }
    }
}
