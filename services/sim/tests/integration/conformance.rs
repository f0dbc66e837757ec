//! With fair weather the simulator's engines keep every promise of an engine: the suites of
//! `harkara-engine`, run on them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use harkara_domain::{Generation, Partition};
use harkara_engine::{
    Directory as _, Link, Log, Store,
    conformance::{self, link::LinkFactory, log::LogFactory, store::StoreFactory},
};
use harkara_sim::{
    engine::{
        directory::{Claims, SimDirectory},
        link::{Room, SimLink, Wires},
        log::{SimLog, broker::Broker},
        store::{SimStore, tables::Tables},
    },
    process::{Node, Proc},
    world::World,
};

const PARTITIONS: u16 = 4;

fn proc() -> Arc<Proc> {
    Proc::new(Node::Worker(0), 1)
}

#[derive(Default)]
struct Logs(Mutex<HashMap<usize, Arc<Broker>>>);

fn address<T: ?Sized>(engine: &Arc<T>) -> usize {
    Arc::as_ptr(engine).cast::<()>() as usize
}

impl Logs {
    fn open(&self, broker: Arc<Broker>, bytes: usize) -> Arc<dyn Log> {
        let log: Arc<dyn Log> = Arc::new(SimLog::new(proc(), Arc::clone(&broker), bytes));
        self.0.lock().expect("the lock is whole").insert(address(&log), broker);
        log
    }
}

#[async_trait]
impl LogFactory for Logs {
    async fn make(&self) -> Arc<dyn Log> {
        self.open(Broker::new(World::calm(), PARTITIONS), 64 << 20)
    }

    async fn make_small(&self) -> Arc<dyn Log> {
        self.open(Broker::new(World::calm(), PARTITIONS), 256 * 1024)
    }

    async fn reopen(&self, log: Arc<dyn Log>) -> Arc<dyn Log> {
        let broker = self.0.lock().expect("the lock is whole").remove(&address(&log));
        self.open(broker.expect("a log of this factory"), 64 << 20)
    }
}

#[derive(Default)]
struct Stores(Mutex<HashMap<usize, Arc<Tables>>>);

impl Stores {
    fn open(&self, tables: Arc<Tables>) -> Arc<dyn Store> {
        let store: Arc<dyn Store> = Arc::new(SimStore::new(proc(), Arc::clone(&tables)));
        self.0.lock().expect("the lock is whole").insert(address(&store), tables);
        store
    }
}

#[async_trait]
impl StoreFactory for Stores {
    async fn make(&self) -> Arc<dyn Store> {
        let tables = Tables::new(World::calm());
        tables.rows().generation = Some(Generation(1));
        self.open(tables)
    }

    async fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        let tables = self.0.lock().expect("the lock is whole").remove(&address(&store));
        self.open(tables.expect("a store of this factory"))
    }
}

struct Links;

#[async_trait]
impl LinkFactory for Links {
    /// One process is gateway and worker, and owns everything.
    async fn make(&self) -> Arc<dyn Link> {
        let (world, proc) = (World::calm(), proc());
        let directory =
            SimDirectory::new(Arc::clone(&proc), Claims::new(Arc::clone(&world), PARTITIONS));
        for partition in 0..PARTITIONS {
            let claimed = directory.claim(Partition(partition), &proc.address()).await;
            claimed.expect("claims succeed in fair weather");
        }
        let wires = Wires::new(world, Room { endpoint: 1_024, partition: 1_024 });
        let link = Arc::new(SimLink::new(wires, proc, directory.watch()));
        drop(link.worker());
        while link.connections() == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        link
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log() {
    conformance::log::all(&Logs::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store() {
    conformance::store::all(&Stores::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn link() {
    conformance::link::all(&Links).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directory() {
    let claims = Claims::new(World::calm(), PARTITIONS);
    conformance::directory::all(Arc::new(SimDirectory::new(proc(), claims))).await;
}
