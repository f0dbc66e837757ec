//! What the tests share: nodes, keyspaces of their own, opening.

use std::sync::atomic::{AtomicU32, Ordering};

use harkara_domain::Generation;
use harkara_engine_scylla::{Config, OtherLog, ScyllaStore, migrate};
use harkara_service_runtime::clock::SystemClock;

pub(crate) const GENERATION: Generation = Generation(7);

/// Settings for a keyspace that nobody else uses.
pub(crate) fn config(nodes: Vec<String>) -> Config {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let keyspace = format!("test_{}_{number}", std::process::id());
    Config { nodes, keyspace, replication: 1, ..Config::default() }
}

pub(crate) async fn open(config: &Config) -> ScyllaStore {
    ScyllaStore::open(config, &SystemClock::shared()).await.expect("the store opens")
}

/// Makes the keyspace and opens it.
pub(crate) async fn made(config: &Config) -> ScyllaStore {
    let report = migrate(config, &SystemClock::shared(), GENERATION, OtherLog::Refuse).await;
    report.expect("the keyspace can be made");
    open(config).await
}
