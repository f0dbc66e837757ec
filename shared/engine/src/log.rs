//! The log: the truth. Per-partition total order, durable before an append resolves.

use std::{future::Future, pin::Pin, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use harkara_domain::{ConversationId, Generation, Millis, Partition, command::RULES_VERSION};

/// What a caller does about a failure of the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The bounded queue in front of the log is full: nothing was taken, try again later.
    #[error("the log's queue is full ({queued_bytes} bytes wait): retry later")]
    Full {
        /// Bytes that wait.
        queued_bytes: usize,
    },
    /// It is unknown whether the record is in the log: the caller may append it again, since a
    /// repeat is recognized.
    #[error("the log did not confirm: {0}")]
    Unknown(String),
    /// The log can't be used as it is: an operator must look.
    #[error("the log must not be used: {0}")]
    Stop(String),
}

/// Where an appended record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// In its partition.
    pub offset: u64,
    /// The log's append time.
    pub at: Millis,
}

/// Resolves when the record is durable.
pub type Pending = Pin<Box<dyn Future<Output = Result<Appended, LogError>> + Send>>;

/// A record as read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// In its partition.
    pub offset: u64,
    /// The log's append time.
    pub at: Millis,
    /// As appended.
    pub record: Bytes,
    /// The trace of whoever appended it, as a W3C `traceparent`, where the log carries one.
    pub trace: Option<Box<str>>,
}

/// An append-only, partitioned log.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// How many partitions; fixed when the log is made.
    fn partitions(&self) -> u16;

    /// Which life of the log this is (soundness S2).
    fn generation(&self) -> Generation;

    /// Queues a record. The order of calls from one thread for one partition is the order in the
    /// log. Dropping the result does not take the record back.
    ///
    /// # Errors
    /// [`LogError::Full`] or [`LogError::Stop`]: nothing was queued.
    fn append(
        &self,
        partition: Partition,
        key: ConversationId,
        record: Bytes,
    ) -> Result<Pending, LogError>;

    /// Joins the workers' group: partitions come and go through the result.
    ///
    /// # Errors
    /// When the group can't be joined.
    async fn consume(&self) -> Result<Box<dyn Assignments>, LogError>;

    /// The rules version in force, which records are stamped with (soundness S11).
    fn rules(&self) -> u16 {
        RULES_VERSION
    }

    /// Is the log reachable and does it take records?
    async fn ready(&self) -> Result<(), LogError>;
}

/// The partitions a worker is given, over time.
#[async_trait]
pub trait Assignments: Send {
    /// The next partition that is this worker's from now on; `None` when the log closes.
    async fn next(&mut self) -> Option<Box<dyn PartitionReader>>;
}

/// One partition while it is this worker's.
#[async_trait]
pub trait PartitionReader: Send {
    /// Which one.
    fn partition(&self) -> Partition;

    /// The next records in order, from the last commit on, at most `max` and at least one. Waits
    /// for them; `None` when the partition is taken away. Cancelling the future loses nothing.
    ///
    /// After `None` the partition is given to somebody else as soon as this reader and its
    /// committers are dropped, or the log's patience ends: time to finish what was begun, as long
    /// as the lease holds.
    async fn next(&mut self, max: usize) -> Result<Option<Vec<Entry>>, LogError>;

    /// Something that commits while `next` waits.
    fn committer(&self) -> Box<dyn Committer>;

    /// Whether the partition is still this worker's, for those who answer in its name.
    fn lease(&self) -> Arc<dyn Lease>;
}

/// The right to speak for a partition (soundness S5): a worker that was frozen, or cut off from
/// its group, must not tell what it remembers.
pub trait Lease: Send + Sync {
    /// Surely still the owner? Cheap: asked for each answer. A lease that lapsed may hold again:
    /// then what was not said meanwhile must be made good.
    fn holds(&self) -> bool;

    /// Has the partition been taken away for good?
    fn over(&self) -> bool;
}

/// The lease of a log that gives its partitions to one process for good.
#[derive(Debug, Clone, Copy)]
pub struct Forever;

impl Lease for Forever {
    fn holds(&self) -> bool {
        true
    }

    fn over(&self) -> bool {
        false
    }
}

/// Commits progress in one partition.
#[async_trait]
pub trait Committer: Send + Sync {
    /// Everything below `next_offset` is done and need not be read again. Never goes back.
    async fn commit(&self, next_offset: u64) -> Result<(), LogError>;
}
