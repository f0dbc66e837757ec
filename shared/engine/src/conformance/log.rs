//! What every log must do: one order per partition, nothing lost that was confirmed, reading from
//! the last commit on, one owner at a time, and a bounded queue.

mod reading;
mod writing;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use harkara_domain::{ConversationId, Partition};

use super::{must, soon};
use crate::log::{Appended, Assignments, Entry, Log, LogError, PartitionReader};

/// Makes logs.
#[async_trait]
pub trait LogFactory: Send + Sync {
    /// An empty log of at least four partitions.
    async fn make(&self) -> Arc<dyn Log>;

    /// An empty log whose queue takes at most some megabytes.
    async fn make_small(&self) -> Arc<dyn Log>;

    /// Ends whatever is behind the log, as a restart would, and opens the same data again.
    async fn reopen(&self, log: Arc<dyn Log>) -> Arc<dyn Log>;
}

/// Runs the suite.
pub async fn all(factory: &dyn LogFactory) {
    writing::order_is_the_order_of_calls(factory).await;
    writing::records_come_back_as_they_were(factory).await;
    writing::nothing_is_taken_back(factory).await;
    writing::many_appenders(factory).await;
    writing::a_full_queue_refuses(factory).await;
    writing::appends_survive_a_restart(factory).await;
    reading::reading_waits(factory).await;
    reading::a_cancelled_read_loses_nothing(factory).await;
    reading::reading_goes_on_at_the_commit(factory).await;
    reading::commits_never_go_back(factory).await;
    reading::commits_survive_a_restart(factory).await;
    reading::one_owner_at_a_time(factory).await;
}

/// The key of all records of the suite; partitions are named explicitly.
fn key() -> ConversationId {
    ConversationId::from_bytes([5; 16])
}

/// Appends and waits.
async fn append(log: &dyn Log, partition: u16, record: impl Into<Bytes>) -> Appended {
    let queued = log.append(Partition(partition), key(), record.into());
    let pending = must(queued, "an empty queue must take a record");
    must(soon(pending, "an append must resolve").await, "an append must succeed")
}

/// Appends `count` records that say `name` and their number, and waits for them together.
async fn append_many(log: &dyn Log, partition: u16, name: &str, count: u32) -> Vec<Appended> {
    let mut pending = Vec::new();
    for n in 0..count {
        let record = Bytes::from(format!("{name} {n}"));
        pending.push(must(log.append(Partition(partition), key(), record), "there is room"));
    }
    let mut done = Vec::new();
    for pending in pending {
        done.push(must(soon(pending, "an append must resolve").await, "an append must succeed"));
    }
    done
}

/// Everything a consumer was given.
struct Consumer {
    /// Kept: dropping it may leave the group.
    assignments: Box<dyn Assignments>,
    readers: BTreeMap<u16, Box<dyn PartitionReader>>,
}

impl Consumer {
    /// Joins and waits for all partitions.
    async fn join(log: &dyn Log) -> Self {
        let mut assignments =
            must(soon(log.consume(), "joining must end").await, "joining must succeed");
        let mut readers = BTreeMap::new();
        while readers.len() < usize::from(log.partitions()) {
            let reader = soon(assignments.next(), "a lone consumer gets all partitions").await;
            let reader = must(reader.ok_or("none"), "the log is open");
            readers.insert(reader.partition().0, reader);
        }
        Self { assignments, readers }
    }

    fn reader(&mut self, partition: u16) -> &mut dyn PartitionReader {
        let reader = self.readers.get_mut(&partition).ok_or("none");
        &mut **must(reader, "the consumer has all partitions")
    }

    /// The next `count` records of a partition, asked for in pieces.
    async fn read(&mut self, partition: u16, count: usize) -> Vec<Entry> {
        let reader = self.reader(partition);
        let mut all: Vec<Entry> = Vec::new();
        while all.len() < count {
            let max = (count - all.len()).min(7);
            let piece = soon(reader.next(max), "records must arrive").await;
            let piece = must(piece, "reading must succeed");
            let piece = must(piece.ok_or("none"), "the partition is still ours");
            assert!(!piece.is_empty() && piece.len() <= max, "at least one, at most {max}");
            all.extend(piece);
        }
        check_order(&all);
        all
    }

    async fn commit(&mut self, partition: u16, next: u64) {
        let committer = self.reader(partition).committer();
        let done = soon(committer.commit(next), "a commit must resolve").await;
        must(done, "the owner's commit must succeed");
    }
}

fn check_order(entries: &[Entry]) {
    for (a, b) in entries.iter().zip(entries.iter().skip(1)) {
        assert!(a.offset < b.offset, "offsets must rise: {} before {}", a.offset, b.offset);
        assert!(a.at <= b.at, "append times must not go back: {} before {}", a.at, b.at);
    }
}

fn texts(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| String::from_utf8_lossy(&entry.record).into_owned()).collect()
}

fn numbered(name: &str, from: u32, until: u32) -> Vec<String> {
    (from..until).map(|n| format!("{name} {n}")).collect()
}

/// A reader that was replaced: ends, whatever it is asked.
async fn ended(reader: &mut dyn PartitionReader) -> bool {
    let read: Result<Option<Vec<Entry>>, LogError> =
        soon(reader.next(1), "a reader that was replaced must not wait").await;
    matches!(read, Ok(None))
}
