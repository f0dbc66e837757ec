//! The link of one process: a bounded queue per endpoint and per served partition.
//!
//! # How a loss is noticed
//! A frame that finds an endpoint's queue full is dropped, and *then* the endpoint's flag is set.
//! The endpoint asks [`GatewayLink::take_lost`] after it has drained its queue and on a timer, and
//! subscribes again when told so. However the two interleave, nothing stays unnoticed: a flag set
//! before the question is seen by it, one set after it by the next, and the answer to a
//! subscription is made after every frame that was dropped before it was asked for. While the
//! queue is still full the flag stays up, since the answers would be lost as well.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use harkara_domain::Partition;
use harkara_engine::{
    Link,
    link::{Down, EndpointId, GatewayLink, Unreachable, Up, WorkerLink},
};
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::options::Options;

type Served = mpsc::Sender<(EndpointId, Up)>;

/// Both ends of the link, in one process.
pub struct LocalLink {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint_frames: usize,
    partition_frames: usize,
    /// The last endpoint's number. Begins at the time of opening × 2^16, so that numbers of a
    /// restarted process differ: no process makes 65 million endpoints a second.
    last: AtomicU64,
    endpoints: RwLock<HashMap<EndpointId, Arc<Endpoint>>>,
    /// By partition; none where nobody serves it.
    served: RwLock<Vec<Option<Served>>>,
}

struct Endpoint {
    frames: mpsc::Sender<Arc<Down>>,
    lost: AtomicBool,
}

impl LocalLink {
    pub(crate) fn new(options: &Options, now_ms: u64) -> Self {
        let inner = Inner {
            endpoint_frames: options.endpoint_frames.max(1),
            partition_frames: options.partition_frames.max(1),
            last: AtomicU64::new(now_ms << 16),
            endpoints: RwLock::default(),
            served: RwLock::new(vec![None; usize::from(options.partitions)]),
        };
        Self { inner: Arc::new(inner) }
    }
}

impl Link for LocalLink {
    fn gateway(&self) -> (EndpointId, Arc<dyn GatewayLink>, mpsc::Receiver<Arc<Down>>) {
        let inner = Arc::clone(&self.inner);
        let id = EndpointId(inner.last.fetch_add(1, Ordering::Relaxed) + 1);
        let (frames, queue) = mpsc::channel(inner.endpoint_frames);
        let endpoint = Arc::new(Endpoint { frames, lost: AtomicBool::new(false) });
        inner
            .endpoints
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, Arc::clone(&endpoint));
        (id, Arc::new(LocalGateway { inner, id, endpoint }), queue)
    }

    fn serve(&self, partition: Partition) -> mpsc::Receiver<(EndpointId, Up)> {
        let (frames, queue) = mpsc::channel(self.inner.partition_frames);
        let mut served = self.inner.served.write().unwrap_or_else(PoisonError::into_inner);
        // A partition that does not exist gets a queue that stays empty and is closed at once.
        if let Some(slot) = served.get_mut(usize::from(partition.0)) {
            *slot = Some(frames);
        }
        drop(served);
        // The new owner knows of no subscription.
        self.inner.all_lost();
        queue
    }

    fn worker(&self) -> Arc<dyn WorkerLink> {
        Arc::new(LocalWorker { inner: Arc::clone(&self.inner) })
    }
}

impl Inner {
    fn all_lost(&self) {
        let endpoints = self.endpoints.read().unwrap_or_else(PoisonError::into_inner);
        for endpoint in endpoints.values() {
            endpoint.lost.store(true, Ordering::Release);
        }
    }

    /// Nobody tells us that an owner dropped its queue, so whoever asks looks: 64 loads. The
    /// empty slot remembers that it was told.
    fn find_gone_owners(&self) {
        let gone = |slot: &Option<Served>| slot.as_ref().is_some_and(mpsc::Sender::is_closed);
        if !self.served.read().unwrap_or_else(PoisonError::into_inner).iter().any(gone) {
            return;
        }
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        let mut found = false;
        for slot in served.iter_mut().filter(|slot| gone(slot)) {
            *slot = None;
            found = true;
        }
        drop(served);
        if found {
            self.all_lost();
        }
    }
}

struct LocalGateway {
    inner: Arc<Inner>,
    id: EndpointId,
    endpoint: Arc<Endpoint>,
}

impl GatewayLink for LocalGateway {
    fn send(&self, partition: Partition, up: Up) -> Result<(), Unreachable> {
        let served = self.inner.served.read().unwrap_or_else(PoisonError::into_inner);
        let owner = served.get(usize::from(partition.0)).and_then(Option::as_ref);
        let sent = owner.ok_or(Unreachable)?.try_send((self.id, up));
        sent.map_err(|_| Unreachable)
    }

    fn reaches(&self, partition: Partition) -> bool {
        let served = self.inner.served.read().unwrap_or_else(PoisonError::into_inner);
        let owner = served.get(usize::from(partition.0)).and_then(Option::as_ref);
        owner.is_some_and(|owner| !owner.is_closed())
    }

    fn take_lost(&self) -> bool {
        self.inner.find_gone_owners();
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

impl Drop for LocalGateway {
    fn drop(&mut self) {
        self.inner.endpoints.write().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

struct LocalWorker {
    inner: Arc<Inner>,
}

impl WorkerLink for LocalWorker {
    fn push(&self, to: &[EndpointId], down: Arc<Down>) -> Vec<EndpointId> {
        let endpoints = self.inner.endpoints.read().unwrap_or_else(PoisonError::into_inner);
        let mut gone = Vec::new();
        for id in to {
            let Some(endpoint) = endpoints.get(id) else {
                gone.push(*id);
                continue;
            };
            match endpoint.frames.try_send(Arc::clone(&down)) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => endpoint.lost.store(true, Ordering::Release),
                Err(TrySendError::Closed(_)) => gone.push(*id),
            }
        }
        gone
    }
}
