//! `harkara verify`: reads everything and recomputes what can be recomputed. Each conversation
//! ([`walk`]): sequences, chain, ordinals, snapshot, cursors, lists, and for every record that the
//! log still has ([`records`]) that it became what the rules say. Then the lists ([`lists`]): that
//! they have no row too many.
//!
//! Nothing is written. It may run beside workers: what is appended after it began to look at a
//! partition is left for the next time.
//!
//! **Memory.** One partition at a time: ~190 bytes for each record that the log holds of it (a
//! million a partition are 190 MB), 16 bytes for each conversation of the store, and for 32
//! conversations at once a page of events (400 KiB), a window of repeats (1 MB) and the rows of
//! lists (24 bytes for each user who ever was a member): 60 MB.

mod lists;
mod log_side;
mod records;
mod report;
mod walk;

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use harkara_domain::{ConversationId, Partition};
use harkara_engine::{LogScan, StoreScan};

pub use self::{lists::Lists, report::Report};
use self::{records::Records, walk::Walk};
use super::{AT_ONCE, PAGE, Progress, patiently};

/// Reads all of a store and what its log still holds.
///
/// # Errors
/// Something can't be read. What is read and wrong is a finding of the report.
pub async fn verify(
    store: &dyn StoreScan,
    log: &dyn LogScan,
    progress: &Progress,
) -> anyhow::Result<Report> {
    let report = Report::default();
    let of = patiently("read the store's generation", || store.generation()).await?;
    if of != Some(log.generation()) {
        let stored = of.map_or("none".to_owned(), |of| of.0.to_string());
        report.find(format!(
            "the store belongs to generation {stored} of the log, and this log is generation {}",
            log.generation().0
        ));
    }
    let mut conversations = by_partition(store, log.partitions()).await?;
    let all: usize = conversations.iter().map(Vec::len).sum();
    progress.begin("verify", 0, all as u64);
    for (partition, ids) in (0..log.partitions()).map(Partition).zip(&mut conversations) {
        let verify = Verify { store, log, report: &report, progress };
        verify.partition(partition, std::mem::take(ids)).await?;
    }
    lists::extra(store, &report).await?;
    progress.end();
    Ok(report)
}

/// All conversations that have events, by partition.
///
/// # Errors
/// The store can't be read.
pub async fn by_partition(
    store: &dyn StoreScan,
    partitions: u16,
) -> anyhow::Result<Vec<Vec<ConversationId>>> {
    let mut found = vec![Vec::new(); usize::from(partitions)];
    let mut from: Option<Vec<u8>> = None;
    loop {
        let read = || store.all_conversations(from.clone(), PAGE);
        let page = patiently("list conversations", read).await?;
        for id in page.rows {
            let partition = Partition::of(id, partitions);
            if let Some(of) = found.get_mut(usize::from(partition.0)) {
                of.push(id);
            }
        }
        from = page.next;
        if from.is_none() {
            return Ok(found);
        }
    }
}

struct Verify<'a> {
    store: &'a dyn StoreScan,
    log: &'a dyn LogScan,
    report: &'a Report,
    progress: &'a Progress,
}

impl Verify<'_> {
    /// One partition: its records, then every conversation that has events or records.
    async fn partition(
        &self,
        partition: Partition,
        ids: Vec<ConversationId>,
    ) -> anyhow::Result<()> {
        let records = Records::read(self.log, partition, self.report).await?;
        lists::inboxes(self.store, &records, self.report).await?;
        let stored = ids.len();
        let ids: BTreeSet<_> = ids.into_iter().chain(records.conversations()).collect();
        let ahead = stream::iter(ids)
            .map(|id| {
                let records = &records;
                async move {
                    let walk = Walk::open(self.store, id, records, self.report).await?;
                    let walked = walk.run(self.store).await?;
                    self.progress.add(0, walked.events, walked.bytes);
                    anyhow::Ok(walked.ahead.map(|offset| (id, offset)))
                }
            })
            .buffer_unordered(AT_ONCE)
            .try_fold(None, |most: Option<(_, u64)>, one| async move {
                Ok(most.into_iter().chain(one).max_by_key(|(_, offset)| *offset))
            })
            .await?;
        if let Some((id, offset)) = ahead {
            self.ahead(partition, id, offset).await?;
        }
        self.progress.add(stored as u64, 0, 0);
        self.report.count(|counts| counts.partitions += 1);
        Ok(())
    }

    /// Rows of records that were appended since the records were read; or of none.
    async fn ahead(
        &self,
        partition: Partition,
        id: ConversationId,
        offset: u64,
    ) -> anyhow::Result<()> {
        let read = || self.log.bounds(partition);
        let bounds = patiently("read the log's bounds", read).await?;
        if offset >= bounds.end {
            self.report.find(format!(
                "conversation {id}: a row comes from the record at {partition}/{offset}, and the \
                 log ends at {}",
                bounds.end
            ));
        }
        Ok(())
    }
}
