//! The writing half of the log's suite: order, durability, bounds.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use harkara_domain::Partition;

use super::{
    Consumer, LogFactory, append, append_many, check_order, key, must, numbered, soon, texts,
};
use crate::log::LogError;

pub(super) async fn order_is_the_order_of_calls(factory: &dyn LogFactory) {
    let log = factory.make().await;
    let mut pending = BTreeMap::<u16, Vec<_>>::new();
    for n in 0..300_u32 {
        for partition in 0..3 {
            let record = Bytes::from(format!("p {n}"));
            let queued = must(log.append(Partition(partition), key(), record), "there is room");
            pending.entry(partition).or_default().push(queued);
        }
    }
    let mut consumer = Consumer::join(&*log).await;
    for (partition, pending) in pending {
        let read = consumer.read(partition, 300).await;
        assert_eq!(texts(&read), numbered("p", 0, 300), "records must stand in order of calls");
        for (pending, entry) in pending.into_iter().zip(read) {
            let told = must(soon(pending, "an append resolves").await, "an append must succeed");
            assert_eq!(told.offset, entry.offset, "the appender is told the record's offset");
            assert_eq!(told.at, entry.at, "the appender is told the record's time");
        }
    }
}

pub(super) async fn records_come_back_as_they_were(factory: &dyn LogFactory) {
    let log = factory.make().await;
    let bytes = |len: usize| Bytes::from_iter((0..len).map(|n| (n * 31 % 251) as u8));
    let records: Vec<Bytes> = [1, 2, 255, 4_096, 65_536].map(bytes).to_vec();
    for record in &records {
        append(&*log, 1, record.clone()).await;
    }
    let mut consumer = Consumer::join(&*log).await;
    let read: Vec<_> = consumer.read(1, 5).await.into_iter().map(|entry| entry.record).collect();
    assert!(read == records, "records up to 64 KiB must come back byte for byte");
}

pub(super) async fn nothing_is_taken_back(factory: &dyn LogFactory) {
    let log = factory.make().await;
    drop(must(log.append(Partition(0), key(), Bytes::from_static(b"first")), "there is room"));
    append(&*log, 0, "second").await;
    let read = Consumer::join(&*log).await.read(0, 2).await;
    assert_eq!(texts(&read), ["first", "second"], "a dropped waiter must not drop its record");
}

pub(super) async fn many_appenders(factory: &dyn LogFactory) {
    let log = factory.make().await;
    let tasks: Vec<_> = (0..64_u16)
        .map(|n| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let name = format!("t{n}");
                append_many(&*log, n % 4, &name, 50).await;
                append(&*log, n % 4, format!("{name} 50")).await;
            })
        })
        .collect();
    for task in tasks {
        must(soon(task, "appenders must end").await, "an appender must not panic");
    }
    let mut consumer = Consumer::join(&*log).await;
    for partition in 0..4 {
        let mut by_name = BTreeMap::<String, Vec<String>>::new();
        for text in texts(&consumer.read(partition, 16 * 51).await) {
            let name = text.split(' ').next().unwrap_or_default().to_owned();
            by_name.entry(name).or_default().push(text);
        }
        assert_eq!(by_name.len(), 16, "every appender's records must be there");
        for (name, texts) in by_name {
            assert_eq!(texts, numbered(&name, 0, 51), "each appender's order must be kept");
        }
    }
}

pub(super) async fn a_full_queue_refuses(factory: &dyn LogFactory) {
    let log = factory.make_small().await;
    let (mut taken, mut full) = (Vec::new(), false);
    for n in 0..200_000_u32 {
        let record = Bytes::from(format!("{n:01024}"));
        match log.append(Partition(0), key(), record.clone()) {
            Ok(pending) => taken.push((record, pending)),
            Err(LogError::Full { queued_bytes }) => {
                assert!(queued_bytes > 0, "a full queue must say how much waits");
                full = true;
                break;
            }
            Err(other) => assert_eq!(other.to_string(), "", "only Full is to be expected"),
        }
    }
    assert!(full, "a queue of some megabytes must refuse before it holds 200 MB");
    let mut records = Vec::new();
    for (record, pending) in taken {
        must(soon(pending, "an append must resolve").await, "what was taken must be appended");
        records.push(record);
    }
    append(&*log, 0, "after").await;
    records.push(Bytes::from_static(b"after"));
    let read = Consumer::join(&*log).await.read(0, records.len()).await;
    let read: Vec<_> = read.into_iter().map(|entry| entry.record).collect();
    assert!(read == records, "what was taken must be there, what was refused must not");
}

pub(super) async fn appends_survive_a_restart(factory: &dyn LogFactory) {
    let log = factory.make().await;
    let generation = log.generation();
    let before = append_many(&*log, 2, "a", 100).await;
    let log = factory.reopen(log).await;
    assert_eq!(log.generation(), generation, "a restart is no new life of the log");
    must(soon(log.ready(), "readiness must be told").await, "a reopened log must be ready");
    let after = append_many(&*log, 2, "b", 10).await;
    let log = factory.reopen(log).await;
    let read = Consumer::join(&*log).await.read(2, 110).await;
    check_order(&read);
    let names = [numbered("a", 0, 100), numbered("b", 0, 10)].concat();
    assert_eq!(texts(&read), names, "confirmed appends must outlive restarts, in their order");
    for (told, entry) in before.iter().chain(&after).zip(&read) {
        assert_eq!((told.offset, told.at), (entry.offset, entry.at), "offset and time must stay");
    }
}
