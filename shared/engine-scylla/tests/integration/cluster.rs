//! Three nodes with three copies: one of them may die or hang without anybody noticing, and two
//! that are gone stop the writing, not more.

use harkara_engine::{Store, StoreError};
use harkara_engine_scylla::{Config, OtherLog, ScyllaStore};
use harkara_test_engines::{Cassandra, CassandraOptions, Signal, engines_or_skip};

use crate::support::{
    GENERATION, config, events, made, migrate_to, open, read, write, write_patiently,
};

/// Writes events one by one; none may fail.
async fn write_on(store: &ScyllaStore, from: u64, until: u64) {
    for seq in from..=until {
        write(store, 1, events([seq])).await.expect("nobody may notice");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_three_may_fail() {
    engines_or_skip!();
    let cassandra = Cassandra::start(&CassandraOptions { nodes: 3, ..CassandraOptions::default() });
    let one = config(cassandra.contact_points());
    let config = Config { replication: 3, ..one.clone() };
    drop(made(&one).await);
    let report = migrate_to(&config, GENERATION, OtherLog::Refuse).await.expect("it is raised");
    assert!(report.made[0].contains("replication 3 in datacenter1, which was 1"), "{report}");
    let store = open(&config).await;
    write_on(&store, 1, 200).await;
    tokio::task::block_in_place(|| cassandra.signal(3, Signal::Stop));
    write_on(&store, 201, 400).await;
    tokio::task::block_in_place(|| cassandra.signal(3, Signal::Cont));
    write_on(&store, 401, 600).await;
    tokio::task::block_in_place(|| cassandra.signal(2, Signal::Kill));
    write_on(&store, 601, 800).await;
    assert_eq!(read(&store, 1).await, Ok((1..=800).collect()), "gap-free");
    assert_eq!(store.counts().unanswered, 0, "nobody noticed");
    tokio::task::block_in_place(|| cassandra.signal(3, Signal::Kill));
    let error = write(&store, 1, events([801])).await.expect_err("no quorum is left");
    assert!(matches!(error, StoreError::Retry(_)), "{error}");
    let error = store.ready().await.expect_err("not ready");
    assert!(matches!(error, StoreError::Retry(_)), "{error}");
    tokio::task::block_in_place(|| cassandra.restart());
    write_patiently(&store, 1, events([801])).await;
    assert_eq!(read(&store, 1).await, Ok((1..=801).collect()), "gap-free");
}
