//! `harkara rebuild`: a store that fell behind its log, or was restored from a backup, is brought
//! forward by the log, as far as the log reaches. Nothing is decided here: records go through the
//! workers' own [`Slot`](harkara_fanout::conversation::slot::Slot), and what comes of them are the
//! rows that a worker wrote, or would have written, byte for byte.
//!
//! Each partition by itself, held all the while ([`held`]). Rows of records before the log's oldest
//! one are taken as they are ([`base`]); everything since is decided again and compared with what
//! is there ([`replay`]). First without writing, since a store that lacks something the log has
//! forgotten must not be written to: what came next would be decided on a state that never was, and
//! history would say something else than clients have seen. Then what is missing is written.
//!
//! **What shows that the log reaches.** A conversation's newest row stands right in front of the
//! log's oldest record; or rows that are there come out equal, chain and all; or, where neither
//! says anything, the newest row of the whole partition stands there: stores are restored from one
//! moment. What shows that it does not: rows, snapshots, lists or read marks that know of more
//! events than come out, or of others.
//!
//! **Memory.** The contents of [`GROUP_BYTES`](tail) of records at a time, 60 bytes for each
//! conversation, and for 32 conversations at once what a worker has of them.

mod base;
pub mod held;
mod replay;
mod report;
mod tail;

use std::collections::{BTreeSet, HashMap};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use harkara_domain::{ConversationId, Partition, Seq};
use harkara_engine::{LogScan, StoreScan};

use self::{
    held::Held,
    replay::{Halt, Judged, Replay},
    tail::Tail,
};
pub use self::{replay::Pace, report::Report};
use super::{AT_ONCE, PAGE, Progress, patiently, verify};

/// Brings a store forward. `held` keeps workers away.
///
/// # Errors
/// Something can't be read or written, or a worker came. What the log doesn't reach is a finding.
pub async fn rebuild(
    (store, log): (&dyn StoreScan, &dyn LogScan),
    held: &Held,
    pace: Pace,
    progress: &Progress,
) -> anyhow::Result<Report> {
    let of = patiently("read the store's generation", || store.generation()).await?;
    anyhow::ensure!(
        of == Some(log.generation()),
        "the store belongs to another life of the log, whose records say nothing of it"
    );
    let report = Report::default();
    let listed = listed(store).await?;
    let conversations = verify::by_partition(store, log.partitions()).await?;
    progress.begin("rebuild", 0, u64::from(log.partitions()));
    for (partition, ids) in (0..log.partitions()).map(Partition).zip(conversations) {
        let rebuild = Rebuild { store, log, held, pace, listed: &listed, report: &report };
        rebuild.partition(partition, ids).await?;
        progress.add(1, 0, 0);
    }
    progress.end();
    Ok(report)
}

/// The newest event of each conversation that a list names.
async fn listed(store: &dyn StoreScan) -> anyhow::Result<HashMap<ConversationId, Seq>> {
    let mut listed = HashMap::new();
    let mut from: Option<Vec<u8>> = None;
    loop {
        let read = || store.all_memberships(from.clone(), PAGE);
        let page = patiently("read lists", read).await?;
        for row in page.rows {
            let cause: &mut Seq = listed.entry(row.conversation).or_default();
            *cause = row.cause.max(*cause);
        }
        from = page.next;
        if from.is_none() {
            return Ok(listed);
        }
    }
}

struct Rebuild<'a> {
    store: &'a dyn StoreScan,
    log: &'a dyn LogScan,
    held: &'a Held,
    pace: Pace,
    listed: &'a HashMap<ConversationId, Seq>,
    report: &'a Report,
}

impl Rebuild<'_> {
    async fn partition(
        &self,
        partition: Partition,
        ids: Vec<ConversationId>,
    ) -> anyhow::Result<()> {
        let tail = Tail::look(self.log, partition).await?;
        self.report.count(|counts| {
            counts.partitions += 1;
            counts.records += tail.records;
        });
        if let Some(offset) = tail.newer {
            self.report.find(format!(
                "record {partition}/{offset} is newer than this build, and nothing of its \
                 partition was rebuilt: use the build that serves"
            ));
            return Ok(());
        }
        let ids: BTreeSet<_> = ids.into_iter().chain(tail.conversations()).collect();
        let judged = self.pass(&tail, &ids, false).await?;
        let newest = judged.iter().filter_map(|judged| judged.newest).max();
        let reached = tail.reached_by(newest);
        if !reached && tail.records == 0 {
            // Nothing to decide, and nothing that could tell.
            self.report.count(|counts| counts.silent += 1);
        } else if !reached {
            self.report.find(tail.gap(newest));
        }
        let (sure, unsure): (Vec<_>, Vec<_>) =
            judged.into_iter().filter(|one| one.missing).partition(|one| reached || one.sure);
        for one in unsure {
            self.report.find(format!(
                "conversation {}: left as it is, because partition {partition} is not reached",
                one.id
            ));
        }
        let ids = sure.into_iter().map(|judged| judged.id).collect();
        self.pass(&tail, &ids, true).await.map(|_| ())
    }

    /// Goes over these conversations, a bounded piece of the log at a time.
    async fn pass(
        &self,
        tail: &Tail,
        ids: &BTreeSet<ConversationId>,
        write: bool,
    ) -> anyhow::Result<Vec<Judged>> {
        let mut all = Vec::new();
        for group in tail.groups(ids) {
            let mut records = tail.read(self.log, &group).await?;
            let work: Vec<_> =
                group.into_iter().map(|id| (id, records.remove(&id).unwrap_or_default())).collect();
            let judged: Vec<Option<Judged>> = stream::iter(work)
                .map(|(id, records)| async move {
                    let listed = self.listed.get(&id).copied().unwrap_or_default();
                    let replay = Replay {
                        store: self.store,
                        tail,
                        id,
                        listed,
                        pace: self.pace,
                        write: write.then_some(self.held),
                        report: self.report,
                    };
                    match replay.run(records).await {
                        Ok(judged) => Ok(Some(judged)),
                        Err(Halt::Refused(why)) => {
                            self.report.find(format!("conversation {id}: {why}"));
                            Ok(None)
                        }
                        Err(Halt::Failed(error)) => Err(error),
                    }
                })
                .buffer_unordered(AT_ONCE)
                .try_collect()
                .await?;
            all.extend(judged.into_iter().flatten());
        }
        Ok(all)
    }
}
