//! The suites of `harkara-engine`, run on the embedded engines.

use std::{collections::HashMap, path::PathBuf, sync::Arc, sync::Mutex};

use async_trait::async_trait;
use harkara_engine::{
    Link, Log, Store,
    conformance::{self, link::LinkFactory, log::LogFactory, store::StoreFactory},
};
use harkara_engine_embedded::{Embedded, Options};
use harkara_service_runtime::clock::SystemClock;
use tempfile::TempDir;

use crate::support::options;

/// Makes databases in directories of their own, and finds them again by their engines.
struct Factory {
    root: TempDir,
    open: Mutex<HashMap<usize, (PathBuf, Options, Embedded)>>,
    made: Mutex<u32>,
}

/// An engine is known by where it is.
fn address<T: ?Sized>(engine: &Arc<T>) -> usize {
    Arc::as_ptr(engine).cast::<()>() as usize
}

impl Factory {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory for the test");
        Self { root, open: Mutex::default(), made: Mutex::default() }
    }

    fn make<T: ?Sized>(&self, options: Options, engine: fn(&Embedded) -> Arc<T>) -> Arc<T> {
        let mut made = self.made.lock().expect("the lock is whole");
        *made += 1;
        let dir = self.root.path().join(made.to_string());
        self.open(dir, options, engine)
    }

    fn open<T: ?Sized>(
        &self,
        dir: PathBuf,
        options: Options,
        engine: fn(&Embedded) -> Arc<T>,
    ) -> Arc<T> {
        let embedded = Embedded::open(&dir, options.clone(), SystemClock::shared());
        let embedded = embedded.expect("the directory must open");
        let made = engine(&embedded);
        let mut open = self.open.lock().expect("the lock is whole");
        open.insert(address(&made), (dir, options, embedded));
        made
    }

    async fn reopen<T: ?Sized>(&self, old: Arc<T>, engine: fn(&Embedded) -> Arc<T>) -> Arc<T> {
        let found = self.open.lock().expect("the lock is whole").remove(&address(&old));
        let (dir, options, embedded) = found.expect("an engine of this factory");
        embedded.close().await.expect("closing works");
        self.open(dir, options, engine)
    }
}

#[async_trait]
impl LogFactory for Factory {
    async fn make(&self) -> Arc<dyn Log> {
        self.make(options(), Embedded::log)
    }

    async fn make_small(&self) -> Arc<dyn Log> {
        self.make(Options { queue_bytes_max: 256 * 1024, ..options() }, Embedded::log)
    }

    async fn reopen(&self, log: Arc<dyn Log>) -> Arc<dyn Log> {
        self.reopen(log, Embedded::log).await
    }
}

#[async_trait]
impl StoreFactory for Factory {
    async fn make(&self) -> Arc<dyn Store> {
        self.make(options(), Embedded::store)
    }

    async fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        self.reopen(store, Embedded::store).await
    }
}

#[async_trait]
impl LinkFactory for Factory {
    async fn make(&self) -> Arc<dyn Link> {
        self.make(options(), Embedded::link)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log() {
    conformance::log::all(&Factory::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store() {
    conformance::store::all(&Factory::new()).await;
}

/// Writers wait for room instead of failing, even where a single write is larger than all room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_with_little_room() {
    struct Small(Factory);

    #[async_trait]
    impl StoreFactory for Small {
        async fn make(&self) -> Arc<dyn Store> {
            let options = Options { store_bytes_max: 2_000, batch_bytes_max: 1, ..options() };
            self.0.make(options, Embedded::store)
        }

        async fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
            self.0.reopen(store, Embedded::store).await
        }
    }

    conformance::store::all(&Small(Factory::new())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn link() {
    conformance::link::all(&Factory::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directory() {
    let factory = Factory::new();
    conformance::directory::all(factory.make(options(), Embedded::directory)).await;
}
