//! A store that fails or lies, and a log that lost something. Everything else is the real one.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use harkara_domain::{
    ConversationId, Cursor, Event, Generation, Membership, Partition, Position, Profile, Rejection,
    Seq, State, TenantId, UserId,
};
use harkara_engine::{
    LogError, LogScan, Store, StoreError, StoreScan,
    log::Entry,
    scan::{Bounds, Page},
    store::Step,
};

type Lie<T> = Box<dyn Fn(T) -> T + Send + Sync>;

/// A store with lies about what it reads, and an end to its patience.
pub struct Faulty {
    inner: Arc<dyn StoreScan>,
    /// Calls that still succeed.
    left: AtomicU64,
    /// The life of the log that it says it belongs to.
    pub generation: Option<Generation>,
    pub events: Lie<(ConversationId, Vec<Event>)>,
    pub membership: Lie<Option<Membership>>,
    pub memberships: Lie<Vec<Membership>>,
    pub snapshot: Lie<Option<State>>,
    pub rejections: Lie<Vec<Rejection>>,
    pub cursors: Lie<Vec<(UserId, Cursor)>>,
}

impl Faulty {
    pub fn new(inner: Arc<dyn StoreScan>) -> Self {
        Self {
            inner,
            left: AtomicU64::new(u64::MAX),
            generation: None,
            events: Box::new(|events| events),
            membership: Box::new(|row| row),
            memberships: Box::new(|rows| rows),
            snapshot: Box::new(|state| state),
            rejections: Box::new(|rows| rows),
            cursors: Box::new(|rows| rows),
        }
    }

    /// Fails for good after so many calls.
    pub fn ending(inner: Arc<dyn StoreScan>, calls: u64) -> Self {
        Self { left: AtomicU64::new(calls), ..Self::new(inner) }
    }

    fn call(&self) -> Result<(), StoreError> {
        let less = |left: u64| left.checked_sub(1);
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) {
            Ok(_) => Ok(()),
            Err(_) => Err(StoreError::Stop("pulled the plug".to_owned())),
        }
    }
}

#[async_trait]
impl Store for Faulty {
    async fn write(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        step: Step,
    ) -> Result<(), StoreError> {
        self.call()?;
        self.inner.write(tenant, conversation, step).await
    }

    async fn events(
        &self,
        conversation: ConversationId,
        after: Seq,
        until: Seq,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        self.call()?;
        let events = self.inner.events(conversation, after, until, limit).await?;
        Ok((self.events)((conversation, events)).1)
    }

    async fn rejections(
        &self,
        conversation: ConversationId,
        after: Option<Position>,
    ) -> Result<Vec<Rejection>, StoreError> {
        Ok((self.rejections)(self.inner.rejections(conversation, after).await?))
    }

    async fn snapshot(&self, conversation: ConversationId) -> Result<Option<State>, StoreError> {
        Ok((self.snapshot)(self.inner.snapshot(conversation).await?))
    }

    async fn memberships(
        &self,
        tenant: TenantId,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<Membership>, StoreError> {
        self.inner.memberships(tenant, user, after, limit).await
    }

    async fn membership(
        &self,
        tenant: TenantId,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Option<Membership>, StoreError> {
        Ok((self.membership)(self.inner.membership(tenant, user, conversation).await?))
    }

    async fn advance(
        &self,
        conversation: ConversationId,
        cursors: Vec<(UserId, Cursor)>,
    ) -> Result<(), StoreError> {
        self.call()?;
        self.inner.advance(conversation, cursors).await
    }

    async fn cursors(
        &self,
        conversation: ConversationId,
    ) -> Result<Vec<(UserId, Cursor)>, StoreError> {
        Ok((self.cursors)(self.inner.cursors(conversation).await?))
    }

    async fn put_profile(&self, profile: Profile) -> Result<(), StoreError> {
        self.call()?;
        self.inner.put_profile(profile).await
    }

    async fn profiles(
        &self,
        tenant: TenantId,
        users: Vec<UserId>,
    ) -> Result<Vec<Profile>, StoreError> {
        self.inner.profiles(tenant, users).await
    }

    async fn find_profiles(
        &self,
        tenant: TenantId,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<Profile>, StoreError> {
        self.inner.find_profiles(tenant, prefix, limit).await
    }

    async fn generation(&self) -> Result<Option<Generation>, StoreError> {
        Ok(self.generation.or(self.inner.generation().await?))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.inner.ready().await
    }
}

#[async_trait]
impl StoreScan for Faulty {
    async fn all_conversations(
        &self,
        from: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<ConversationId>, StoreError> {
        self.inner.all_conversations(from, limit).await
    }

    async fn all_memberships(
        &self,
        from: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<Membership>, StoreError> {
        let page = self.inner.all_memberships(from, limit).await?;
        Ok(Page { rows: (self.memberships)(page.rows), next: page.next })
    }

    async fn all_profiles(
        &self,
        from: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<Profile>, StoreError> {
        self.inner.all_profiles(from, limit).await
    }
}

/// A log with lies about what it reads.
pub struct FaultyLog {
    pub inner: Arc<dyn LogScan>,
    pub entries: Lie<(Partition, Vec<Entry>)>,
    /// Records before this one are gone, in every partition.
    pub first: u64,
}

impl FaultyLog {
    pub fn since(inner: Arc<dyn LogScan>, first: u64) -> Self {
        Self { inner, entries: Box::new(|entries| entries), first }
    }
}

#[async_trait]
impl LogScan for FaultyLog {
    fn partitions(&self) -> u16 {
        self.inner.partitions()
    }

    fn generation(&self) -> Generation {
        self.inner.generation()
    }

    async fn bounds(&self, partition: Partition) -> Result<Bounds, LogError> {
        let bounds = self.inner.bounds(partition).await?;
        Ok(Bounds { first: bounds.first.max(self.first.min(bounds.end)), ..bounds })
    }

    async fn read(
        &self,
        partition: Partition,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, LogError> {
        let entries = self.inner.read(partition, from.max(self.first), max).await?;
        Ok((self.entries)((partition, entries)).1)
    }
}
