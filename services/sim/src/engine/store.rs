//! The store as a process sees it: statements that take their time, fail, land partly or late, in
//! the order in which the real engine makes them. [`tables`] is what they come to.

pub mod tables;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use harkara_domain::{
    ConversationId, Cursor, Event, Generation, Membership, Position, Profile, Rejection, Seq,
    State, TenantId, UserId,
};
use harkara_engine::{Store, StoreError, store::Step};
use tokio::sync::oneshot;

use self::tables::{Piece, Tables};
use crate::{process::Proc, weather::Write};

/// After this long a process that is cut off is told that nobody answers.
const NO_ANSWER: Duration = Duration::from_secs(2);

/// A process's handle on the store.
#[derive(Clone)]
pub struct SimStore {
    proc: Arc<Proc>,
    tables: Arc<Tables>,
}

impl SimStore {
    /// The store as this process sees it.
    #[must_use]
    pub fn new(proc: Arc<Proc>, tables: Arc<Tables>) -> Self {
        Self { proc, tables }
    }

    /// The way there and back, around a read.
    async fn read<T>(&self, read: impl FnOnce(&Tables) -> T) -> Result<T, StoreError> {
        let world = &self.tables.world;
        pause(world.latency()).await;
        if world.weather().cut_from_store(self.proc.node) {
            tokio::time::sleep(NO_ANSWER).await;
            return retry("nobody answers");
        }
        if world.weather().read_fails(&mut world.dice.roll()) {
            return retry("a replica timed out");
        }
        let read = read(&self.tables);
        pause(world.latency()).await;
        Ok(read)
    }

    /// Statements go on their way and are not stopped by whoever waits for them.
    async fn write_all(&self, pieces: Vec<Piece>) -> Result<(), StoreError> {
        let (done, answer) = oneshot::channel();
        let handle = self.clone();
        tokio::spawn(async move {
            let _ = done.send(handle.land_all(pieces).await);
        });
        answer.await.unwrap_or_else(|_| retry("the process ended"))
    }

    /// One statement after the other, as the driver in the process makes them.
    async fn land_all(&self, pieces: Vec<Piece>) -> Result<(), StoreError> {
        let world = &self.tables.world;
        for piece in pieces {
            if !self.proc.runs().await {
                return retry("the process ended");
            }
            if world.weather().cut_from_store(self.proc.node) {
                tokio::time::sleep(NO_ANSWER).await;
                return retry("nobody answers");
            }
            pause(world.latency()).await;
            self.land(piece)?;
            pause(world.latency()).await;
        }
        Ok(())
    }

    fn land(&self, piece: Piece) -> Result<(), StoreError> {
        let world = &self.tables.world;
        let fate = world.weather().write(&mut world.dice.roll());
        if fate != Write::Well {
            world.note(|| format!("store     {} of {}: {fate:?}", piece.name(), self.proc.node));
        }
        match fate {
            Write::Well => {
                self.tables.put(&piece);
                Ok(())
            }
            Write::Lost => retry("a replica timed out"),
            Write::Unconfirmed => {
                self.tables.put(&piece);
                retry("a replica timed out")
            }
            Write::Late(ms) => {
                let tables = Arc::clone(&self.tables);
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    tables.put(&piece);
                });
                retry("a replica timed out")
            }
        }
    }
}

async fn pause(latency: Duration) {
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
}

fn retry<T>(why: &str) -> Result<T, StoreError> {
    Err(StoreError::Retry(why.to_owned()))
}

#[async_trait]
impl Store for SimStore {
    async fn write(
        &self,
        _tenant: TenantId,
        conversation: ConversationId,
        step: Step,
    ) -> Result<(), StoreError> {
        self.write_all(tables::pieces(conversation, step)).await
    }

    async fn events(
        &self,
        conversation: ConversationId,
        after: Seq,
        until: Seq,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        self.read(|tables| tables.events(conversation, after, until, limit)).await
    }

    async fn rejections(
        &self,
        conversation: ConversationId,
        after: Option<Position>,
    ) -> Result<Vec<Rejection>, StoreError> {
        self.read(|tables| tables.rejections(conversation, after)).await
    }

    async fn snapshot(&self, conversation: ConversationId) -> Result<Option<State>, StoreError> {
        self.read(|tables| tables.rows().snapshots.get(&conversation).cloned()).await
    }

    async fn memberships(
        &self,
        tenant: TenantId,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<Membership>, StoreError> {
        self.read(|tables| tables.memberships(tenant, user, after, limit)).await
    }

    async fn membership(
        &self,
        tenant: TenantId,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Option<Membership>, StoreError> {
        self.read(|tables| tables.rows().memberships.get(&(tenant, user, conversation)).copied())
            .await
    }

    async fn advance(
        &self,
        conversation: ConversationId,
        cursors: Vec<(UserId, Cursor)>,
    ) -> Result<(), StoreError> {
        self.write_all(vec![Piece::Cursors(conversation, cursors)]).await
    }

    async fn cursors(
        &self,
        conversation: ConversationId,
    ) -> Result<Vec<(UserId, Cursor)>, StoreError> {
        self.read(|tables| tables.cursors(conversation)).await
    }

    async fn put_profile(&self, profile: Profile) -> Result<(), StoreError> {
        self.write_all(vec![Piece::Profile(profile)]).await
    }

    async fn profiles(
        &self,
        tenant: TenantId,
        users: Vec<UserId>,
    ) -> Result<Vec<Profile>, StoreError> {
        self.read(|tables| {
            let rows = tables.rows();
            users.iter().filter_map(|user| rows.profiles.get(&(tenant, *user)).cloned()).collect()
        })
        .await
    }

    async fn find_profiles(
        &self,
        tenant: TenantId,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<Profile>, StoreError> {
        self.read(|tables| tables.find_profiles(tenant, prefix, limit)).await
    }

    async fn generation(&self) -> Result<Option<Generation>, StoreError> {
        self.read(|tables| tables.rows().generation).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
