//! A worker's end of the link: which partitions it serves, and its pushes.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use harkara_domain::Partition;
use harkara_engine::{Down, EndpointId, Up, WorkerLink, link::What};
use tokio::sync::{
    Notify,
    mpsc::{self, error::TrySendError},
};

use super::{LANE_BITS, Wires, gateway::Endpoint};
use crate::process::Proc;

/// A partition that is served.
#[derive(Clone)]
pub struct Served {
    /// Which serving; grows with each.
    pub number: u64,
    /// To its owner.
    pub frames: mpsc::Sender<(EndpointId, Up)>,
    over: Arc<Notify>,
}

/// A worker process.
pub struct WorkerEnd {
    wires: Arc<Wires>,
    /// Which one.
    pub proc: Arc<Proc>,
    served: Mutex<BTreeMap<u16, Served>>,
    last: AtomicU64,
}

impl WorkerEnd {
    /// Serves nothing.
    #[must_use]
    pub fn new(wires: Arc<Wires>, proc: Arc<Proc>) -> Arc<Self> {
        Arc::new(Self { wires, proc, served: Mutex::default(), last: AtomicU64::new(0) })
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<u16, Served>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The serving of a partition, while somebody takes its frames.
    #[must_use]
    pub fn served(&self, partition: Partition) -> Option<Served> {
        self.all().get(&partition.0).filter(|served| !served.frames.is_closed()).cloned()
    }

    /// Starts serving; who served before learns that by the end of its queue.
    pub fn serve(self: &Arc<Self>, partition: Partition) -> mpsc::Receiver<(EndpointId, Up)> {
        let (frames, queue) = mpsc::channel(self.wires.room.partition.max(1));
        let number = self.last.fetch_add(1, Ordering::AcqRel) + 1;
        let over = Arc::new(Notify::new());
        let served = Served { number, frames: frames.clone(), over: Arc::clone(&over) };
        if let Some(before) = self.all().insert(partition.0, served) {
            before.over.notify_one();
        }
        self.changed();
        let end = Arc::clone(self);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = over.notified() => {}
                () = frames.closed() => end.release(partition, number),
            }
        });
        queue
    }

    fn release(self: &Arc<Self>, partition: Partition, number: u64) {
        let mut all = self.all();
        if all.get(&partition.0).is_some_and(|served| served.number == number) {
            all.remove(&partition.0);
            drop(all);
            self.changed();
        }
    }

    /// Gateways learn that what is served has changed.
    fn changed(&self) {
        if self.proc.is_dead() {
            return;
        }
        for gateway in self.wires.gateways() {
            if let Some(connection) = gateway.connection(&self.proc.address()) {
                connection.send_down(move || gateway.all_lost());
            }
        }
    }
}

/// A worker's sending end.
pub struct WorkerSide(pub Arc<WorkerEnd>);

impl WorkerLink for WorkerSide {
    fn push(&self, to: &[EndpointId], down: Arc<Down>) -> Vec<EndpointId> {
        let address = self.0.proc.address();
        let mut gone = Vec::new();
        for id in to {
            let gateway = self.0.wires.gateway(id.0 >> LANE_BITS);
            let way = gateway.and_then(|gateway| {
                let endpoint = gateway.find((id.0 & 0xffff) as u16)?;
                Some((gateway.connection(&address)?, endpoint, gateway))
            });
            let Some((connection, endpoint, gateway)) = way else {
                gone.push(*id);
                continue;
            };
            if gateway.drops_one() {
                endpoint.lose();
                continue;
            }
            match Endpoint::room(&endpoint) {
                Ok(permit) => {
                    let down = Arc::clone(&down);
                    let (world, to) = (Arc::clone(&self.0.wires.world), gateway.proc.node);
                    connection.send_down(move || {
                        world.note(|| format!("link      {to} hears {}", said(&down)));
                        drop(permit.send(down));
                    });
                }
                Err(TrySendError::Full(())) => endpoint.lose(),
                Err(TrySendError::Closed(())) => gone.push(*id),
            }
        }
        gone
    }
}

/// A frame in a few words.
fn said(down: &Down) -> String {
    let of: String = down.conversation.to_string().chars().take(8).collect();
    let what = match &down.what {
        What::Event(event) => format!("event {}", event.seq),
        What::Subscribed { head, entries } => {
            let members = entries.iter().filter(|(_, entry)| entry.is_some()).count();
            format!("head {head}, {members} of {} are members", entries.len())
        }
        What::Inbox { conversation, cause, present, .. } => {
            let of: String = conversation.to_string().chars().take(8).collect();
            format!("news of {of}: present {present} since {cause}")
        }
        What::Outcome { .. } => "an outcome".to_owned(),
        What::Read { .. } => "a read mark".to_owned(),
        What::Typing { .. } => "typing".to_owned(),
        What::Answer { .. } => "an answer".to_owned(),
    };
    format!("of {of} from epoch {}: {what}", down.epoch.0)
}
