//! Log and store on fjall, link and directory in process: the engines of the standalone binary.
//!
//! Layer 3, behind the traits of `harkara-engine`; named by `services/harkara` alone. The path of
//! a record: [`log`] → `queue` → `committer` (one thread: order, one batch, one fsync) → `tables`
//! (fjall) → `tail` → a reader. Store writes take the same path, so that one journal orders
//! everything: what a crash cuts off is always the newest end of both.
//!
//! On disk: `DIR/lock` is held while a process uses `DIR`; `DIR/db` is fjall's; `DIR/db.new`
//! exists only while the database is being made. `docs/adr/0002-embedded-engine.md` has the why.

mod committer;
mod directory;
mod health;
mod journal;
mod link;
mod log;
mod merge;
mod open;
mod options;
mod queue;
mod rows;
mod scan;
mod stats;
mod store;
mod sweep;
mod tables;
mod tail;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
    thread::JoinHandle,
};

use harkara_domain::Generation;
use harkara_engine::{Directory, Link, Log, LogError, LogScan, Store, StoreScan};
use harkara_service_runtime::clock::SharedClock;
use tokio::sync::{Semaphore, watch};

pub use directory::LocalDirectory;
pub use link::LocalLink;
pub use open::OpenError;
pub use options::Options;
pub use stats::{Counts, Stats};

use crate::{health::Health, queue::Queue, tables::Tables, tail::Tail};

/// What a bare loop over the same library is made of, so that it is compared with our own settings:
/// `examples/floor.rs`.
pub mod bare {
    pub use crate::{open::database, tables::Table};
}

/// The consumers' group number that says: nobody reads any more.
pub(crate) const CLOSED: u64 = u64::MAX;

/// What the log, the store and the committer share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) clock: SharedClock,
    pub(crate) generation: Generation,
    pub(crate) queue: Queue,
    /// Bytes of store writes that may wait: awaited, so that a burst slows down instead of failing.
    pub(crate) store_room: Arc<Semaphore>,
    /// None once closed. Readers hold the lock only for one synchronous read.
    pub(crate) tables: RwLock<Option<Tables>>,
    pub(crate) tails: Vec<Tail>,
    pub(crate) health: Health,
    pub(crate) stats: Stats,
    /// Grows with each `consume`; readers of an older number are cut off. [`CLOSED`] at the end.
    pub(crate) group: watch::Sender<u64>,
}

/// An open data directory. Keep it for as long as its engines are used: dropping it closes them.
pub struct Embedded {
    shared: Arc<Shared>,
    link: Arc<LocalLink>,
    directory: Arc<LocalDirectory>,
    committer: Mutex<Option<JoinHandle<()>>>,
}

impl Embedded {
    /// Opens `dir`, or makes it at the first time. Blocks: it replays fjall's journal.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong with the directory and what to do; nothing was changed.
    pub fn open(dir: &Path, options: Options, clock: SharedClock) -> Result<Self, OpenError> {
        let opened = open::open(dir, &options, &clock)?;
        let link = Arc::new(LocalLink::new(&options, clock.now_ms()));
        let directory = Arc::new(LocalDirectory::new(options.partitions, clock.now_ms()));
        let shared = Arc::new(Shared {
            queue: Queue::new(options.queue_bytes_max),
            store_room: Arc::new(Semaphore::new(options.store_bytes())),
            tables: RwLock::new(Some(opened.tables.clone())),
            tails: Tail::all(&opened.partitions, &options),
            health: Health::default(),
            stats: Stats::default(),
            group: watch::Sender::new(0),
            generation: opened.generation,
            options,
            clock,
        });
        let committer = committer::start(Arc::clone(&shared), opened)
            .map_err(|source| OpenError::Unusable { dir: dir.to_owned(), source })?;
        Ok(Self { shared, link, directory, committer: Mutex::new(Some(committer)) })
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> Arc<dyn Log> {
        Arc::new(log::EmbeddedLog::new(Arc::clone(&self.shared)))
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::new(store::EmbeddedStore::new(Arc::clone(&self.shared)))
    }

    /// The log, to be read as a whole.
    #[must_use]
    pub fn log_scan(&self) -> Arc<dyn LogScan> {
        Arc::new(scan::EmbeddedLogScan::new(Arc::clone(&self.shared)))
    }

    /// The store, to be read as a whole.
    #[must_use]
    pub fn store_scan(&self) -> Arc<dyn StoreScan> {
        Arc::new(store::EmbeddedStore::new(Arc::clone(&self.shared)))
    }

    /// The link; the same one at each call.
    #[must_use]
    pub fn link(&self) -> Arc<dyn Link> {
        Arc::clone(&self.link) as Arc<dyn Link>
    }

    /// The directory; the same one at each call.
    #[must_use]
    pub fn directory(&self) -> Arc<dyn Directory> {
        Arc::clone(&self.directory) as Arc<dyn Directory>
    }

    /// Which life of the log this is, made with the database.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.shared.generation
    }

    /// What was counted since the directory was opened.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.stats.counts(self.shared.queue.bytes(), self.shared.store_waiting())
    }

    /// Writes what is queued, makes it durable, ends all readers and lets go of the directory.
    /// Later calls to the engines fail. May be called again.
    ///
    /// # Errors
    /// [`LogError::Stop`] when the database had failed before or fails now.
    pub async fn close(&self) -> Result<(), LogError> {
        self.shared.queue.close();
        let committer = self.committer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(committer) = committer {
            let joined = tokio::task::spawn_blocking(move || committer.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                return Err(LogError::Stop("the committer ended early: see the log".to_owned()));
            }
        }
        self.shared.health.failure().map_or(Ok(()), |reason| Err(LogError::Stop(reason)))
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.shared.queue.close();
        let committer = self.committer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(committer) = committer {
            // At most one batch and its fsync; then the directory is free for the next process.
            let _ = committer.join();
        }
    }
}

impl Shared {
    fn store_waiting(&self) -> usize {
        self.options.store_bytes().saturating_sub(self.store_room.available_permits())
    }
}
