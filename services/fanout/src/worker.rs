//! A fanout worker: joins the group of the log's consumers, claims each partition it is given,
//! and runs one actor for it until it is taken away.

use std::{sync::Arc, time::Duration};

use actix::prelude::*;
use harkara_domain::{ConversationId, Epoch, Partition};
use harkara_engine::{
    Assignments, Directory, Entry, Lease, Link, Log, LogError, PartitionReader, Store,
};
use harkara_service_runtime::{
    clock::SharedClock,
    entropy::SharedEntropy,
    sabotage::{Rule, is_broken},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Config,
    metrics::Metrics,
    panics::{Panics, Verdict},
    partition::Context,
    seat::{Life, READ_RETRY, Seat},
};

/// The engines a worker works with.
#[derive(Clone)]
pub struct Engines {
    /// The truth.
    pub log: Arc<dyn Log>,
    /// History.
    pub store: Arc<dyn Store>,
    /// To the gateways.
    pub link: Arc<dyn Link>,
    /// Who owns what.
    pub directory: Arc<dyn Directory>,
    /// Where gateways reach this worker's end of the link; empty in process.
    pub address: String,
}

/// A running worker. Dropping it does not stop it; [`Worker::stop`] does.
pub struct Worker {
    threads: Threads,
    assignments: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
    serving: TaskTracker,
}

impl Worker {
    /// Joins the group and serves what it is given, on threads of its own.
    ///
    /// # Errors
    /// When the log can't be consumed.
    pub async fn start(
        config: Config,
        engines: Engines,
        clock: SharedClock,
        entropy: SharedEntropy,
    ) -> Result<Self, LogError> {
        let threads = config.worker_threads().max(1);
        let threads = Threads::Own((0..threads).map(|_| Arbiter::new()).collect());
        Self::begin(threads, config, engines, clock, entropy).await
    }

    /// The same on threads that are there, and outlive the worker.
    ///
    /// # Errors
    /// When the log can't be consumed.
    pub async fn start_on(
        threads: Vec<ArbiterHandle>,
        config: Config,
        engines: Engines,
        clock: SharedClock,
        entropy: SharedEntropy,
    ) -> Result<Self, LogError> {
        Self::begin(Threads::Given(threads), config, engines, clock, entropy).await
    }

    /// The same, all on the thread of the caller, which must be an actor's or in a `LocalSet`:
    /// what the simulator does.
    ///
    /// # Errors
    /// When the log can't be consumed.
    pub async fn start_here(
        config: Config,
        engines: Engines,
        clock: SharedClock,
        entropy: SharedEntropy,
    ) -> Result<Self, LogError> {
        Self::begin(Threads::Here, config, engines, clock, entropy).await
    }

    async fn begin(
        threads: Threads,
        config: Config,
        engines: Engines,
        clock: SharedClock,
        entropy: SharedEntropy,
    ) -> Result<Self, LogError> {
        check_generation(&engines).await?;
        let context = Context {
            link: engines.link.worker(),
            log: Arc::clone(&engines.log),
            store: Arc::clone(&engines.store),
            clock,
            entropy,
            metrics: Metrics::default(),
            config: Arc::new(config),
        };
        let assignments = engines.log.consume().await?;
        let (stop, serving) = (CancellationToken::new(), TaskTracker::new());
        let (panics, stopping) = (Panics::default(), stop.clone());
        let office = Office { engines, context, stop: stopping, serving: serving.clone(), panics };
        let handing_out = office.assign(assignments, threads.handles());
        let assignments = match &threads {
            Threads::Own(_) | Threads::Given(_) => tokio::spawn(handing_out),
            Threads::Here => actix::spawn(handing_out),
        };
        Ok(Self { threads, assignments, stop, serving })
    }

