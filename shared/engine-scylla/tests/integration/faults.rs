//! One node that dies, is away, hangs: what is unknown is told as such in time, and what was
//! acknowledged is there afterwards.

use std::time::{Duration, Instant};

use harkara_engine::{Store, StoreError};
use harkara_engine_scylla::{Config, OpenError, ScyllaStore};
use harkara_service_runtime::HumanDuration;
use harkara_test_engines::{Cassandra, CassandraOptions, Signal, Sync, engines_or_skip};

use crate::support::{config, events, made, open, read, soon, try_open, write, write_patiently};

const TIMEOUT: Duration = Duration::from_secs(2);

/// How long a call took that had to end in [`StoreError::Retry`].
async fn unknown<T>(call: impl Future<Output = Result<T, StoreError>>) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "a test measures")]
    let begin = Instant::now();
    let error = call.await.err().expect("nobody can answer");
    assert!(matches!(error, StoreError::Retry(_)), "{error}");
    begin.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_dies_and_hangs() {
    engines_or_skip!();
    let options = CassandraOptions { sync: Sync::Batch, ..CassandraOptions::default() };
    let cassandra = Cassandra::start(&options);
    let config =
        Config { request_timeout: HumanDuration(TIMEOUT), ..config(cassandra.contact_points()) };
    let store = made(&config).await;
    killed_while_it_writes(&cassandra, &store).await;
    away(&cassandra, &config, &store).await;
    frozen(&cassandra, &store).await;
    assert_eq!(store.counts().refused, 0, "nothing looked like an operator's business");
}

/// Acknowledged before a kill -9 is there after it.
async fn killed_while_it_writes(cassandra: &Cassandra, store: &ScyllaStore) {
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            let mut acknowledged = 0;
            while write(&store, 1, events([acknowledged + 1])).await.is_ok() {
                acknowledged += 1;
            }
            acknowledged
        }
    });
    while store.counts().rows_written < 300 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::task::block_in_place(|| cassandra.signal(1, Signal::Kill));
    let acknowledged = writer.await.expect("the writer ends by itself");
    assert!(acknowledged >= 299, "it wrote");
    tokio::task::block_in_place(|| cassandra.restart());
    write_patiently(store, 1, events([acknowledged + 1])).await;
    let expected: Vec<u64> = (1..=acknowledged + 1).collect();
    assert_eq!(read(store, 1).await, Ok(expected), "each acknowledged event once, none missing");
}

/// While no node is there, calls fail at once; when it is back, the same store goes on.
async fn away(cassandra: &Cassandra, config: &Config, store: &ScyllaStore) {
    tokio::task::block_in_place(|| cassandra.signal(1, Signal::Term));
    for _ in 0..20 {
        let took = unknown(write(store, 2, events([1]))).await.max(unknown(store.ready()).await);
        assert!(took < TIMEOUT, "it took {took:?}");
    }
    let away = soon("opening gives up", try_open(config)).await.err().expect("nobody is there");
    assert!(matches!(away, OpenError::Away { .. }) && away.passes(), "{away}");
    assert!(away.to_string().contains(&config.nodes[0]), "{away}");
    tokio::task::block_in_place(|| cassandra.restart());
    write_patiently(store, 2, events([1])).await;
    assert_eq!(read(store, 2).await, Ok(vec![1]));
    assert_eq!(store.ready().await, Ok(()));
    drop(open(config).await);
}

/// A node that hangs is not waited for longer than was set; what it was given may be done later,
/// and repeating it is right.
async fn frozen(cassandra: &Cassandra, store: &ScyllaStore) {
    tokio::task::block_in_place(|| cassandra.signal(1, Signal::Stop));
    let took = unknown(write(store, 3, events(1..=3))).await;
    assert!(took >= TIMEOUT && took < 2 * TIMEOUT, "it took {took:?}");
    let took = unknown(read(store, 3)).await;
    assert!(took < 2 * TIMEOUT, "it took {took:?}");
    tokio::task::block_in_place(|| cassandra.signal(1, Signal::Cont));
    write_patiently(store, 3, events(1..=4)).await;
    assert_eq!(read(store, 3).await, Ok(vec![1, 2, 3, 4]), "as if nothing had been");
}
