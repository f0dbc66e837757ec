//! Brokers that go away, come back, and refuse.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use harkara_domain::Partition;
use harkara_engine::{Appended, Log, LogError, LogScan};
use harkara_engine_kafka::{Config, KafkaLog, migrate};
use harkara_service_runtime::{HumanDuration, clock::SystemClock};
use harkara_test_engines::{Kafka, KafkaOptions, Signal, engines_or_skip};

use crate::support::{DEADLINE, KEY, append, config, eventually, log, read, reader};

/// Appends until it is confirmed, as those do who send again.
async fn insist(log: &dyn Log, record: &str) -> Appended {
    for _ in 0..600 {
        match append(log, 0, record).await {
            Ok(told) => return told,
            Err(LogError::Stop(why)) => panic!("{why}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    panic!("not confirmed in a minute");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_loses_nothing_and_doubles_nothing_that_was_confirmed() {
    engines_or_skip!();
    let kafka = Kafka::start(&KafkaOptions::default());
    let log = log(&Config { partitions: 2, ..config(kafka.bootstrap()) }).await;
    let mut given = log.consume().await.expect("consuming works");
    let mut readers = vec![reader(&mut *given).await, reader(&mut *given).await];
    readers.sort_by_key(|reader| reader.partition());
    let appender = Arc::clone(&log);
    let appending = tokio::spawn(async move {
        let mut told = Vec::new();
        for n in 0..600 {
            told.push(insist(&*appender, &format!("r {n}")).await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        told
    });
    read(&mut *readers[0], 100).await;
    kafka.signal_all(Signal::Kill);
    eventually("it is told that nothing is taken", async || log.ready().await.is_err()).await;
    kafka.restart();
    let told = appending.await.expect("appending works");
    eventually("it is told that records are taken", async || log.ready().await.is_ok()).await;
    let all = LogScan::read(&*log, Partition(0), 0, 10_000).await.expect("read");
    let at = |offset: u64| all.iter().find(|entry| entry.offset == offset);
    for (n, told) in told.iter().enumerate() {
        let entry = at(told.offset).expect("what was confirmed is there");
        assert_eq!((&entry.record[..], entry.at), (format!("r {n}").as_bytes(), told.at));
    }
    assert!(told.windows(2).all(|pair| pair[0].offset < pair[1].offset), "in order");
    // Who was reading goes on with nothing left out; or, where the outage was longer than the
    // session, ends and begins again at its commit.
    let mut ours = readers.swap_remove(0);
    let mut seen = 100;
    while seen < all.len() {
        let next = tokio::time::timeout(DEADLINE, ours.next(50)).await.expect("in time");
        let Some(entries) = next.expect("reading works") else {
            drop(ours);
            ours = reader(&mut *given).await;
            while ours.partition() != Partition(0) {
                ours = reader(&mut *given).await;
            }
            seen = 0;
            continue;
        };
        let count = entries.len();
        assert_eq!(entries, all[seen..seen + count], "nothing left out, nothing twice");
        seen += count;
    }
    let readers = [ours];
    eventually("the lease holds again", async || readers[0].lease().holds()).await;
    drop((readers, given));
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_while_brokers_are_away() {
    engines_or_skip!();
    let kafka = Kafka::start(&KafkaOptions::default());
    let settings = Config {
        queue_bytes: 1024 * 1024,
        delivery_timeout: HumanDuration::from_secs(3),
        ..config(kafka.bootstrap())
    };
    let log = log(&settings).await;
    append(&*log, 0, "before").await.expect("appended");
    kafka.signal_all(Signal::Kill);
    let mut taken = Vec::new();
    let full = loop {
        match log.append(Partition(0), KEY, Bytes::from(vec![7; 1_000])) {
            Ok(pending) => taken.push(pending),
            Err(error) => break error,
        }
        assert!(taken.len() < 2_000, "the queue is bounded");
    };
    assert!(matches!(full, LogError::Full { queued_bytes } if queued_bytes > 500_000), "{full}");
    assert_eq!(log.counts().queued_bytes / taken.len(), 1_256, "what waits is counted");
    for pending in taken {
        let told = pending.await;
        assert!(matches!(told, Err(LogError::Unknown(_))), "nobody confirmed: {told:?}");
    }
    assert_eq!(log.counts().queued_bytes, 0, "and makes room in the end");
    let away = KafkaLog::open(settings.clone(), SystemClock::shared()).await.err();
    assert!(matches!(&away, Some(LogError::Unknown(_))), "away is waited for: {away:?}");
    kafka.restart();
    insist(&*log, "after").await;
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_few_copies_refuse_until_they_are_back() {
    engines_or_skip!();
    let kafka = Kafka::start(&KafkaOptions { nodes: 3, ..KafkaOptions::default() });
    let settings = Config {
        replication: 3,
        min_insync: 2,
        delivery_timeout: HumanDuration::from_secs(4),
        ..config(kafka.bootstrap())
    };
    let log = log(&settings).await;
    let told = insist(&*log, "with three").await;
    let fewer = Config { replication: 2, min_insync: 2, ..settings.clone() };
    let refused = migrate(&fewer, &SystemClock::shared(), false).await.expect_err("never fewer");
    assert!(refused.to_string().contains("set kafka.replication = 3"), "{refused}");
    kafka.signal(2, Signal::Kill);
    insist(&*log, "with two").await;
    kafka.signal(3, Signal::Kill);
    let alone = append(&*log, 0, "with one").await;
    assert!(matches!(alone, Err(LogError::Unknown(_))), "{alone:?}");
    // The last broker can't know that it is alone: its controllers are gone, too.
    let told_now = log.ready().await;
    assert!(matches!(told_now, Err(LogError::Unknown(_))), "{told_now:?}");
    kafka.restart();
    let last = insist(&*log, "with three again").await;
    eventually("it is told that records are taken", async || log.ready().await.is_ok()).await;
    assert!(last.offset > told.offset);
    let all = LogScan::read(&*log, Partition(0), 0, 100).await.expect("read");
    let first: Vec<_> = all.iter().take(2).map(|entry| entry.record.clone()).collect();
    assert_eq!(first, ["with three", "with two"].map(Bytes::from));
    log.close().await;
}

/// Whoever ends while brokers are away ends all the same, within the patience that settings name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_does_not_wait_for_brokers() {
    engines_or_skip!();
    let kafka = Kafka::start(&KafkaOptions::default());
    let settings =
        Config { delivery_timeout: HumanDuration::from_secs(2), ..config(kafka.bootstrap()) };
    let log = log(&settings).await;
    let mut given = log.consume().await.expect("consuming works");
    let first = reader(&mut *given).await;
    kafka.signal_all(Signal::Kill);
    let waiting = log.append(Partition(0), KEY, "lost".into()).expect("there is room");
    tokio::time::timeout(Duration::from_secs(30), log.close()).await.expect("closing ends");
    assert!(matches!(waiting.await, Err(LogError::Unknown(_))), "nobody confirmed");
    assert!(!first.lease().holds() && first.lease().over());
}
