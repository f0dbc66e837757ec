//! A fanout worker: joins the group of the log's consumers, claims each partition it is given,
//! and runs one actor for it until it is taken away.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use actix::prelude::*;
use harkara_domain::{Epoch, Partition};
use harkara_engine::{
    Assignments, Directory, EndpointId, Entry, Lease, Link, Log, LogError, PartitionReader, Store,
    Up, directory::Owners,
};
use harkara_service_runtime::{
    clock::SharedClock,
    entropy::SharedEntropy,
    sabotage::{Rule, is_broken},
};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Config,
    metrics::Metrics,
    partition::{
        Context, PartitionActor,
        actor::{Claimed, Release},
        records::Batch,
    },
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
        let office = Office { engines, context, stop: stop.clone(), serving: serving.clone() };
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
}

impl Office {
    /// Hands partitions out to `arbiters`; to this thread where there are none.
    async fn assign(self, mut assignments: Box<dyn Assignments>, arbiters: Vec<ArbiterHandle>) {
        while let Some(reader) = assignments.next().await {
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

    /// Claims a partition and feeds its actor until it is taken away.
    async fn serve(self, mut reader: Box<dyn PartitionReader>) {
        let (partition, lease) = (reader.partition(), reader.lease());
        // Frames that arrive before the claim is known elsewhere wait in their queue.
        let frames = self.engines.link.serve(partition);
        let claimed = tokio::select! {
            biased;
            epoch = self.claim(partition, &*lease) => epoch,
            () = self.stop.cancelled() => None,
        };
        let Some(epoch) = claimed else { return };
        let mut seat = self.seat(&*reader, epoch, frames);
        let mut owners = self.engines.directory.watch();
        let batch = self.context.config.batch_records_max.max(1);
        // Closed permits mean that the actor stopped in front of a record: it goes on answering,
        // until the partition is taken away.
        loop {
            let free = seat.permits.available_permits();
            let most = if seat.permits.is_closed() { 0 } else { batch.min(free) };
            let next = async {
                match most {
                    0 => seat.room(&*lease).await,
                    most => Some(reader.next(most).await),
                }
            };
            // Always looked at in this order, so that a run can be repeated; the first ones are
            // rare, and whoever has lost the partition does not claim it: the reader ends.
            let ours = !lease.over();
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                () = displaced(&mut owners, partition, seat.epoch), if ours => {
                    self.reclaim(&mut seat, &*lease).await;
                }
                () = seat.silence(&*lease), if ours => self.reclaim(&mut seat, &*lease).await,
                read = next => match read {
                    None => {}
                    Some(Ok(None)) => break,
                    Some(Ok(Some(entries))) => {
                        let fed = seat.feed(entries).await;
                        if !fed {
                            break;
                        }
                    }
                    Some(Err(error)) => {
                        tracing::error!(%partition, %error, "partition can't be read, will be tried again");
                        tokio::time::sleep(READ_RETRY).await;
                    }
                },
            }
            if seat.permits.is_closed() && lease.over() {
                break;
            }
        }
        seat.release().await;
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
    async fn reclaim(&self, seat: &mut Seat, lease: &dyn Lease) {
        if is_broken(Rule::NoNewClaim) {
            return tokio::time::sleep(READ_RETRY).await;
        }
        if let Some(epoch) = self.claim(seat.partition, lease).await {
            tracing::warn!(partition = %seat.partition, "partition claimed again");
            seat.epoch = epoch;
            seat.silenced.store(false, Ordering::Release);
            let _ = seat.actor.send(Claimed(epoch)).await;
        }
    }

    fn seat(
        &self,
        reader: &dyn PartitionReader,
        epoch: Epoch,
        frames: mpsc::Receiver<(EndpointId, Up)>,
    ) -> Seat {
        let partition = reader.partition();
        let permits = Arc::new(Semaphore::new(self.context.config.in_flight_records_max));
        let silenced = Arc::new(AtomicBool::new(false));
        let spoken_for = (Arc::from(reader.committer()), reader.lease(), Arc::clone(&silenced));
        let claimed = (partition, epoch);
        let context = self.context.clone();
        let actor =
            PartitionActor::new(context, claimed, spoken_for, frames, Arc::clone(&permits)).start();
        Seat { partition, epoch, permits, silenced, actor }
    }
}

/// A served partition, seen from the one who feeds it.
struct Seat {
    partition: Partition,
    epoch: Epoch,
    permits: Arc<Semaphore>,
    silenced: Arc<AtomicBool>,
    actor: Addr<PartitionActor>,
}

impl Seat {
    /// Waits until a record may be taken, or for a moment.
    async fn room(&self, lease: &dyn Lease) -> Option<Result<Option<Vec<Entry>>, LogError>> {
        if let Ok(permit) = self.permits.acquire().await {
            drop(permit);
        } else if lease.holds() {
            tokio::time::sleep(READ_RETRY).await;
        }
        None
    }

    /// Hands records over; their permits come back when they are done. False when the actor is
    /// gone.
    async fn feed(&self, entries: Vec<Entry>) -> bool {
        let taken = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        if let Ok(permits) = self.permits.acquire_many(taken).await {
            permits.forget();
        }
        self.actor.send(Batch(entries)).await.is_ok()
    }

    /// Resolves when something was not said for want of a lease, and could be said now.
    async fn silence(&self, lease: &dyn Lease) {
        while !(self.silenced.load(Ordering::Acquire) && lease.holds()) {
            tokio::time::sleep(READ_RETRY).await;
        }
    }

    /// Waits until the actor has finished what it began.
    async fn release(self) {
        let (sender, ended) = oneshot::channel();
        if self.actor.send(Release(sender)).await.is_ok() {
            // An error is what is waited for: the actor is gone, and the sender with it.
            let _ = ended.await;
        }
    }
}

/// Resolves when the directory names a later claim of the partition than this one.
async fn displaced(owners: &mut watch::Receiver<Owners>, partition: Partition, epoch: Epoch) {
    let later = |owners: &Owners| {
        let owner = owners.get(usize::from(partition.0)).and_then(Option::as_ref);
        owner.is_some_and(|owner| owner.epoch > epoch)
    };
    if owners.wait_for(later).await.is_err() {
        // No directory any more: nobody is told anything.
        std::future::pending::<()>().await;
    }
}

/// Between two tries to read a partition that failed.
const READ_RETRY: std::time::Duration = std::time::Duration::from_millis(500);

/// Between two tries to claim a partition, and two looks at whether that is needed.
const CLAIM_RETRY: std::time::Duration = std::time::Duration::from_millis(100);