    /// Finishes what was begun, as far as moments allow, and leaves the group. What was appended
    /// and not yet stored is read again by the next owner.
    pub async fn stop(self) {
        self.stop.cancel();
        self.serving.close();
        self.serving.wait().await;
        // Leaves the group: after the partitions' last commits.
        self.assignments.abort();
        let _ = self.assignments.await;
        let Threads::Own(arbiters) = self.threads else { return };
        for arbiter in arbiters {
            arbiter.stop();
            let _ = tokio::task::spawn_blocking(move || arbiter.join()).await;
        }
    }
}

/// Where partitions are driven.
enum Threads {
    /// On threads that end with the worker.
    Own(Vec<Arbiter>),
    /// On threads that outlive it.
    Given(Vec<ArbiterHandle>),
    /// On the thread that started the worker.
    Here,
}

impl Threads {
    fn handles(&self) -> Vec<ArbiterHandle> {
        match self {
            Self::Own(arbiters) => arbiters.iter().map(Arbiter::handle).collect(),
            Self::Given(handles) => handles.clone(),
            Self::Here => Vec::new(),
        }
    }
}

/// The store's rows carry positions of one life of the log: in front of another one, old rows
/// would look as if they had seen what is new (soundness S2).
async fn check_generation(engines: &Engines) -> Result<(), LogError> {
    let stored = engines.store.generation().await;
    let stored = stored.map_err(|error| LogError::Unknown(error.to_string()))?;
    let log = engines.log.generation();
    match stored {
        Some(stored) if stored != log => Err(LogError::Stop(format!(
            "the store belongs to generation {} of the log, and this is generation {}: connect \
             the log and the store that belong together",
            stored.0, log.0
        ))),
        _ => Ok(()),
    }
}

/// What it takes to serve partitions.
#[derive(Clone)]
struct Office {
    engines: Engines,
    context: Context,
    stop: CancellationToken,
    serving: TaskTracker,
    panics: Panics,
}

impl Office {
    /// Hands partitions out to `arbiters`; to this thread where there are none.
    async fn assign(self, mut assignments: Box<dyn Assignments>, arbiters: Vec<ArbiterHandle>) {
        // What is dropped while it stops must not come again.
        while let Some(Some(reader)) = self.stop.run_until_cancelled(assignments.next()).await {
            let place = usize::from(reader.partition().0).checked_rem(arbiters.len());
            let office = self.clone();
            let token = self.serving.token();
            let serve = move || {
                actix::spawn(async move {
                    office.serve(reader).await;
                    drop(token);
                });
            };
            let running = match place.and_then(|place| arbiters.get(place)) {
                Some(arbiter) => arbiter.spawn_fn(serve),
                None => {
                    serve();
                    true
                }
            };
            if !running {
                break;
            }
        }
        // Dropping the assignments leaves the group, which must not happen before the end.
        self.stop.cancelled().await;
        self.serving.wait().await;
    }

    /// Claims a partition and feeds its actor until it is taken away. After a panic it lets go of
    /// the partition, which the log then gives once more, from its last commit on.
    async fn serve(self, mut reader: Box<dyn PartitionReader>) {
        let (partition, lease) = (reader.partition(), reader.lease());
        let aside = match self.panics.verdict(partition) {
            Verdict::Again(aside) => aside,
            Verdict::Stop => return self.leave(&*lease).await,
        };
        // Frames that arrive before the claim is known elsewhere wait in their queue.
        let frames = self.engines.link.serve(partition);
        let claimed = tokio::select! {
            biased;
            epoch = self.claim(partition, &*lease) => epoch,
            () = self.stop.cancelled() => None,
        };
        let Some(epoch) = claimed else { return };
        let begun = self.context.clock.elapsed_ns();
        let (mut seat, mut life) = Seat::new(self.context.clone(), &*reader, epoch, frames, aside);
        match self.feed((&mut seat, &mut life), &mut *reader).await {
            Fed::Taken => {
                seat.release(life).await;
                self.panics.forget(partition);
            }
            Fed::Panicked(at) => {
                let well = self.context.clock.elapsed_ns().saturating_sub(begun);
                self.panics.panicked(partition, at, Duration::from_nanos(well));
            }
        }
    }

