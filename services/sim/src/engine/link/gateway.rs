//! A gateway's end of the link: its endpoints, its connections, and who gets what they ask.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use harkara_domain::Partition;
use harkara_engine::{Down, EndpointId, GatewayLink, Up, directory::Owners, link::Unreachable};
use tokio::sync::{
    mpsc::{self, OwnedPermit, error::TrySendError},
    watch,
};

use super::{Connection, LANE_BITS, Wires};
use crate::process::Proc;

/// Between two looks at connections.
const LOOK: Duration = Duration::from_millis(250);

/// A hub's end.
pub struct Endpoint {
    frames: mpsc::Sender<Arc<Down>>,
    lost: AtomicBool,
}

impl Endpoint {
    /// Room for a frame that is under way.
    ///
    /// # Errors
    /// There is none, or nobody takes frames any more.
    pub fn room(this: &Arc<Self>) -> Result<OwnedPermit<Arc<Down>>, TrySendError<()>> {
        this.frames.clone().try_reserve_owned().map_err(|error| match error {
            TrySendError::Full(_) => TrySendError::Full(()),
            TrySendError::Closed(_) => TrySendError::Closed(()),
        })
    }

    /// It lost something.
    pub fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }
}

/// A gateway process.
pub struct GatewayEnd {
    wires: Arc<Wires>,
    /// Which one.
    pub proc: Arc<Proc>,
    number: u64,
    owners: watch::Receiver<Owners>,
    endpoints: Mutex<BTreeMap<u16, Arc<Endpoint>>>,
    last_lane: AtomicU64,
    connections: Mutex<BTreeMap<String, Arc<Connection>>>,
    /// Frames that are to find no room.
    pub losing: AtomicU64,
}

impl GatewayEnd {
    /// Not connected.
    #[must_use]
    pub fn new(
        wires: Arc<Wires>,
        proc: Arc<Proc>,
        number: u64,
        owners: watch::Receiver<Owners>,
    ) -> Arc<Self> {
        let (endpoints, last_lane, connections, losing) = Default::default();
        Arc::new(Self { wires, proc, number, owners, endpoints, last_lane, connections, losing })
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Connection>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn endpoints(&self) -> MutexGuard<'_, BTreeMap<u16, Arc<Endpoint>>> {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are up.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.open().len()
    }

    /// The connection with a worker, while it is up.
    #[must_use]
    pub fn connection(&self, address: &str) -> Option<Arc<Connection>> {
        self.open().get(address).cloned()
    }

    /// An endpoint by its number.
    #[must_use]
    pub fn find(&self, lane: u16) -> Option<Arc<Endpoint>> {
        self.endpoints().get(&lane).cloned()
    }

    /// Is this frame one of those that find no room?
    pub fn drops_one(&self) -> bool {
        let less = |left: u64| left.checked_sub(1);
        self.losing.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok()
    }

    /// Something was lost for everybody.
    pub fn all_lost(&self) {
        self.endpoints().values().for_each(|endpoint| endpoint.lose());
    }

    /// A new endpoint.
    pub fn endpoint(
        self: &Arc<Self>,
    ) -> (EndpointId, Arc<dyn GatewayLink>, mpsc::Receiver<Arc<Down>>) {
        let (frames, queue) = mpsc::channel(self.wires.room.endpoint.max(2));
        let endpoint = Arc::new(Endpoint { frames, lost: AtomicBool::new(false) });
        let lane = (self.last_lane.fetch_add(1, Ordering::AcqRel) + 1) as u16;
        self.endpoints().insert(lane, Arc::clone(&endpoint));
        let id = EndpointId(self.number << LANE_BITS | u64::from(lane));
        (id, Arc::new(Side { end: Arc::clone(self), id, lane, endpoint }), queue)
    }

    /// The way to a partition's owner, as the directory names it.
    fn way(&self, partition: Partition) -> Option<Arc<Connection>> {
        let owners = self.owners.borrow();
        let owner = owners.get(usize::from(partition.0))?.as_ref()?;
        self.connection(&owner.address)
    }

    /// Closes what is over and dials who is named and not connected.
    async fn look(self: &Arc<Self>) {
        let now_ms = self.wires.world.now_ms();
        let over: Vec<String> = {
            let open = self.open();
            let over = open.iter().filter(|(_, connection)| connection.is_over(now_ms));
            over.map(|(address, _)| address.clone()).collect()
        };
        for address in over {
            if let Some(connection) = self.open().remove(&address) {
                connection.close();
                self.wires
                    .world
                    .note(|| format!("link      {} – {address} is cut", self.proc.node));
                self.all_lost();
            }
        }
        let named: BTreeSet<String> =
            self.owners.borrow().iter().flatten().map(|owner| owner.address.clone()).collect();
        for address in named {
            if !self.open().contains_key(&address) {
                self.dial(&address).await;
            }
        }
    }

    async fn dial(self: &Arc<Self>, address: &str) {
        let Some(worker) = self.wires.worker(address) else { return };
        let latency = self.wires.world.latency();
        if !latency.is_zero() {
            tokio::time::sleep(latency * 2).await;
        }
        let cut = self.wires.world.weather().cut_link(self.proc.node, worker.proc.node);
        let silent = worker.proc.is_frozen() || worker.proc.is_dead() || self.proc.is_frozen();
        if cut || silent || self.proc.is_dead() {
            return;
        }
        let connection = Connection::new(Arc::clone(&self.wires), Arc::clone(&self.proc), worker);
        self.open().insert(address.to_owned(), connection);
        self.all_lost();
    }
}

/// Keeps a gateway connected for as long as it is there.
pub async fn keep(this: Weak<GatewayEnd>) {
    let Some(mut owners) = this.upgrade().map(|end| end.owners.clone()) else { return };
    while let Some(end) = this.upgrade() {
        if end.proc.is_dead() {
            let open = std::mem::take(&mut *end.open());
            open.values().for_each(|connection| connection.close());
            return;
        }
        end.look().await;
        drop(end);
        // A partition that has a new owner knows of no subscription.
        if let Ok(Ok(())) = tokio::time::timeout(LOOK, owners.changed()).await
            && let Some(end) = this.upgrade()
        {
            end.all_lost();
        }
    }
}

struct Side {
    end: Arc<GatewayEnd>,
    id: EndpointId,
    lane: u16,
    endpoint: Arc<Endpoint>,
}

impl GatewayLink for Side {
    fn send(&self, partition: Partition, up: Up) -> Result<(), Unreachable> {
        let connection = self.end.way(partition).ok_or(Unreachable)?;
        let served = connection.worker.served(partition).ok_or(Unreachable)?;
        let permit = served.frames.try_reserve_owned().map_err(|_| Unreachable)?;
        let (id, number, worker) = (self.id, served.number, Arc::clone(&connection.worker));
        connection.send_up(move || {
            // What was meant for an earlier owner is not given to a later one.
            if worker.served(partition).is_some_and(|served| served.number == number) {
                permit.send((id, up));
            }
        });
        Ok(())
    }

    fn reaches(&self, partition: Partition) -> bool {
        let way = self.end.way(partition);
        way.is_some_and(|connection| connection.worker.served(partition).is_some())
    }

    fn take_lost(&self) -> bool {
        let lost = &self.endpoint.lost;
        if !lost.load(Ordering::Acquire) {
            return false;
        }
        if self.endpoint.frames.capacity() > 0 {
            // A frame that is dropped between these two lines was dropped before the answer.
            lost.store(false, Ordering::Release);
        }
        true
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.end.endpoints().remove(&self.lane);
    }
}
