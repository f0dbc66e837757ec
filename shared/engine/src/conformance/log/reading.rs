//! The reading half of the log's suite: waiting, commits, owners.

use std::{sync::Arc, time::Duration};

use super::{Consumer, LogFactory, append, append_many, ended, must, numbered, soon, texts};

pub(super) async fn reading_waits(factory: &dyn LogFactory) {
    let log = factory.make().await;
    let mut consumer = Consumer::join(&*log).await;
    for n in 0..3 {
        let (read, _) = tokio::join!(consumer.read(3, 1), append(&*log, 3, format!("w {n}")));
        assert_eq!(texts(&read), [format!("w {n}")], "a waiting reader must get the record");
    }
}

pub(super) async fn a_cancelled_read_loses_nothing(factory: &dyn LogFactory) {
    let log = factory.make().await;
    let mut consumer = Consumer::join(&*log).await;
    for n in 0..50 {
        // Cancelled somewhere between asking and getting; nothing depends on where.
        let reader = consumer.reader(0);
        let cancelled = tokio::time::timeout(Duration::ZERO, reader.next(1)).await;
        assert!(cancelled.is_err(), "there is nothing to read yet");
        append(&*log, 0, format!("c {n}")).await;
        assert_eq!(texts(&consumer.read(0, 1).await), [format!("c {n}")], "nothing may be lost");
    }
}

pub(super) async fn reading_goes_on_at_the_commit(factory: &dyn LogFactory) {
    let log = factory.make().await;
    append_many(&*log, 1, "r", 50).await;
    let mut first = Consumer::join(&*log).await;
    let read = first.read(1, 50).await;
    let mut second = Consumer::join(&*log).await;
    assert_eq!(second.read(1, 50).await, read, "without a commit everything is read again");
    let next = read.get(19).map_or(0, |entry| entry.offset + 1);
    second.commit(1, next).await;
    let mut third = Consumer::join(&*log).await;
    let rest = third.read(1, 30).await;
    assert_eq!(texts(&rest), numbered("r", 20, 50), "reading goes on behind the commit");
    let last = rest.last().map_or(0, |entry| entry.offset + 1);
    third.commit(1, last).await;
    let mut fourth = Consumer::join(&*log).await;
    append(&*log, 1, "new").await;
    assert_eq!(texts(&fourth.read(1, 1).await), ["new"], "nothing committed comes again");
}

pub(super) async fn commits_never_go_back(factory: &dyn LogFactory) {
    let log = factory.make().await;
    append_many(&*log, 0, "g", 30).await;
    let mut consumer = Consumer::join(&*log).await;
    let read = consumer.read(0, 30).await;
    let behind = |n: usize| read.get(n).map_or(0, |entry| entry.offset + 1);
    consumer.commit(0, behind(19)).await;
    consumer.commit(0, behind(4)).await;
    let rest = Consumer::join(&*log).await.read(0, 10).await;
    assert_eq!(texts(&rest), numbered("g", 20, 30), "an older commit must change nothing");
}

pub(super) async fn commits_survive_a_restart(factory: &dyn LogFactory) {
    let log = factory.make().await;
    append_many(&*log, 0, "s", 20).await;
    append_many(&*log, 1, "t", 20).await;
    let mut consumer = Consumer::join(&*log).await;
    let read = consumer.read(0, 15).await;
    consumer.commit(0, read.last().map_or(0, |entry| entry.offset + 1)).await;
    drop(consumer);
    let log = factory.reopen(log).await;
    let mut consumer = Consumer::join(&*log).await;
    assert_eq!(texts(&consumer.read(0, 5).await), numbered("s", 15, 20), "from the commit on");
    assert_eq!(texts(&consumer.read(1, 20).await), numbered("t", 0, 20), "each partition its own");
}

pub(super) async fn one_owner_at_a_time(factory: &dyn LogFactory) {
    let log = factory.make().await;
    append_many(&*log, 0, "o", 10).await;
    let mut first = Consumer::join(&*log).await;
    first.read(0, 5).await;
    // One reader waits while the partitions are taken away, the others are asked afterwards.
    let waiting = must(first.readers.remove(&3).ok_or("none"), "the consumer has all partitions");
    let waiting = tokio::spawn(async move {
        let mut waiting = waiting;
        ended(&mut *waiting).await
    });
    let mut second = Consumer::join(&*log).await;
    let ended_waiting = must(soon(waiting, "a waiting reader must end").await, "it must not panic");
    assert!(ended_waiting, "a waiting reader must learn that its partition was taken away");
    for reader in first.readers.values_mut() {
        assert!(ended(&mut **reader).await, "readers of the owner before must end");
    }
    let committer = first.reader(0).committer();
    let zombie = soon(committer.commit(u64::MAX), "a commit must resolve").await;
    assert!(zombie.is_err(), "a commit of the owner before must be refused");
    assert_eq!(texts(&second.read(0, 10).await), numbered("o", 0, 10), "the new owner has it all");
    let log = Arc::clone(&log);
    let (read, _) = tokio::join!(second.read(0, 1), append(&*log, 0, "next"));
    assert_eq!(texts(&read), ["next"], "and gets what comes");
    drop(second.assignments);
}
