//! A partition that is served, seen from the worker that feeds it: permits for records in flight,
//! what its actor could not say, and how the actor ended.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::prelude::*;
use harkara_domain::{ConversationId, Epoch, Partition};
use harkara_engine::{EndpointId, Entry, Lease, PartitionReader, Up, directory::Owners};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::{
    panics::AtWork,
    partition::{
        Context, PartitionActor,
        actor::{Claimed, Fate, Release},
        records::Batch,
    },
};

/// A served partition, seen from the one who feeds it.
pub struct Seat {
    partition: Partition,
    epoch: Epoch,
    permits: Arc<Semaphore>,
    silenced: Arc<AtomicBool>,
    actor: Addr<PartitionActor>,
}

/// The life of a seat's actor.
pub struct Life {
    ended: oneshot::Receiver<()>,
    at_work: AtWork,
}

impl Life {
    /// Resolves when the actor is gone although nobody released it: with whose panic it was.
    pub async fn panicked(&mut self) -> Option<ConversationId> {
        let _ = (&mut self.ended).await;
        self.at_work.left()
    }
}

impl Seat {
    /// Starts the actor of a partition that was just claimed, on this thread.
    pub fn new(
        context: Context,
        reader: &dyn PartitionReader,
        epoch: Epoch,
        frames: mpsc::Receiver<(EndpointId, Up)>,
        aside: Arc<HashSet<ConversationId>>,
    ) -> (Self, Life) {
        let partition = reader.partition();
        let permits = Arc::new(Semaphore::new(context.config.in_flight_records_max));
        let silenced = Arc::new(AtomicBool::new(false));
        let spoken_for = (Arc::from(reader.committer()), reader.lease(), Arc::clone(&silenced));
        let (life, ended) = oneshot::channel();
        let at_work = AtWork::default();
        let fate = Fate { life, at_work: at_work.clone(), aside };
        let claimed = (partition, epoch);
        let taken = Arc::clone(&permits);
        let actor = PartitionActor::new(context, claimed, spoken_for, frames, taken, fate).start();
        (Self { partition, epoch, permits, silenced, actor }, Life { ended, at_work })
    }

    /// It was claimed once more.
    pub async fn claimed(&mut self, epoch: Epoch) {
        self.epoch = epoch;
        self.silenced.store(false, Ordering::Release);
        let _ = self.actor.send(Claimed(epoch)).await;
    }

    /// Did the actor stop in front of a record? It goes on answering, until the partition is taken
    /// away.
    pub fn stopped(&self) -> bool {
        self.permits.is_closed()
    }

    /// How many records may be taken now, of at most so many.
    pub fn free(&self, most: usize) -> usize {
        if self.stopped() { 0 } else { most.min(self.permits.available_permits()) }
    }

    /// Waits until a record may be taken, or for a moment.
    pub async fn room(&self, lease: &dyn Lease) {
        if let Ok(permit) = self.permits.acquire().await {
            drop(permit);
        } else if lease.holds() {
            tokio::time::sleep(READ_RETRY).await;
        }
    }

    /// Hands records over; their permits come back when they are done.
    pub async fn feed(&self, entries: Vec<Entry>) {
        let taken = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        if let Ok(permits) = self.permits.acquire_many(taken).await {
            permits.forget();
        }
        let _gone = self.actor.send(Batch(entries)).await;
    }

    /// Resolves when something was not said for want of a lease, and could be said now.
    pub async fn silence(&self, lease: &dyn Lease) {
        while !(self.silenced.load(Ordering::Acquire) && lease.holds()) {
            tokio::time::sleep(READ_RETRY).await;
        }
    }

    /// Waits until the actor has finished what it began.
    pub async fn release(self, life: Life) {
        if self.actor.send(Release).await.is_ok() {
            // An error is what is waited for: the actor is gone, and the sender with it.
            let _ = life.ended.await;
        }
    }

    /// Resolves when the directory names a later claim of the partition than this one.
    pub async fn displaced(&self, owners: &mut watch::Receiver<Owners>) {
        let later = |owners: &Owners| {
            let owner = owners.get(usize::from(self.partition.0)).and_then(Option::as_ref);
            owner.is_some_and(|owner| owner.epoch > self.epoch)
        };
        if owners.wait_for(later).await.is_err() {
            // No directory any more: nobody is told anything.
            std::future::pending::<()>().await;
        }
    }
}

/// Between two tries to read a partition that failed.
pub const READ_RETRY: Duration = Duration::from_millis(500);
