//! Both ends of the link, as one engine.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use harkara_domain::Partition;
use harkara_engine::{
    Link,
    directory::Owners,
    link::{Down, EndpointId, GatewayLink, Up, WorkerLink},
};
use harkara_service_runtime::entropy::SharedEntropy;
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    gateway::{self, GatewayEnd},
    options::{LANE_BITS, Options},
    stats::{Counts, Stats},
    worker::{WorkerEnd, WorkerSide},
};

/// The link of one process: a gateway's end, a worker's end, or both.
pub struct TcpLink {
    gateway: Arc<GatewayEnd>,
    worker: Arc<WorkerEnd>,
    stats: Arc<Stats>,
    address: Option<SocketAddr>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl TcpLink {
    /// Starts both ends on the runtime that this is called in. A process without a listener
    /// serves nobody; one without owners to follow (`Directory::watch`) asks nobody.
    ///
    /// # Errors
    /// There is no runtime, or the listener is of no use.
    pub fn open(
        options: Options,
        listener: Option<TcpListener>,
        owners: Option<watch::Receiver<Owners>>,
        entropy: SharedEntropy,
    ) -> io::Result<Self> {
        let handle = Handle::try_current().map_err(io::Error::other)?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let number = entropy.below(1 << (u64::BITS - LANE_BITS));
        let stats = Arc::new(Stats::default());
        let gateway = Arc::new(GatewayEnd::new(options.clone(), number, Arc::clone(&stats)));
        let plain = options.tls.is_none();
        let worker =
            WorkerEnd::new(options, handle, stop.clone(), tasks.clone(), Arc::clone(&stats));
        let worker = Arc::new(worker);
        let mut address = None;
        if let Some(listener) = listener {
            let listening = listener.local_addr()?;
            if plain && !listening.ip().is_loopback() {
                tracing::warn!(%listening, "the link is open to whoever reaches it: set [link.tls]");
            }
            address = Some(listening);
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tasks.spawn(Arc::clone(&worker).accept(listener));
        }
        if let Some(owners) = owners {
            let (end, stop, more) = (Arc::clone(&gateway), stop.clone(), tasks.clone());
            tasks.spawn(gateway::follow(end, owners, entropy, stop, more));
        }
        Ok(Self { gateway, worker, stats, address, stop, tasks })
    }

    /// Where this process listens; what it claims partitions with is an address that others can
    /// reach, which need not be the same.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// What happened since it was opened, for metrics.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.stats.counts(self.worker.connections(), self.gateway.connections())
    }

    /// Can this process ask the partition's owner? Then with the number of its serving, which
    /// changes whenever the owner does.
    #[must_use]
    pub fn reaches(&self, partition: Partition) -> Option<u64> {
        self.gateway.reaches(partition)
    }

    /// Is the endpoint's gateway connected with this process?
    #[must_use]
    pub fn hears(&self, endpoint: EndpointId) -> bool {
        self.worker.hears(endpoint)
    }

    /// Ends all connections, after what was queued is written or a moment has passed, and the
    /// queues of the owners.
    pub async fn close(&self) {
        self.stop.cancel();
        self.worker.clear();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for TcpLink {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Link for TcpLink {
    fn gateway(&self) -> (EndpointId, Arc<dyn GatewayLink>, mpsc::Receiver<Arc<Down>>) {
        self.gateway.endpoint()
    }

    fn serve(&self, partition: Partition) -> mpsc::Receiver<(EndpointId, Up)> {
        self.worker.serve(partition)
    }

    fn worker(&self) -> Arc<dyn WorkerLink> {
        Arc::new(WorkerSide(Arc::clone(&self.worker)))
    }
}
