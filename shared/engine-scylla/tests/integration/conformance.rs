//! The suite of `harkara-engine`, on Cassandra.

use std::{collections::HashMap, sync::Arc, sync::Mutex};

use async_trait::async_trait;
use harkara_engine::{
    Store,
    conformance::{self, store::StoreFactory},
};
use harkara_engine_scylla::Config;

use crate::support::{config, made, open};

struct Factory {
    nodes: Vec<String>,
    open: Mutex<HashMap<usize, Config>>,
}

impl Factory {
    async fn give(&self, config: Config) -> Arc<dyn Store> {
        let store: Arc<dyn Store> = Arc::new(open(&config).await);
        let address = Arc::as_ptr(&store).cast::<()>() as usize;
        self.open.lock().expect("the lock is whole").insert(address, config);
        store
    }
}

#[async_trait]
impl StoreFactory for Factory {
    async fn make(&self) -> Arc<dyn Store> {
        let config = config(self.nodes.clone());
        drop(made(&config).await);
        self.give(config).await
    }

    async fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        let address = Arc::as_ptr(&store).cast::<()>() as usize;
        let config = self.open.lock().expect("the lock is whole").remove(&address);
        drop(store);
        self.give(config.expect("a store of this factory")).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store() {
    let nodes = vec!["127.0.0.41:9042".to_owned()];
    conformance::store::all(&Factory { nodes, open: Mutex::default() }).await;
}
