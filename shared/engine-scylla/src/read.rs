//! Reading what was written: timelines across their partitions, states, lists, cursors.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use harkara_domain::{
    ConversationId, Cursor, Event, Membership, Position, Profile, Rejection, Seq, State, TenantId,
    UserId,
};
use harkara_engine::StoreError;

use crate::{rows, store::Inner};

/// Point reads under way at once.
const POINTS_AT_ONCE: usize = 32;

impl Inner {
    /// Partition by partition, since a sequence has no holes: one that does not reach its
    /// partition's end is followed by nothing.
    pub(crate) async fn read_events(
        &self,
        conversation: ConversationId,
        after: Seq,
        until: Seq,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let mut events: Vec<Event> = Vec::new();
        // Beyond what a column holds there is nothing.
        let until = until.min(i64::MAX as u64);
        let mut from = after.saturating_add(1);
        while from <= until && events.len() < limit {
            let bucket = rows::bucket(from);
            let last = rows::last_of(bucket).min(until);
            let room = limit - events.len();
            let range = (
                conversation.uuid(),
                rows::column(bucket),
                rows::column(from),
                rows::column(last),
                i32::try_from(room).unwrap_or(i32::MAX),
            );
            let take = |row| {
                events.push(rows::read_event(row)?);
                Ok(true)
            };
            self.calls.each(&self.statements.events, range, take).await?;
            if events.last().is_none_or(|event| event.seq != last) {
                break;
            }
            from = last + 1;
        }
        Ok(events)
    }

    pub(crate) async fn read_rejections(
        &self,
        conversation: ConversationId,
        after: Option<Position>,
    ) -> Result<Vec<Rejection>, StoreError> {
        let mut rejections = Vec::new();
        let take = |row| {
            rejections.push(rows::read_rejection(row)?);
            Ok(true)
        };
        let conversation = conversation.uuid();
        match after {
            Some(Position { generation, offset }) => {
                let after = (conversation, rows::column(generation.0), rows::column(offset));
                self.calls.each(&self.statements.rejections_after, after, take).await?;
            }
            None => {
                self.calls.each(&self.statements.rejections, (conversation,), take).await?;
            }
        }
        Ok(rejections)
    }

    pub(crate) async fn read_snapshot(
        &self,
        conversation: ConversationId,
    ) -> Result<Option<State>, StoreError> {
        let row = self.calls.one(&self.statements.snapshot, (conversation.uuid(),)).await?;
        row.map(rows::read_snapshot).transpose()
    }

    pub(crate) async fn read_memberships(
        &self,
        tenant: TenantId,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<Membership>, StoreError> {
        let mut list = Vec::new();
        if limit == 0 {
            return Ok(list);
        }
        let after = after.map_or_else(Vec::new, |after| after.as_bytes().to_vec());
        let take = |row| {
            let membership = rows::read_membership(tenant, user, row)?;
            if membership.present {
                list.push(membership);
            }
            Ok(list.len() < limit)
        };
        let range = (tenant.uuid(), user.uuid(), after);
        self.calls.each(&self.statements.memberships, range, take).await?;
        Ok(list)
    }

    pub(crate) async fn read_membership(
        &self,
        tenant: TenantId,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Option<Membership>, StoreError> {
        let key = (tenant.uuid(), user.uuid(), conversation.as_bytes().as_slice());
        let row = self.calls.one(&self.statements.membership, key).await?;
        row.map(|row| rows::read_membership(tenant, user, row)).transpose()
    }

    pub(crate) async fn read_cursors(
        &self,
        conversation: ConversationId,
    ) -> Result<Vec<(UserId, Cursor)>, StoreError> {
        let mut cursors = Vec::new();
        let take = |row| {
            cursors.push(rows::read_cursor(row)?);
            Ok(true)
        };
        self.calls.each(&self.statements.cursors, (conversation.uuid(),), take).await?;
        Ok(cursors)
    }

    pub(crate) async fn read_profile(
        &self,
        tenant: TenantId,
        user: UserId,
    ) -> Result<Option<Profile>, StoreError> {
        let row = self.calls.one(&self.statements.profile, (tenant.uuid(), user.uuid())).await?;
        row.map(|row| rows::read_profile(tenant, row)).transpose()
    }

    /// In the order of the users, those left out that have none.
    pub(crate) async fn read_profiles(
        &self,
        tenant: TenantId,
        users: Vec<UserId>,
    ) -> Result<Vec<Profile>, StoreError> {
        stream::iter(users)
            .map(|user| self.read_profile(tenant, user))
            .buffered(POINTS_AT_ONCE)
            .try_filter_map(async |profile| Ok(profile))
            .try_collect()
            .await
    }
}
