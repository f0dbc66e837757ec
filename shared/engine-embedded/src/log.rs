//! The log's face: appends go to `queue`, readers read from `tail` or the database.
//!
//! One consumer owns all partitions. A later `consume` takes them away from the earlier one by
//! raising the group's number, which every reader and committer holds against its own. A partition
//! whose reader was dropped is handed out once more, from its last commit on.

use std::{
    ops::RangeInclusive,
    sync::{Arc, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use harkara_domain::{ConversationId, Generation, Millis, Partition};
use harkara_engine::{
    Assignments, Lease, Log, LogError, PartitionReader, Pending,
    log::{Committer, Entry, Forever},
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    CLOSED, Shared,
    queue::{Op, Refused},
    tables::{Table, log_key, log_offset},
    tail::Tail,
};

/// Bytes of records that are read from the disk in one go: some milliseconds on a cold disk.
const READ_BYTES_MAX: usize = 1024 * 1024;

/// Before a partition that its reader dropped is handed out again: whoever dropped it has a reason
/// that may last.
const HAND_OUT_AGAIN: Duration = Duration::from_millis(500);

pub(crate) struct EmbeddedLog {
    shared: Arc<Shared>,
}

impl EmbeddedLog {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

pub(crate) fn closed() -> LogError {
    LogError::Stop("the data directory is closed".to_owned())
}

/// Why nothing was queued, in the log's words. A queue closes when the database failed, too.
fn refused(shared: &Shared, refused: Refused) -> LogError {
    match refused {
        Refused::Full(queued_bytes) => LogError::Full { queued_bytes },
        Refused::Closed => shared.health.failure().map_or_else(closed, LogError::Stop),
    }
}

/// The waiter was dropped without an answer: the write failed half-way, or the process ends.
fn unanswered(shared: &Shared) -> LogError {
    let reason = shared.health.failure();
    LogError::Unknown(reason.unwrap_or_else(|| "the data directory was closed".to_owned()))
}

#[async_trait]
impl Log for EmbeddedLog {
    fn partitions(&self) -> u16 {
        self.shared.options.partitions
    }

    fn generation(&self) -> Generation {
        self.shared.generation
    }

    fn append(
        &self,
        partition: Partition,
        _key: ConversationId,
        record: Bytes,
    ) -> Result<Pending, LogError> {
        let Partition(partition) = partition;
        if partition >= self.shared.options.partitions {
            let of = self.shared.options.partitions;
            return Err(LogError::Stop(format!("there is no partition {partition} of {of}")));
        }
        if let Some(reason) = self.shared.health.failure() {
            return Err(LogError::Stop(reason));
        }
        let (done, answer) = oneshot::channel();
        self.shared
            .queue
            .push(Op::Append { partition, record, done })
            .map_err(|reason| refused(&self.shared, reason))?;
        let shared = Arc::clone(&self.shared);
        Ok(Box::pin(async move { answer.await.unwrap_or_else(|_| Err(unanswered(&shared))) }))
    }

    async fn consume(&self) -> Result<Box<dyn Assignments>, LogError> {
        let mut number = CLOSED;
        self.shared.group.send_if_modified(|group| {
            if *group == CLOSED {
                return false;
            }
            *group += 1;
            number = *group;
            true
        });
        if number == CLOSED {
            return Err(closed());
        }
        let member = Member::new(Arc::clone(&self.shared), number);
        let (dropped, back) = mpsc::channel(usize::from(self.shared.options.partitions).max(1));
        Ok(Box::new(EmbeddedAssignments { member, next: 0, dropped, back }))
    }

    async fn ready(&self) -> Result<(), LogError> {
        if *self.shared.group.borrow() == CLOSED {
            return Err(self.shared.health.failure().map_or_else(closed, LogError::Stop));
        }
        self.shared.health.log()
    }
}

/// A consumer of the group, until a newer one comes.
struct Member {
    shared: Arc<Shared>,
    number: u64,
    group: watch::Receiver<u64>,
}

impl Member {
    fn new(shared: Arc<Shared>, number: u64) -> Self {
        let group = shared.group.subscribe();
        Self { shared, number, group }
    }

    fn current(&self) -> bool {
        *self.group.borrow() == self.number
    }

    /// Resolves when the partitions belong to somebody else, or to nobody.
    async fn replaced(&mut self) {
        let number = self.number;
        // An error means that the log is gone, which is the same.
        let _ = self.group.wait_for(|group| *group != number).await;
    }
}

struct EmbeddedAssignments {
    member: Member,
    next: u16,
    /// Partitions whose readers were dropped: room for each of them once.
    dropped: mpsc::Sender<u16>,
    back: mpsc::Receiver<u16>,
}

impl EmbeddedAssignments {
    fn reader(&self, partition: u16) -> Option<Box<dyn PartitionReader>> {
        let shared = Arc::clone(&self.member.shared);
        let tail = shared.tails.get(usize::from(partition))?;
        let (next, head) = (tail.committed(), tail.watch());
        let member = Member::new(Arc::clone(&shared), self.member.number);
        let dropped = self.dropped.clone();
        Some(Box::new(Reader { member, partition, next, head, dropped }))
    }
}

#[async_trait]
impl Assignments for EmbeddedAssignments {
    async fn next(&mut self) -> Option<Box<dyn PartitionReader>> {
        if self.member.current()
            && let Some(reader) = self.reader(self.next)
        {
            self.next += 1;
            return Some(reader);
        }
        let again = tokio::select! {
            biased;
            () = self.member.replaced() => None,
            again = self.back.recv() => again,
        };
        tokio::select! {
            biased;
            () = self.member.replaced() => None,
            () = tokio::time::sleep(HAND_OUT_AGAIN) => self.reader(again?),
        }
    }
}

struct Reader {
    member: Member,
    partition: u16,
    /// The next offset to give out.
    next: u64,
    /// Where the durable part ends.
    head: watch::Receiver<u64>,
    /// Told at the end.
    dropped: mpsc::Sender<u16>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Nobody takes it where nobody consumes any more.
        let _ = self.dropped.try_send(self.partition);
    }
}

#[async_trait]
impl PartitionReader for Reader {
    fn partition(&self) -> Partition {
        Partition(self.partition)
    }

    async fn next(&mut self, max: usize) -> Result<Option<Vec<Entry>>, LogError> {
        loop {
            if !self.member.current() {
                return Ok(None);
            }
            let head = *self.head.borrow_and_update();
            if self.next < head {
                let entries = self.read(head, max.max(1))?;
                if let Some(last) = entries.last() {
                    // Nothing is awaited from here on: a cancelled call takes nothing away.
                    self.next = last.offset + 1;
                    return Ok(Some(entries));
                }
                // Retention leaves no holes in front of a commit, so this is not to be seen.
                return Err(LogError::Stop(format!(
                    "partition {} has no record from {} to {head}: restore a backup",
                    self.partition, self.next,
                )));
            }
            tokio::select! {
                () = self.member.replaced() => {}
                changed = self.head.changed() => if changed.is_err() { return Ok(None) },
            }
        }
    }

    fn committer(&self) -> Box<dyn Committer> {
        let member = Member::new(Arc::clone(&self.member.shared), self.member.number);
        Box::new(PartitionCommitter { member, partition: self.partition })
    }

    fn lease(&self) -> Arc<dyn Lease> {
        Arc::new(Forever)
    }
}

impl Reader {
    /// From memory, mostly; who is far behind reads from the disk, on this thread: a worker that
    /// catches up has nothing else to do, and a piece is bounded.
    fn read(&self, head: u64, max: usize) -> Result<Vec<Entry>, LogError> {
        let tail = self.member.shared.tails.get(usize::from(self.partition));
        if let Some(entries) = tail.and_then(|tail| tail.read(self.next, max)) {
            return Ok(entries);
        }
        let range = log_key(self.partition, self.next)..=log_key(self.partition, head - 1);
        scan(&self.member.shared, range, max)
    }
}

/// Records in a range of keys, from the disk: at most `max`, and about [`READ_BYTES_MAX`] bytes.
pub(crate) fn scan(
    shared: &Shared,
    range: RangeInclusive<[u8; 10]>,
    max: usize,
) -> Result<Vec<Entry>, LogError> {
    let tables = shared.tables.read().unwrap_or_else(PoisonError::into_inner);
    let Some(tables) = tables.as_ref() else { return Err(closed()) };
    let mut entries = Vec::new();
    let mut bytes = 0;
    for row in tables.of(Table::Log).range(range).take(max) {
        let (key, value) = row.into_inner().map_err(read_failed)?;
        let (Some(offset), Some((at, record))) = (log_offset(&key), value.split_first_chunk())
        else {
            return Err(LogError::Stop("a record is damaged: restore a backup".to_owned()));
        };
        bytes += record.len();
        let record = Bytes::copy_from_slice(record);
        entries.push(Entry { offset, at: Millis::from_be_bytes(*at), record, trace: None });
        if bytes >= READ_BYTES_MAX {
            break;
        }
    }
    Ok(entries)
}

/// The newest end of a partition.
pub(crate) fn tail(shared: &Shared, partition: Partition) -> Result<&Tail, LogError> {
    let of = shared.options.partitions;
    let none = || LogError::Stop(format!("there is no partition {partition} of {of}"));
    shared.tails.get(usize::from(partition.0)).ok_or_else(none)
}

pub(crate) fn read_failed(error: fjall::Error) -> LogError {
    match crate::merge::read_failed(error) {
        harkara_engine::StoreError::Retry(reason) => LogError::Unknown(reason),
        harkara_engine::StoreError::Stop(reason) => LogError::Stop(reason),
    }
}

struct PartitionCommitter {
    member: Member,
    partition: u16,
}

#[async_trait]
impl Committer for PartitionCommitter {
    async fn commit(&self, next_offset: u64) -> Result<(), LogError> {
        let shared = &self.member.shared;
        if !self.member.current() {
            let partition = self.partition;
            return Err(LogError::Unknown(format!("partition {partition} was taken away")));
        }
        let tail = shared.tails.get(usize::from(self.partition));
        if tail.is_some_and(|tail| next_offset <= tail.committed()) {
            return Ok(());
        }
        let (done, answer) = oneshot::channel();
        let op = Op::Commit { partition: self.partition, next: next_offset, done };
        shared.queue.push(op).map_err(|reason| refused(shared, reason))?;
        answer.await.unwrap_or_else(|_| Err(unanswered(shared)))
    }
}
