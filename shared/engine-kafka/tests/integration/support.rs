//! What the tests share: settings that belong to one test, opening, appending, reading.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use harkara_domain::{ConversationId, Partition};
use harkara_engine::{Appended, Assignments, Log, LogError, PartitionReader, log::Entry};
use harkara_engine_kafka::{Config, KafkaLog, migrate};
use harkara_service_runtime::{HumanDuration, clock::SystemClock};
use harkara_test_engines::Kafka;

/// How long anything may take: brokers on a machine that does other things besides.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Settings of a log of four partitions that no other test has.
pub(crate) fn config(brokers: &str) -> Config {
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_test_writer()
        .try_init();
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    Config {
        brokers: brokers.split(',').map(str::to_owned).collect(),
        prefix: format!("test{number}"),
        replication: 1,
        min_insync: 1,
        partitions: 4,
        session_timeout: HumanDuration::from_millis(3_000),
        heartbeat: HumanDuration::from_millis(500),
        drain: HumanDuration::from_millis(300),
        ..Config::default()
    }
}

pub(crate) fn shared_config() -> Config {
    config(Kafka::shared().bootstrap())
}

/// Makes a log.
pub(crate) async fn make(config: &Config) {
    let made = migrate(config, &SystemClock::shared(), false).await;
    made.expect("a log can be made");
}

pub(crate) async fn open(config: &Config) -> Arc<KafkaLog> {
    let opened = KafkaLog::open(config.clone(), SystemClock::shared()).await;
    Arc::new(opened.expect("the log must open"))
}

/// Makes and opens a log.
pub(crate) async fn log(config: &Config) -> Arc<KafkaLog> {
    make(config).await;
    open(config).await
}

pub(crate) const KEY: ConversationId = ConversationId::from_bytes([7; 16]);

pub(crate) async fn append(
    log: &dyn Log,
    partition: u16,
    record: &str,
) -> Result<Appended, LogError> {
    log.append(Partition(partition), KEY, Bytes::copy_from_slice(record.as_bytes()))?.await
}

/// The next reader, in time.
pub(crate) async fn reader(assignments: &mut dyn Assignments) -> Box<dyn PartitionReader> {
    let next = tokio::time::timeout(DEADLINE, assignments.next()).await;
    next.expect("a partition must come in time").expect("the log is open")
}

/// The next `count` records, in time.
pub(crate) async fn read(reader: &mut dyn PartitionReader, count: usize) -> Vec<Entry> {
    let reading = async {
        let mut all = Vec::new();
        while all.len() < count {
            let read = reader.next(count - all.len()).await.expect("reading works");
            all.extend(read.expect("it is ours"));
        }
        all
    };
    tokio::time::timeout(DEADLINE, reading).await.expect("records must come in time")
}

/// Looks until it is true, for a minute at most.
pub(crate) async fn eventually(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let polled = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, polled).await.expect(what);
}
