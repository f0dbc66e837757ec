//! A worker's end: which partitions it serves, which gateways are connected, one push a gateway.
//!
//! # Locks
//! `served` before `gateways` before an outbox's own; none is held across an await.

mod asks;
mod peer;

use std::{
    cell::OnceCell,
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use harkara_domain::Partition;
use harkara_engine::link::{Down, EndpointId, Up, WorkerLink};
use harkara_protocol::link::{FRAME_BYTES_MAX, Frame};
use tokio::{
    net::TcpListener,
    runtime::Handle,
    sync::{Semaphore, mpsc},
    time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::peer::Gateway;
use crate::{
    options::{LANE_BITS, Options},
    stats::Stats,
    wire,
};

/// Pause after a connection could not be taken, mostly since the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Everything this process serves.
pub struct WorkerEnd {
    pub options: Options,
    pub stats: Arc<Stats>,
    served: RwLock<HashMap<u16, Served>>,
    /// By the gateway's number.
    gateways: RwLock<HashMap<u64, Arc<Gateway>>>,
    /// The last serving's number.
    last: AtomicU64,
    handle: Handle,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A partition that is served here.
#[derive(Clone)]
pub struct Served {
    /// Grows with each serving of any partition, so that what was meant for an earlier owner is
    /// not given to a later one.
    pub number: u64,
    pub frames: mpsc::Sender<(EndpointId, Up)>,
    /// Somebody else owns it now.
    pub over: CancellationToken,
}

impl WorkerEnd {
    pub fn new(
        options: Options,
        handle: Handle,
        stop: CancellationToken,
        tasks: TaskTracker,
        stats: Arc<Stats>,
    ) -> Self {
        let (served, gateways) = (RwLock::default(), RwLock::default());
        Self { options, stats, served, gateways, last: AtomicU64::new(0), handle, stop, tasks }
    }

    /// Takes connections until told to stop.
    pub async fn accept(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(self.options.connections_max));
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::error!(%error, "no link taken: raise the limit of open files");
                    time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    let end = Arc::clone(&self);
                    self.tasks.spawn(async move {
                        peer::serve(end, stream, from).await;
                        drop(place);
                    });
                }
                Err(_) => {
                    self.stats.refused();
                    tracing::error!(%from, "no link taken: too many connections");
                }
            }
        }
    }

    /// Starts serving a partition; who served it before learns that by the end of its queue.
    pub fn serve(self: &Arc<Self>, partition: Partition) -> mpsc::Receiver<(EndpointId, Up)> {
        let (frames, queue) = mpsc::channel(self.options.partition_frames.max(1));
        // Nobody could ask for a partition that does not exist.
        if partition.0 >= self.options.partitions {
            return queue;
        }
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let new = Served { number, frames, over: self.stop.child_token() };
        let (frames, over) = (new.frames.clone(), new.over.clone());
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = served.insert(partition.0, new) {
            old.over.cancel();
        }
        self.tell(&Frame::Serving { partition: partition.0, serving: number });
        drop(served);
        let end = Arc::clone(self);
        let watching = async move {
            tokio::select! {
                () = frames.closed() => end.release(partition, number),
                () = over.cancelled() => {}
            }
        };
        self.tasks.spawn_on(watching, &self.handle);
        queue
    }

    /// Nobody owns anything here any more.
    pub fn clear(&self) {
        self.served.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The owner dropped its queue.
    fn release(&self, partition: Partition, number: u64) {
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        if served.get(&partition.0).is_some_and(|found| found.number == number)
            && let Some(old) = served.remove(&partition.0)
        {
            old.over.cancel();
            self.tell(&Frame::Released { partition: partition.0, serving: number });
        }
    }

    /// The partition, if this is how it is served now.
    pub fn served(&self, partition: u16, number: u64) -> Option<Served> {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        served.get(&partition).filter(|found| found.number == number).cloned()
    }

    fn tell(&self, frame: &Frame) {
        let gateways = self.gateways.read().unwrap_or_else(PoisonError::into_inner);
        for gateway in gateways.values() {
            gateway.outbox.control(frame);
        }
    }

    /// Gateways that are connected.
    pub fn connections(&self) -> usize {
        self.gateways.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Does the endpoint live, as far as this worker knows?
    pub fn hears(&self, endpoint: EndpointId) -> bool {
        let (gateway, lane) = split(endpoint);
        let gateways = self.gateways.read().unwrap_or_else(PoisonError::into_inner);
        gateways.get(&gateway).is_some_and(|gateway| gateway.outbox.has(lane))
    }

    /// A gateway greeted: it learns what is served. An older connection of it ends.
    fn connected(&self, gateway: &Arc<Gateway>) {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        for (partition, found) in served.iter() {
            let (partition, serving) = (*partition, found.number);
            gateway.outbox.control(&Frame::Serving { partition, serving });
        }
        let mut gateways = self.gateways.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = gateways.insert(gateway.number, Arc::clone(gateway)) {
            old.outbox.end(Some("this gateway has connected again"));
            old.outbox.stop.cancel();
        }
    }

    /// Its connection is over, unless another took its place.
    fn disconnected(&self, gateway: &Arc<Gateway>) {
        let mut gateways = self.gateways.write().unwrap_or_else(PoisonError::into_inner);
        if gateways.get(&gateway.number).is_some_and(|found| Arc::ptr_eq(found, gateway)) {
            gateways.remove(&gateway.number);
        }
    }
}

/// The gateway's number, and the lane.
const fn split(endpoint: EndpointId) -> (u64, u16) {
    // The lower 16 bits, as they are.
    (endpoint.0 >> LANE_BITS, endpoint.0 as u16)
}

/// One too large for a frame is a loss for everybody, again and again: a limit is wrong then.
fn encoded(down: &Down) -> Bytes {
    let bytes = Bytes::from(wire::encode(down));
    if bytes.len() > FRAME_BYTES_MAX / 2 {
        let (partition, conversation) = (down.partition, down.conversation);
        tracing::error!(%partition, %conversation, bytes = bytes.len(), "close to a frame's limit");
    }
    bytes
}

/// The sending end.
pub struct WorkerSide(pub Arc<WorkerEnd>);

impl WorkerLink for WorkerSide {
    fn push(&self, to: &[EndpointId], down: Arc<Down>) -> Vec<EndpointId> {
        let mut to = to.to_vec();
        to.sort_unstable();
        to.dedup();
        // Encoded once, and only where somebody is connected.
        let bytes = OnceCell::new();
        let mut gone = Vec::new();
        let gateways = self.0.gateways.read().unwrap_or_else(PoisonError::into_inner);
        for endpoints in to.chunk_by(|a, b| split(*a).0 == split(*b).0) {
            let number = endpoints.first().map_or(0, |endpoint| split(*endpoint).0);
            let Some(gateway) = gateways.get(&number) else {
                gone.extend_from_slice(endpoints);
                continue;
            };
            let bytes = bytes.get_or_init(|| encoded(&down));
            let lanes: Vec<u16> = endpoints.iter().map(|endpoint| split(*endpoint).1).collect();
            let lost = gateway.outbox.push(&lanes, bytes).into_iter();
            gone.extend(lost.map(|lane| EndpointId(number << LANE_BITS | u64::from(lane))));
        }
        gone
    }
}
