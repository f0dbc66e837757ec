//! Reading everything: log and store by pages, for `harkara export` and `harkara verify`. Beside
//! `log` and `store`, which serve; nothing here joins the group or is fast.
//!
//! A page is read on the blocking pool and holds the tables for as long as it takes, so pages are
//! bounded. The mark between two pages is the key of the last row.

use std::{
    ops::Bound,
    sync::{Arc, PoisonError},
};

use async_trait::async_trait;
use fjall::Slice;
use harkara_domain::{
    ConversationId, Generation, Membership, Partition, Profile, TenantId, UserId,
};
use harkara_engine::{
    LogError, LogScan, StoreError, StoreScan,
    log::Entry,
    scan::{Bounds, Page},
};

use crate::{
    Shared, log, rows,
    store::{EmbeddedStore, range},
    tables::{Table, Tables, log_key, log_offset},
};

/// Rows of one page at most, whatever the asker says: 4,096 × 350 bytes are 1.4 MB.
const PAGE_MAX: usize = 4_096;

/// Sorts behind every key of the tables that are scanned: 48 bytes at most.
const BEHIND_ALL: [u8; 49] = [0xff; 49];

pub(crate) struct EmbeddedLogScan {
    shared: Arc<Shared>,
}

impl EmbeddedLogScan {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    let joined = tokio::task::spawn_blocking(read).await;
    joined.map_err(|e| LogError::Unknown(format!("a read ended early: {e}")))?
}

#[async_trait]
impl LogScan for EmbeddedLogScan {
    fn partitions(&self) -> u16 {
        self.shared.options.partitions
    }

    fn generation(&self) -> Generation {
        self.shared.generation
    }

    async fn bounds(&self, partition: Partition) -> Result<Bounds, LogError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let tail = log::tail(&shared, partition)?;
            // In this order: what is committed was in the log before.
            let committed = tail.committed();
            let end = *tail.watch().borrow();
            let first = first_offset(&shared, partition)?.map_or(end, |first| first.min(end));
            Ok(Bounds { start: 0, first, end, committed })
        })
        .await
    }

    async fn read(
        &self,
        partition: Partition,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, LogError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let end = *log::tail(&shared, partition)?.watch().borrow();
            if from >= end {
                return Ok(Vec::new());
            }
            let range = log_key(partition.0, from)..=log_key(partition.0, end - 1);
            log::scan(&shared, range, max.clamp(1, PAGE_MAX))
        })
        .await
    }
}

/// The oldest record that retention left.
fn first_offset(shared: &Shared, Partition(partition): Partition) -> Result<Option<u64>, LogError> {
    let tables = shared.tables.read().unwrap_or_else(PoisonError::into_inner);
    let tables = tables.as_ref().ok_or_else(log::closed)?;
    let range = log_key(partition, 0)..=log_key(partition, u64::MAX);
    let first = tables.of(Table::Log).range(range).next();
    let key = first.map(fjall::Guard::key).transpose().map_err(log::read_failed)?;
    Ok(key.and_then(|key| log_offset(&key)))
}

/// The rows behind the mark, `limit` at most, each read by `read`; full pages have a next one.
fn page<T>(
    tables: &Tables,
    table: Table,
    from: Option<Vec<u8>>,
    limit: usize,
    read: impl Fn(&Slice, &Slice) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let from = from.map_or(Bound::Unbounded, Bound::Excluded);
    let limit = limit.clamp(1, PAGE_MAX);
    let mut page = Page { rows: Vec::new(), next: None };
    for row in range(tables, table, from, BEHIND_ALL.to_vec()).take(limit) {
        let (key, value) = row?;
        page.rows.push(read(&key, &value)?);
        if page.rows.len() == limit {
            page.next = Some(key.to_vec());
        }
    }
    Ok(page)
}

/// The two ids that a key of a list or a profile begins with.
fn owner(table: Table, key: &[u8]) -> Result<(TenantId, UserId), StoreError> {
    let short = || rows::damaged(table, "its key is too short");
    let (tenant, rest) = key.split_first_chunk().ok_or_else(short)?;
    let user = rest.first_chunk().ok_or_else(short)?;
    Ok((TenantId::from_bytes(*tenant), UserId::from_bytes(*user)))
}

#[async_trait]
impl StoreScan for EmbeddedStore {
    async fn all_conversations(
        &self,
        from: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<ConversationId>, StoreError> {
        let limit = limit.clamp(1, PAGE_MAX);
        self.read_rows(usize::MAX, move |tables| {
            let mut from = from.map_or(Bound::Unbounded, Bound::Excluded);
            let mut page = Page { rows: Vec::new(), next: None };
            // One seek a conversation: its events are jumped over.
            while let Some(row) =
                range(tables, Table::Events, from, BEHIND_ALL.to_vec()).next().transpose()?
            {
                let id = row.0.first_chunk::<16>();
                let id = id.ok_or_else(|| rows::damaged(Table::Events, "its key is too short"))?;
                let behind = [id.as_slice(), &[0xff; 16]].concat();
                page.rows.push(ConversationId::from_bytes(*id));
                if page.rows.len() == limit {
                    page.next = Some(behind);
                    break;
                }
                from = Bound::Excluded(behind);
            }
            Ok(page)
        })
        .await
    }

    async fn all_memberships(
        &self,
        from: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<Membership>, StoreError> {
        self.read_rows(usize::MAX, move |tables| {
            page(tables, Table::Memberships, from, limit, |key, value| {
                let (tenant, user) = owner(Table::Memberships, key)?;
                rows::read_membership(tenant, user, key, value)
            })
        })
        .await
    }

    async fn all_profiles(
        &self,
        from: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<Profile>, StoreError> {
        self.read_rows(usize::MAX, move |tables| {
            page(tables, Table::Profiles, from, limit, |key, value| {
                let (tenant, user) = owner(Table::Profiles, key)?;
                rows::read_profile(tenant, user, value)
            })
        })
        .await
    }
}
