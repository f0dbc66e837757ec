//! Reading whole tables by pages, for `harkara export` and `harkara verify`. The mark between two
//! pages is the nodes' own; it stays good over restarts of either end.

use async_trait::async_trait;
use harkara_domain::{ConversationId, Membership, Profile, TenantId, UserId};
use harkara_engine::{StoreError, StoreScan, scan::Page};
use scylla::{deserialize::row::DeserializeRow, statement::prepared::PreparedStatement};
use uuid::Uuid;

use crate::{
    rows,
    store::{Inner, ScyllaStore},
};

/// Rows of one page at most, whatever the asker says.
const PAGE_MAX: usize = 4_096;

impl Inner {
    async fn scan<R, T>(
        &self,
        statement: &PreparedStatement,
        from: Option<Vec<u8>>,
        limit: usize,
        read: impl Fn(R) -> Result<Option<T>, StoreError> + Send,
    ) -> Result<Page<T>, StoreError>
    where
        R: for<'f, 'm> DeserializeRow<'f, 'm> + Send,
        T: Send,
    {
        let mut statement = statement.clone();
        statement.set_page_size(i32::try_from(limit.clamp(1, PAGE_MAX)).unwrap_or(1));
        let (rows, next) = self.calls.page(&statement, (), from).await?;
        let read = rows.into_iter().map(read).filter_map(Result::transpose);
        Ok(Page { rows: read.collect::<Result<_, _>>()?, next })
    }
}

#[async_trait]
impl StoreScan for ScyllaStore {
    async fn all_conversations(
        &self,
        from: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<ConversationId>, StoreError> {
        let statement = &self.inner.statements.all_conversations;
        // Every conversation begins with sequence 1, so it has the first partition, once.
        let read = |(conversation, bucket): (Uuid, i64)| {
            Ok((bucket == 0).then(|| ConversationId::from_uuid(conversation)))
        };
        self.inner.scan(statement, from, limit, read).await
    }

    async fn all_memberships(
        &self,
        from: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<Membership>, StoreError> {
        let statement = &self.inner.statements.all_memberships;
        let read = |(tenant, owner, conversation, present, cause): (_, _, _, _, _)| {
            let (tenant, owner) = (TenantId::from_uuid(tenant), UserId::from_uuid(owner));
            rows::read_membership(tenant, owner, (conversation, present, cause)).map(Some)
        };
        self.inner.scan(statement, from, limit, read).await
    }

    async fn all_profiles(
        &self,
        from: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<Profile>, StoreError> {
        let statement = &self.inner.statements.all_profiles;
        let read = |(tenant, person, name, at): (Uuid, _, _, _)| {
            rows::read_profile(TenantId::from_uuid(tenant), (person, name, at)).map(Some)
        };
        self.inner.scan(statement, from, limit, read).await
    }
}
