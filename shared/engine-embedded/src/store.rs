//! The store's face: writes are turned into rows and queued, reads go to the database.
//!
//! Reads block their thread. Points and short ranges are answered from memory or by a few blocks
//! of the disk, so they run where they are asked; longer ranges move to the blocking pool, which
//! costs some ten microseconds and keeps a slow disk away from the thread's other sessions.

use std::{
    ops::Bound,
    sync::{Arc, PoisonError},
};

use async_trait::async_trait;
use fjall::Slice;
use harkara_domain::{
    ConversationId, Cursor, Event, Generation, Membership, Position, Profile, Rejection, Seq,
    State, TenantId, UserId,
};
use harkara_engine::{Store, StoreError, store::Step};
use harkara_protocol::stored;
use tokio::sync::oneshot;

use crate::{
    Shared,
    merge::read_failed,
    queue::{OVERHEAD, Op},
    rows::{self, Change},
    tables::{
        Table, Tables, event_key, event_seq, indexed, join, last_id, membership_key, profile_key,
        rejection_key,
    },
};

/// Rows that are read on the asker's thread: 32 rows of 330 bytes are three blocks.
const INLINE_ROWS: usize = 32;

#[derive(Clone)]
pub(crate) struct EmbeddedStore {
    shared: Arc<Shared>,
}

pub(crate) type Row = (Slice, Slice);

fn closed() -> StoreError {
    StoreError::Stop("the data directory is closed".to_owned())
}

impl EmbeddedStore {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Queues rows once there is room for them and waits until they are written.
    async fn queue(&self, changes: Vec<Change>, durable: bool) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let shared = &self.shared;
        let bytes: usize =
            OVERHEAD + changes.iter().map(|change| change.bytes() + OVERHEAD).sum::<usize>();
        // A write that is larger than everything has to wait until it is alone.
        let permits = bytes.min(shared.options.store_bytes());
        let permits = u32::try_from(permits).unwrap_or(u32::MAX);
        let room = Arc::clone(&shared.store_room);
        let room = room.acquire_many_owned(permits).await.map_err(|_| closed())?;
        let (done, answer) = oneshot::channel();
        let op = Op::Write { changes, durable, bytes, room, done };
        let refused = || shared.health.failure().map_or_else(closed, StoreError::Stop);
        shared.queue.push(op).map_err(|_| refused())?;
        let unanswered = || {
            let reason = shared.health.failure();
            StoreError::Retry(reason.unwrap_or_else(|| "the data directory was closed".to_owned()))
        };
        answer.await.unwrap_or_else(|_| Err(unanswered()))
    }

    /// Reads on this thread.
    fn read<T>(
        &self,
        read: impl FnOnce(&Tables) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let tables = self.shared.tables.read().unwrap_or_else(PoisonError::into_inner);
        read(tables.as_ref().ok_or_else(closed)?)
    }

    /// Reads on this thread if at most a few `rows` will come, else on one that may block.
    pub(crate) async fn read_rows<T: Send + 'static>(
        &self,
        rows: usize,
        read: impl FnOnce(&Tables) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        if rows <= INLINE_ROWS {
            return self.read(read);
        }
        let store = self.clone();
        let joined = tokio::task::spawn_blocking(move || store.read(read)).await;
        joined.map_err(|e| StoreError::Retry(format!("a read ended early: {e}")))?
    }
}

/// Rows in a range of keys, one by one.
pub(crate) fn range(
    tables: &Tables,
    table: Table,
    from: Bound<Vec<u8>>,
    until: Vec<u8>,
) -> impl Iterator<Item = Result<Row, StoreError>> {
    let rows = tables.of(table).range::<Vec<u8>, _>((from, Bound::Included(until)));
    rows.map(|row| row.into_inner().map_err(read_failed))
}

