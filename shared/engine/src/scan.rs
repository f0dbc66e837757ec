//! Reading everything: what `harkara export` and `harkara verify` need of a log and a store beside
//! serving. Slow on purpose: pages, no group, nothing kept in memory.

use async_trait::async_trait;
use harkara_domain::{ConversationId, Generation, Membership, Partition, Profile};

use crate::{
    log::{Entry, LogError},
    store::{Store, StoreError},
};

/// What a partition of the log holds at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Where the log's very first record stood, whether it is still there or not.
    pub start: u64,
    /// The oldest record that is still there; equal to `end` where there is none.
    pub first: u64,
    /// One more than the newest record.
    pub end: u64,
    /// Everything below is stored as events and rejections.
    pub committed: u64,
}

/// Reads a log without joining the workers' group.
#[async_trait]
pub trait LogScan: Send + Sync {
    /// How many partitions.
    fn partitions(&self) -> u16;

    /// Which life of the log this is.
    fn generation(&self) -> Generation;

    /// What a partition holds.
    async fn bounds(&self, partition: Partition) -> Result<Bounds, LogError>;

    /// Records from offset `from` on, in order: at most `max`, at least one unless `from` is at
    /// or beyond the end. Offsets that hold no record are skipped.
    async fn read(
        &self,
        partition: Partition,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, LogError>;
}

/// A piece of a whole table, and where the next one begins.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// Some rows, perhaps none.
    pub rows: Vec<T>,
    /// Hand it in to go on; `None` at the end. Opaque, and valid for this store only.
    pub next: Option<Vec<u8>>,
}

/// Reads whole tables of a store, each row once, in an order of its own. Rows that are written
/// meanwhile may be in it or not.
#[async_trait]
pub trait StoreScan: Store {
    /// Every conversation that has events.
    async fn all_conversations(
        &self,
        from: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<ConversationId>, StoreError>;

    /// Every row of every list, those that say "not any more" included.
    async fn all_memberships(
        &self,
        from: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<Membership>, StoreError>;

    /// Every profile.
    async fn all_profiles(
        &self,
        from: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<Profile>, StoreError>;
}
