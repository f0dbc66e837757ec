//! The link: one connection for each pair of gateway and worker process, in order, with a time for
//! each frame. Connections break silently, and both ends notice that after [`SILENCE`].
//!
//! - [`worker`]: what a worker serves and pushes.  [`gateway`]: endpoints, and the way to owners.

pub mod gateway;
pub mod worker;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use harkara_domain::Partition;
use harkara_engine::{Down, EndpointId, GatewayLink, Link, Up, WorkerLink, directory::Owners};
use tokio::sync::{mpsc, watch};

use self::{gateway::GatewayEnd, worker::WorkerEnd};
use crate::{pipe::Pipe, process::Proc, world::World};

/// Silence after which an end takes the other one for gone.
pub const SILENCE: Duration = Duration::from_secs(3);

/// Bits of an endpoint's id that are its number within its process.
const LANE_BITS: u32 = 16;

/// Room in queues, in frames.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Of an endpoint.
    pub endpoint: usize,
    /// Of a served partition.
    pub partition: usize,
}

/// Everybody's ends.
pub struct Wires {
    world: Arc<World>,
    ends: Mutex<Ends>,
    room: Room,
}

#[derive(Default)]
struct Ends {
    workers: BTreeMap<String, Arc<WorkerEnd>>,
    gateways: BTreeMap<u64, Arc<GatewayEnd>>,
    last: u64,
}

impl Wires {
    /// Nobody is connected.
    #[must_use]
    pub fn new(world: Arc<World>, room: Room) -> Arc<Self> {
        Arc::new(Self { world, ends: Mutex::default(), room })
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn worker(&self, address: &str) -> Option<Arc<WorkerEnd>> {
        self.ends().workers.get(address).filter(|end| !end.proc.is_dead()).cloned()
    }

    fn gateway(&self, number: u64) -> Option<Arc<GatewayEnd>> {
        self.ends().gateways.get(&number).filter(|end| !end.proc.is_dead()).cloned()
    }

    fn gateways(&self) -> Vec<Arc<GatewayEnd>> {
        self.ends().gateways.values().cloned().collect()
    }

    /// Forgets processes that are no more.
    fn forget_the_dead(&self) {
        let mut ends = self.ends();
        ends.workers.retain(|_, end| !end.proc.is_dead());
        ends.gateways.retain(|_, end| !end.proc.is_dead());
    }

    /// The next frames to gateways at this place find no room.
    pub fn lose_frames(&self, node: crate::process::Node, frames: u64) {
        for end in self.gateways().iter().filter(|end| end.proc.node == node) {
            end.losing.store(frames, Ordering::Release);
        }
    }
}

/// A connection.
pub struct Connection {
    wires: Arc<Wires>,
    gateway: Arc<Proc>,
    worker: Arc<WorkerEnd>,
    up: Pipe,
    down: Pipe,
    broken: AtomicBool,
    /// Since when the ends have not heard of each other, milliseconds of virtual time.
    silent_since: AtomicU64,
}

impl Connection {
    fn new(wires: Arc<Wires>, gateway: Arc<Proc>, worker: Arc<WorkerEnd>) -> Arc<Self> {
        Arc::new(Self {
            wires,
            gateway,
            worker,
            up: Pipe::default(),
            down: Pipe::default(),
            broken: AtomicBool::new(false),
            silent_since: AtomicU64::new(u64::MAX),
        })
    }

    /// Does anything still get through?
    fn carries(&self) -> bool {
        let (gateway, worker) = (self.gateway.node, self.worker.proc.node);
        if self.wires.world.weather().cut_link(gateway, worker) {
            self.broken.store(true, Ordering::Release);
        }
        !self.broken.load(Ordering::Acquire)
    }

    fn latency(&self) -> Duration {
        let world = &self.wires.world;
        world.weather().link_latency(&mut world.dice.roll())
    }

    fn send_up(self: &Arc<Self>, deliver: impl FnOnce() + Send + 'static) {
        let this = Arc::clone(self);
        self.up.send(self.latency(), move || {
            if this.carries() {
                deliver();
            }
        });
    }

    fn send_down(self: &Arc<Self>, deliver: impl FnOnce() + Send + 'static) {
        let this = Arc::clone(self);
        self.down.send(self.latency(), move || {
            if this.carries() {
                deliver();
            }
        });
    }

    /// Has one end noticed that the other is gone?
    fn is_over(&self, now_ms: u64) -> bool {
        let (gateway, worker) = (&self.gateway, &self.worker.proc);
        if gateway.is_dead() || worker.is_dead() {
            return true;
        }
        let hears = self.carries() && !gateway.is_frozen() && !worker.is_frozen();
        if hears {
            self.silent_since.store(u64::MAX, Ordering::Release);
            return false;
        }
        let since = self.silent_since.fetch_min(now_ms, Ordering::AcqRel).min(now_ms);
        now_ms.saturating_sub(since) >= SILENCE.as_millis() as u64
    }

    fn close(&self) {
        self.broken.store(true, Ordering::Release);
        self.up.close();
        self.down.close();
    }
}

/// The link as a process sees it: both ends, of which a process uses one.
pub struct SimLink {
    wires: Arc<Wires>,
    proc: Arc<Proc>,
    owners: watch::Receiver<Owners>,
    gateway: Mutex<Option<Arc<GatewayEnd>>>,
    worker: Mutex<Option<Arc<WorkerEnd>>>,
}

impl SimLink {
    /// The link of a process that learns of owners by `owners`.
    #[must_use]
    pub fn new(wires: Arc<Wires>, proc: Arc<Proc>, owners: watch::Receiver<Owners>) -> Self {
        let (gateway, worker) = Default::default();
        Self { wires, proc, owners, gateway, worker }
    }

    fn gateway_end(&self) -> Arc<GatewayEnd> {
        let mut end = self.gateway.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(end.get_or_insert_with(|| {
            self.wires.forget_the_dead();
            let mut ends = self.wires.ends();
            ends.last += 1;
            let (wires, proc) = (Arc::clone(&self.wires), Arc::clone(&self.proc));
            let number = ends.last;
            let end = GatewayEnd::new(wires, proc, number, self.owners.clone());
            ends.gateways.insert(number, Arc::clone(&end));
            drop(ends);
            tokio::spawn(gateway::keep(Arc::downgrade(&end)));
            end
        }))
    }

    fn worker_end(&self) -> Arc<WorkerEnd> {
        let mut end = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(end.get_or_insert_with(|| {
            self.wires.forget_the_dead();
            let end = WorkerEnd::new(Arc::clone(&self.wires), Arc::clone(&self.proc));
            self.wires.ends().workers.insert(self.proc.address(), Arc::clone(&end));
            end
        }))
    }

    /// Workers that this process is connected with, as a gateway.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.gateway_end().connections()
    }
}

impl Link for SimLink {
    fn gateway(&self) -> (EndpointId, Arc<dyn GatewayLink>, mpsc::Receiver<Arc<Down>>) {
        self.gateway_end().endpoint()
    }

    fn serve(&self, partition: Partition) -> mpsc::Receiver<(EndpointId, Up)> {
        self.worker_end().serve(partition)
    }

    fn worker(&self) -> Arc<dyn WorkerLink> {
        Arc::new(worker::WorkerSide(self.worker_end()))
    }
}