/// All rows whose key begins with these bytes.
fn prefix(
    tables: &Tables,
    table: Table,
    prefix: &[u8],
) -> impl Iterator<Item = Result<Row, StoreError>> + use<> {
    tables.of(table).prefix(prefix).map(|row| row.into_inner().map_err(read_failed))
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn write(
        &self,
        _tenant: TenantId,
        conversation: ConversationId,
        step: Step,
    ) -> Result<(), StoreError> {
        self.queue(rows::step(conversation, &step), false).await
    }

    async fn events(
        &self,
        conversation: ConversationId,
        after: Seq,
        until: Seq,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        if until <= after || limit == 0 {
            return Ok(Vec::new());
        }
        let span = usize::try_from(until - after).unwrap_or(usize::MAX);
        let rows = span.min(limit);
        self.read_rows(rows, move |tables| {
            let from = Bound::Included(event_key(conversation, after + 1));
            range(tables, Table::Events, from, event_key(conversation, until))
                .take(limit)
                .map(|row| event(&row?))
                .collect()
        })
        .await
    }

    async fn rejections(
        &self,
        conversation: ConversationId,
        after: Option<Position>,
    ) -> Result<Vec<Rejection>, StoreError> {
        self.read(|tables| {
            let from = match after {
                Some(position) => Bound::Excluded(rejection_key(conversation, position)),
                None => Bound::Included(conversation.as_bytes().to_vec()),
            };
            let until = join(&[conversation.as_bytes(), &[0xff; 16]]);
            range(tables, Table::Rejections, from, until)
                .map(|row| rows::form(Table::Rejections, stored::decode_rejection(&row?.1)))
                .collect()
        })
    }

    async fn snapshot(&self, conversation: ConversationId) -> Result<Option<State>, StoreError> {
        self.read(|tables| {
            let value = tables.get(Table::Snapshots, conversation.as_bytes());
            value.map_err(read_failed)?.map(|value| rows::read_snapshot(&value)).transpose()
        })
    }

    async fn memberships(
        &self,
        tenant: TenantId,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<Membership>, StoreError> {
        self.read_rows(limit, move |tables| {
            let from = match after {
                Some(after) => Bound::Excluded(membership_key(tenant, user, after)),
                None => Bound::Included(profile_key(tenant, user)),
            };
            let until = membership_key(tenant, user, ConversationId::from_bytes([0xff; 16]));
            range(tables, Table::Memberships, from, until)
                .map(|row| row.and_then(|row| rows::read_membership(tenant, user, &row.0, &row.1)))
                .filter(|read| !matches!(read, Ok(membership) if !membership.present))
                .take(limit)
                .collect()
        })
        .await
    }

    async fn membership(
        &self,
        tenant: TenantId,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Option<Membership>, StoreError> {
        let key = membership_key(tenant, user, conversation);
        self.read_rows(1, move |tables| {
            let until = Bound::Included(key.clone());
            range(tables, Table::Memberships, until, key)
                .map(|row| row.and_then(|row| rows::read_membership(tenant, user, &row.0, &row.1)))
                .next()
                .transpose()
        })
        .await
    }

    async fn advance(
        &self,
        conversation: ConversationId,
        cursors: Vec<(UserId, Cursor)>,
    ) -> Result<(), StoreError> {
        let row = |(user, cursor)| rows::cursor(conversation, user, cursor);
        self.queue(cursors.into_iter().map(row).collect(), true).await
    }

    async fn cursors(
        &self,
        conversation: ConversationId,
    ) -> Result<Vec<(UserId, Cursor)>, StoreError> {
        // As many as there are members: 20,000 at most.
        self.read_rows(usize::MAX, move |tables| {
            prefix(tables, Table::Cursors, conversation.as_bytes())
                .map(|row| row.and_then(|row| rows::read_cursor(&row.0, &row.1)))
                .collect()
        })
        .await
    }

    async fn put_profile(&self, profile: Profile) -> Result<(), StoreError> {
        self.queue(vec![rows::profile(&profile)], true).await
    }

    async fn profiles(
        &self,
        tenant: TenantId,
        users: Vec<UserId>,
    ) -> Result<Vec<Profile>, StoreError> {
        self.read_rows(users.len(), move |tables| {
            let found = users.into_iter().map(|user| one_profile(tables, tenant, user));
            found.filter_map(Result::transpose).collect()
        })
        .await
    }

    async fn find_profiles(
        &self,
        tenant: TenantId,
        text: &str,
        limit: usize,
    ) -> Result<Vec<Profile>, StoreError> {
        let wanted = text.to_lowercase();
        let key = join(&[tenant.as_bytes(), indexed(text).as_bytes()]);
        self.read_rows(limit, move |tables| {
            let found = prefix(tables, Table::Names, &key).map(|row| {
                let id =
                    last_id(&row?.0).ok_or_else(|| rows::damaged(Table::Names, "too short"))?;
                one_profile(tables, tenant, UserId::from_bytes(id))
            });
            // The index holds the beginning of a name, and a key's other parts may look like it.
            let fits = |profile: &Profile| profile.name.to_lowercase().starts_with(&wanted);
            found
                .filter_map(Result::transpose)
                .filter(|read| read.as_ref().map_or(true, fits))
                .take(limit)
                .collect()
        })
        .await
    }

    async fn generation(&self) -> Result<Option<Generation>, StoreError> {
        // One database holds both, so they can't be of different lives.
        Ok(Some(self.shared.generation))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.shared.health.store()?;
        self.read(|_| Ok(()))
    }
}

fn event((key, value): &Row) -> Result<Event, StoreError> {
    let seq = event_seq(key).ok_or_else(|| rows::damaged(Table::Events, "its key is too short"))?;
    rows::form(Table::Events, stored::decode_event(seq, value))
}

fn one_profile(
    tables: &Tables,
    tenant: TenantId,
    user: UserId,
) -> Result<Option<Profile>, StoreError> {
    let value = tables.get(Table::Profiles, &profile_key(tenant, user)).map_err(read_failed)?;
    value.map(|value| rows::read_profile(tenant, user, &value)).transpose()
}
