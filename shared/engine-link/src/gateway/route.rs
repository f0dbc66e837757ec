//! Which worker gets the questions to which partition: what the directory says, and one connection
//! to each address that it names.

use std::sync::{Arc, PoisonError, RwLock};

use harkara_domain::Epoch;
use harkara_engine::directory::Owners;
use harkara_service_runtime::entropy::SharedEntropy;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{GatewayEnd, dial, dial::Live};

/// A partition's owner.
pub struct Route {
    epoch: Epoch,
    pub peer: Arc<Peer>,
}

/// A worker process, by its address.
pub struct Peer {
    pub address: String,
    pub stop: CancellationToken,
    live: RwLock<Option<Arc<Live>>>,
}

impl Peer {
    /// The connection, while it is up.
    pub fn live(&self) -> Option<Arc<Live>> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_live(&self, live: Option<Arc<Live>>) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = live;
    }
}

/// Follows the directory until told to stop.
pub async fn follow(
    end: Arc<GatewayEnd>,
    mut owners: watch::Receiver<Owners>,
    entropy: SharedEntropy,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let now = owners.borrow_and_update().clone();
        for peer in end.route(&now, &stop) {
            tasks.spawn(dial(Arc::clone(&end), peer, Arc::clone(&entropy)));
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = owners.changed() => if changed.is_err() {
                // Nobody will name other owners; the last ones still hold.
                return;
            },
        }
    }
}

impl GatewayEnd {
    /// Takes over what the directory says; gives back the workers that are new.
    fn route(&self, owners: &Owners, stop: &CancellationToken) -> Vec<Arc<Peer>> {
        let mut new = Vec::new();
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = false;
        for (slot, owner) in routes.iter_mut().zip(owners) {
            let owner = owner.as_ref().filter(|owner| !owner.address.is_empty());
            let old = slot.as_ref().map(|route| (route.epoch, route.peer.address.as_str()));
            if old == owner.map(|owner| (owner.epoch, owner.address.as_str())) {
                continue;
            }
            changed = true;
            *slot = owner.map(|owner| {
                let peer = peers.entry(owner.address.clone()).or_insert_with(|| {
                    let peer = Arc::new(Peer {
                        address: owner.address.clone(),
                        stop: stop.child_token(),
                        live: RwLock::default(),
                    });
                    new.push(Arc::clone(&peer));
                    peer
                });
                Route { epoch: owner.epoch, peer: Arc::clone(peer) }
            });
        }
        peers.retain(|address, peer| {
            let named = routes.iter().flatten().any(|route| route.peer.address == *address);
            if !named {
                peer.stop.cancel();
            }
            named
        });
        drop((peers, routes));
        if changed {
            self.all_lost();
        }
        new
    }
}