    /// Feeds an actor until the partition is taken away or the actor panics.
    async fn feed(
        &self,
        (seat, life): (&mut Seat, &mut Life),
        reader: &mut dyn PartitionReader,
    ) -> Fed {
        let (partition, lease) = (reader.partition(), reader.lease());
        let mut owners = self.engines.directory.watch();
        let batch = self.context.config.batch_records_max.max(1);
        loop {
            let most = seat.free(batch);
            let ours = !lease.over();
            if seat.stopped() && !ours {
                return Fed::Taken;
            }
            // Always looked at in this order, so that a run can be repeated; the first ones are
            // rare, and whoever has lost the partition does not claim it: the reader ends.
            let came = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Fed::Taken,
                at = life.panicked() => return Fed::Panicked(at),
                () = seat.displaced(&mut owners), if ours => Came::Displaced,
                () = seat.silence(&*lease), if ours => Came::Displaced,
                () = seat.room(&*lease), if most == 0 => Came::Room,
                read = reader.next(most), if most > 0 => Came::Read(read),
            };
            match came {
                Came::Displaced => self.reclaim(seat, partition, &*lease).await,
                Came::Room => {}
                Came::Read(Ok(None)) => return Fed::Taken,
                // Where the actor is gone, the next turn says so.
                Came::Read(Ok(Some(entries))) => seat.feed(entries).await,
                Came::Read(Err(error)) => {
                    tracing::error!(%partition, %error, "partition can't be read, will be tried again");
                    tokio::time::sleep(READ_RETRY).await;
                }
            }
        }
    }

    /// Keeps a partition that panics whatever is done, and does nothing with it: who gave it would
    /// give it again, and another owner would find the same.
    async fn leave(&self, lease: &dyn Lease) {
        self.context.metrics.stopped(1);
        while !lease.over() && !self.stop.is_cancelled() {
            tokio::time::sleep(CLAIM_RETRY).await;
        }
        self.context.metrics.stopped(-1);
    }

    /// Claims until it succeeds, or the partition is somebody else's again.
    async fn claim(&self, partition: Partition, lease: &dyn Lease) -> Option<Epoch> {
        while !lease.over() && !self.stop.is_cancelled() {
            if lease.holds() {
                let claimed = self.engines.directory.claim(partition, &self.engines.address).await;
                match claimed {
                    // A claim that comes late displaces the true owner, who claims again.
                    Ok(epoch) if lease.holds() => return Some(epoch),
                    Ok(_) => {}
                    Err(error) => {
                        tracing::error!(%partition, error, "partition not claimed, will try again");
                    }
                }
            }
            tokio::time::sleep(CLAIM_RETRY).await;
        }
        None
    }

    /// Gateways are to find their way back and ask for what they missed: a worker that was frozen
    /// in front of its claim displaced this one, or this one had to be silent for a while.
    async fn reclaim(&self, seat: &mut Seat, partition: Partition, lease: &dyn Lease) {
        if is_broken(Rule::NoNewClaim) {
            return tokio::time::sleep(READ_RETRY).await;
        }
        if let Some(epoch) = self.claim(partition, lease).await {
            tracing::warn!(%partition, "partition claimed again");
            seat.claimed(epoch).await;
        }
    }
}

/// How feeding a partition ended.
enum Fed {
    /// It was taken away, or the worker stops.
    Taken,
    /// The actor is gone, perhaps because of this conversation.
    Panicked(Option<ConversationId>),
}

/// What came while a partition is fed.
enum Came {
    Displaced,
    Room,
    Read(Result<Option<Vec<Entry>>, LogError>),
}

/// Between two tries to claim a partition, and two looks at whether that is needed.
const CLAIM_RETRY: Duration = Duration::from_millis(100);
