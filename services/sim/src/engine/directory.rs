//! The directory: claims in one order, of which each process learns in its own time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use harkara_domain::{Epoch, Partition};
use harkara_engine::{Directory, Owner, directory::Owners};
use tokio::sync::watch;

use crate::{pipe::Pipe, process::Proc, world::World};

struct Reader {
    proc: Arc<Proc>,
    line: Pipe,
    owners: watch::Sender<Owners>,
}

struct State {
    owners: Owners,
    last: u64,
    readers: Vec<Reader>,
}

/// The topic of claims.
pub struct Claims {
    world: Arc<World>,
    partitions: u16,
    state: Mutex<State>,
}

impl Claims {
    /// Nobody owns anything.
    #[must_use]
    pub fn new(world: Arc<World>, partitions: u16) -> Arc<Self> {
        let owners = vec![None; usize::from(partitions)];
        let state = Mutex::new(State { owners, last: 0, readers: Vec::new() });
        Arc::new(Self { world, partitions, state })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claim(&self, partition: Partition, address: &str) -> Epoch {
        let mut state = self.state();
        let state = &mut *state;
        state.last += 1;
        let epoch = Epoch(state.last);
        let owner = Owner { epoch, address: address.to_owned() };
        if let Some(place) = state.owners.get_mut(usize::from(partition.0)) {
            *place = Some(owner.clone());
        }
        state.readers.retain(|reader| !reader.proc.is_dead());
        for reader in &state.readers {
            let (owners, owner) = (reader.owners.clone(), owner.clone());
            let late = self.world.weather().directory_late(reader.proc.node);
            reader.line.send(self.world.latency() + late, move || see(&owners, partition, owner));
        }
        epoch
    }
}

/// The newest claim counts.
fn see(owners: &watch::Sender<Owners>, partition: Partition, owner: Owner) {
    owners.send_if_modified(|owners| {
        let Some(place) = owners.get_mut(usize::from(partition.0)) else { return false };
        let newer = place.as_ref().is_none_or(|known| known.epoch < owner.epoch);
        if newer {
            *place = Some(owner);
        }
        newer
    });
}

/// The directory as a process sees it.
pub struct SimDirectory {
    proc: Arc<Proc>,
    claims: Arc<Claims>,
    owners: watch::Sender<Owners>,
}

impl SimDirectory {
    /// Knows all claims so far.
    #[must_use]
    pub fn new(proc: Arc<Proc>, claims: Arc<Claims>) -> Self {
        let mut state = claims.state();
        let owners = watch::Sender::new(state.owners.clone());
        let (line, reader) = (Pipe::default(), Arc::clone(&proc));
        state.readers.push(Reader { proc: reader, line, owners: owners.clone() });
        drop(state);
        Self { proc, claims, owners }
    }
}

#[async_trait]
impl Directory for SimDirectory {
    async fn claim(&self, partition: Partition, address: &str) -> Result<Epoch, String> {
        if partition.0 >= self.claims.partitions {
            return Err(format!("there is no partition {partition}"));
        }
        let world = &self.claims.world;
        tokio::time::sleep(world.latency()).await;
        let fails = world.weather().claim_fails(&mut world.dice.roll());
        if fails || world.weather().cut_from_log(self.proc.node) {
            // It may stand there all the same.
            if fails && world.happens(500) {
                self.claims.claim(partition, address);
            }
            return Err("no confirmation".to_owned());
        }
        let epoch = self.claims.claim(partition, address);
        world.note(|| {
            format!("directory partition {partition} is claimed by {address}, epoch {}", epoch.0)
        });
        tokio::time::sleep(world.latency()).await;
        Ok(epoch)
    }

    fn watch(&self) -> watch::Receiver<Owners> {
        self.owners.subscribe()
    }
}
