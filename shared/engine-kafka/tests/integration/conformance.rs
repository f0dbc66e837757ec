//! The suites of `harkara-engine`, run on real brokers.

use std::{collections::HashMap, sync::Arc, sync::Mutex};

use async_trait::async_trait;
use harkara_engine::{
    Log,
    conformance::{self, log::LogFactory},
};
use harkara_engine_kafka::{Config, KafkaDirectory, KafkaLog};
use harkara_service_runtime::clock::SystemClock;
use harkara_test_engines::engines_or_skip;

use crate::support::{make, open, shared_config};

/// Makes logs with prefixes of their own, and finds them again.
#[derive(Default)]
struct Factory {
    open: Mutex<HashMap<usize, (Config, Arc<KafkaLog>)>>,
}

impl Factory {
    async fn open(&self, config: Config) -> Arc<dyn Log> {
        let log = open(&config).await;
        let address = Arc::as_ptr(&log).cast::<()>() as usize;
        let shown = Arc::clone(&log);
        self.open.lock().expect("the lock is whole").insert(address, (config, log));
        shown
    }
}

#[async_trait]
impl LogFactory for Factory {
    async fn make(&self) -> Arc<dyn Log> {
        let config = shared_config();
        make(&config).await;
        self.open(config).await
    }

    async fn make_small(&self) -> Arc<dyn Log> {
        let config = Config { queue_bytes: 1024 * 1024, ..shared_config() };
        make(&config).await;
        self.open(config).await
    }

    async fn reopen(&self, log: Arc<dyn Log>) -> Arc<dyn Log> {
        let address = Arc::as_ptr(&log).cast::<()>() as usize;
        let found = self.open.lock().expect("the lock is whole").remove(&address);
        let (config, log) = found.expect("a log of this factory");
        log.close().await;
        self.open(config).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log() {
    engines_or_skip!();
    conformance::log::all(&Factory::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directory() {
    engines_or_skip!();
    let config = shared_config();
    make(&config).await;
    let opened = KafkaDirectory::open(config, SystemClock::shared()).await;
    conformance::directory::all(Arc::new(opened.expect("the directory must open"))).await;
}
