//! The speakers' sessions: a bounded number of clients, opened when somebody speaks, and the least
//! recently used idle one closed when another is needed. One speaker in four keeps their place and
//! resumes with cursors when they come back; the others start live.

use std::{
    collections::{HashMap, HashSet},
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::directory::Directory;
use crate::wire::{
    Client, Settings,
    client::{Cursors, Identity},
};

/// Longest sleep of somebody who waits for room; a wake-up may go to somebody else.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// See the module.
#[derive(Debug)]
pub struct Pool {
    settings: Settings,
    directory: Arc<Directory>,
    room: Arc<Semaphore>,
    freed: Notify,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    live: HashMap<u32, Live>,
    kept: HashMap<u32, Cursors>,
    /// Clients whose session has not ended yet; the same device does not start another one.
    closing: HashSet<u32>,
    clock: u64,
}

#[derive(Debug)]
struct Live {
    client: Arc<Client>,
    leases: usize,
    used: u64,
    _room: OwnedSemaphorePermit,
}

/// A speaker's client; it stays open as long as somebody has a lease.
#[derive(Debug)]
pub struct Lease {
    pool: Arc<Pool>,
    client: Option<Arc<Client>>,
    number: u32,
}

impl Deref for Lease {
    type Target = Option<Arc<Client>>;

    fn deref(&self) -> &Self::Target {
        &self.client
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.client = None; // before the count, so that an idle client has one owner
        if let Some(live) = self.pool.inner().live.get_mut(&self.number) {
            live.leases -= 1;
        }
        self.pool.freed.notify_one();
    }
}

impl Pool {
    /// Room for `size` clients.
    #[must_use]
    pub fn new(settings: Settings, directory: Arc<Directory>, size: usize) -> Self {
        let room = Arc::new(Semaphore::new(size.max(1)));
        let inner = Mutex::new(Inner::default());
        Self { settings, directory, room, freed: Notify::new(), inner }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client of this user, opened if need be.
    ///
    /// # Errors
    /// When the server gives no token.
    pub async fn lease(self: &Arc<Self>, name: &str) -> anyhow::Result<Lease> {
        let identity = self.directory.identity(name).await?;
        loop {
            if let Some(lease) = self.try_lease(&identity) {
                return Ok(lease);
            }
            let idle = self.inner().take_idle();
            match idle {
                Some(idle) => self.close(idle).await,
                None => {
                    // A timeout is as good as a wake-up here.
                    let _ = tokio::time::timeout(LOOK_AGAIN, self.freed.notified()).await;
                }
            }
        }
    }

    fn try_lease(self: &Arc<Self>, identity: &Identity) -> Option<Lease> {
        let number = identity.number;
        let mut inner = self.inner();
        inner.clock += 1;
        let used = inner.clock;
        if !inner.live.contains_key(&number) {
            if inner.closing.contains(&number) {
                return None;
            }
            let room = Arc::clone(&self.room).try_acquire_owned().ok()?;
            let cursors = inner.kept.remove(&number).unwrap_or_default();
            let client = Arc::new(Client::start(&self.settings, identity.clone(), cursors));
            inner.live.insert(number, Live { client, leases: 0, used, _room: room });
        }
        let live = inner.live.get_mut(&number)?;
        live.leases += 1;
        live.used = used;
        let client = Some(Arc::clone(&live.client));
        Some(Lease { pool: Arc::clone(self), client, number })
    }

    async fn close(&self, live: Live) {
        let number = live.client.identity.number;
        let client = Arc::into_inner(live.client); // without leases there is no other owner
        let cursors = match client {
            Some(client) => client.close().await,
            None => Cursors::new(),
        };
        let mut inner = self.inner();
        inner.closing.remove(&number);
        if number.is_multiple_of(4) {
            inner.kept.insert(number, cursors);
        }
    }

    /// Closes every client; nobody has a lease any more.
    pub async fn close_all(&self) {
        loop {
            let idle = self.inner().take_idle();
            match idle {
                Some(idle) => self.close(idle).await,
                None => return,
            }
        }
    }
}

impl Inner {
    fn take_idle(&mut self) -> Option<Live> {
        let idle = self.live.iter().filter(|(_, live)| live.leases == 0);
        let oldest = *idle.min_by_key(|(_, live)| live.used)?.0;
        self.closing.insert(oldest);
        self.live.remove(&oldest)
    }
}
