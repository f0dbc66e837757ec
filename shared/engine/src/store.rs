//! The store: history, snapshots, lists, cursors and names. Writes are idempotent, reads see
//! every write that resolved.
//!
//! | Data | Key | Newer wins by | Serves |
//! |---|---|---|---|
//! | events | conversation, seq >> 12 / seq | (never differs) | timeline, rebuild, dedup window |
//! | rejections | conversation / position | (never differs) | rebuild |
//! | snapshots | conversation | head | rebuild |
//! | memberships | user / conversation | cause | a user's list |
//! | cursors | conversation / user | seq | unread, read marks |
//! | profiles | tenant, user; tenant / name | at | names |
//!
//! A write must be durable no later than a log commit that is made after it resolved; cursors and
//! profiles, which are in no log, must be durable when their write resolves.

use std::sync::Arc;

use async_trait::async_trait;
use harkara_domain::{
    ConversationId, Cursor, Event, Generation, Membership, Position, Profile, Rejection, Seq,
    State, TenantId, UserId,
};

/// What a caller does about a failure of the store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Unknown or transient: do it again, every operation is idempotent.
    #[error("the store did not answer: {0}")]
    Retry(String),
    /// What is stored can't be read: an operator must look.
    #[error("the store must not be used: {0}")]
    Stop(String),
}

/// What one step of a conversation leaves behind: written together, in this order of meaning.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// Contiguous events.
    pub events: Vec<Arc<Event>>,
    /// Commands that were refused.
    pub rejections: Vec<Rejection>,
    /// Lists that change because of the events.
    pub memberships: Vec<Membership>,
    /// The state after them, when it is time for a snapshot. Rejections up to its `applied` are
    /// in it and may be forgotten.
    pub snapshot: Option<Arc<State>>,
}

/// History and what is derived from it.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Writes a step. Resolves when all of it can be read; a failure may have written any part.
    async fn write(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        step: Step,
    ) -> Result<(), StoreError>;

    /// Events with `after < seq <= until` in rising order, the first `limit` of them.
    async fn events(
        &self,
        conversation: ConversationId,
        after: Seq,
        until: Seq,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError>;

    /// Rejections after a position (all if none), in rising order.
    async fn rejections(
        &self,
        conversation: ConversationId,
        after: Option<Position>,
    ) -> Result<Vec<Rejection>, StoreError>;

    /// The newest snapshot.
    async fn snapshot(&self, conversation: ConversationId) -> Result<Option<State>, StoreError>;

    /// Conversations present in a user's list, in rising order of their ids, above `after`.
    async fn memberships(
        &self,
        tenant: TenantId,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<Membership>, StoreError>;

    /// The row of one conversation in a user's list, present or not any more.
    async fn membership(
        &self,
        tenant: TenantId,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Option<Membership>, StoreError>;

    /// Moves read cursors forward; one that would go back changes nothing.
    async fn advance(
        &self,
        conversation: ConversationId,
        cursors: Vec<(UserId, Cursor)>,
    ) -> Result<(), StoreError>;

    /// Everybody's read cursor in a conversation.
    async fn cursors(
        &self,
        conversation: ConversationId,
    ) -> Result<Vec<(UserId, Cursor)>, StoreError>;

    /// Keeps a user's name; an older one changes nothing.
    async fn put_profile(&self, profile: Profile) -> Result<(), StoreError>;

    /// The profiles of those users that have one, in no order.
    async fn profiles(
        &self,
        tenant: TenantId,
        users: Vec<UserId>,
    ) -> Result<Vec<Profile>, StoreError>;

    /// Profiles whose lower-cased name begins with the lower-cased `prefix`, in order of it.
    async fn find_profiles(
        &self,
        tenant: TenantId,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<Profile>, StoreError>;

    /// The generation of the log this store belongs to, once one was set (soundness S2).
    async fn generation(&self) -> Result<Option<Generation>, StoreError>;

    /// Is the store reachable?
    async fn ready(&self) -> Result<(), StoreError>;
}
