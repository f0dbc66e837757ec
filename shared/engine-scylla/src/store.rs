//! The store's face: opening, and the trait's methods, which `write`, `read` and `names` do.

use std::sync::Arc;

use async_trait::async_trait;
use harkara_domain::{
    ConversationId, Cursor, Event, Generation, Membership, Position, Profile, Rejection, Seq,
    State, TenantId, UserId,
};
use harkara_engine::{Store, StoreError, store::Step};
use harkara_service_runtime::clock::SharedClock;
use scylla::{
    client::session::Session,
    errors::{DbError, ExecutionError, RequestAttemptError},
};

use crate::{
    call::Calls,
    config::Config,
    connect::{self, OpenError},
    counts::Counts,
    rows,
    statements::{self, Statements},
};

/// A session and its statements.
pub(crate) struct Inner {
    pub(crate) calls: Calls,
    pub(crate) statements: Statements,
}

/// The store on ScyllaDB or Cassandra. Clones share the session; it ends with the last of them.
#[derive(Clone)]
pub struct ScyllaStore {
    pub(crate) inner: Arc<Inner>,
}

impl ScyllaStore {
    /// Connects, looks at the version of the tables, and prepares every statement. Must be called
    /// on the runtime that will outlive the store: the driver's tasks live there.
    ///
    /// # Errors
    /// [`OpenError`]; those that [pass](OpenError::passes) are worth waiting for.
    pub async fn open(config: &Config, clock: &SharedClock) -> Result<Self, OpenError> {
        let session = connect::session(config, clock).await?;
        let found = version(config, &session).await?;
        connect::check_version(config, found)?;
        let statements = Statements::prepare(&session, config).await?;
        Ok(Self { inner: Arc::new(Inner { calls: Calls::new(session), statements }) })
    }

    /// What was counted since the store was opened.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.inner.calls.counters.now()
    }

    async fn meta(&self, name: &str) -> Result<Option<u64>, StoreError> {
        let inner = &self.inner;
        let row: Option<(i64,)> = inner.calls.one(&inner.statements.meta, (name,)).await?;
        row.map(|(value,)| rows::number("meta", value)).transpose()
    }
}

/// The version that the tables say; none where there are no tables.
async fn version(config: &Config, session: &Session) -> Result<Option<u64>, OpenError> {
    let away = |why: String| connect::away(config, &why);
    let read = match session.query_unpaged(statements::version_query(config), ()).await {
        Ok(read) => read,
        Err(ExecutionError::LastAttemptError(RequestAttemptError::DbError(kind, why))) => {
            return match kind {
                DbError::Invalid => Ok(None),
                DbError::Unauthorized => Err(OpenError::Unusable(why)),
                other => Err(away(other.to_string())),
            };
        }
        Err(other) => return Err(away(other.to_string())),
    };
    let other = |what: String| OpenError::Unusable(format!("its table `meta` is another ({what})"));
    let rows = read.into_rows_result().map_err(|error| other(error.to_string()))?;
    let row: Option<(i64,)> = rows.maybe_first_row().map_err(|error| other(error.to_string()))?;
    Ok(row.and_then(|(value,)| u64::try_from(value).ok()))
}

#[async_trait]
impl Store for ScyllaStore {
    async fn write(
        &self,
        _tenant: TenantId,
        conversation: ConversationId,
        step: Step,
    ) -> Result<(), StoreError> {
        self.inner.write_step(conversation, &step).await
    }

    async fn events(
        &self,
        conversation: ConversationId,
        after: Seq,
        until: Seq,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        self.inner.read_events(conversation, after, until, limit).await
    }

    async fn rejections(
        &self,
        conversation: ConversationId,
        after: Option<Position>,
    ) -> Result<Vec<Rejection>, StoreError> {
        self.inner.read_rejections(conversation, after).await
    }

    async fn snapshot(&self, conversation: ConversationId) -> Result<Option<State>, StoreError> {
        self.inner.read_snapshot(conversation).await
    }

    async fn memberships(
        &self,
        tenant: TenantId,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<Membership>, StoreError> {
        self.inner.read_memberships(tenant, user, after, limit).await
    }

    async fn membership(
        &self,
        tenant: TenantId,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Option<Membership>, StoreError> {
        self.inner.read_membership(tenant, user, conversation).await
    }

    async fn advance(
        &self,
        conversation: ConversationId,
        cursors: Vec<(UserId, Cursor)>,
    ) -> Result<(), StoreError> {
        self.inner.write_cursors(conversation, &cursors).await
    }

    async fn cursors(
        &self,
        conversation: ConversationId,
    ) -> Result<Vec<(UserId, Cursor)>, StoreError> {
        self.inner.read_cursors(conversation).await
    }

    async fn put_profile(&self, profile: Profile) -> Result<(), StoreError> {
        self.inner.write_profile(&profile).await
    }

    async fn profiles(
        &self,
        tenant: TenantId,
        users: Vec<UserId>,
    ) -> Result<Vec<Profile>, StoreError> {
        self.inner.read_profiles(tenant, users).await
    }

    async fn find_profiles(
        &self,
        tenant: TenantId,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<Profile>, StoreError> {
        self.inner.search_names(tenant, prefix, limit).await
    }

    async fn generation(&self) -> Result<Option<Generation>, StoreError> {
        Ok(self.meta("generation").await?.map(Generation))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        // One row, read as every other: from a quorum.
        self.meta("schema").await.map(drop)
    }
}
