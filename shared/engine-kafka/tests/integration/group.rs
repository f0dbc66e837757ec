//! Members of the group: sharing, slow readers, dropped readers, leases of the frozen.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use harkara_domain::Partition;
use harkara_engine::{Assignments, Log, PartitionReader, log::Entry};
use harkara_engine_kafka::{Config, KafkaLog};
use harkara_service_runtime::HumanDuration;
use harkara_test_engines::engines_or_skip;
use tokio::task::JoinHandle;

use crate::support::{DEADLINE, append, eventually, log, open, read, reader, shared_config};

/// What workers did with each partition, in order.
#[derive(Default)]
struct Seen {
    /// Who has it.
    owners: BTreeMap<u16, usize>,
    /// Everything that was worked on, by partition.
    records: BTreeMap<u16, Vec<u64>>,
}

/// Works on partitions as the fanout does: reads, commits, lets go at the end.
async fn work(worker: usize, mut reader: Box<dyn PartitionReader>, seen: Arc<Mutex<Seen>>) {
    let Partition(partition) = reader.partition();
    let before = seen.lock().expect("whole").owners.insert(partition, worker);
    assert_eq!(before, None, "partition {partition} is {worker}'s and somebody else's");
    let committer = reader.committer();
    while let Some(entries) = reader.next(10).await.expect("reading works") {
        for Entry { offset, .. } in &entries {
            seen.lock().expect("whole").records.entry(partition).or_default().push(*offset);
        }
        let last = entries.last().map_or(0, |entry| entry.offset + 1);
        committer.commit(last).await.expect("it is ours");
    }
    assert!(reader.lease().holds(), "there is time to finish");
    seen.lock().expect("whole").owners.remove(&partition);
}

fn member(
    worker: usize,
    mut given: Box<dyn Assignments>,
    seen: &Arc<Mutex<Seen>>,
) -> JoinHandle<()> {
    let seen = Arc::clone(seen);
    tokio::spawn(async move {
        while let Some(reader) = given.next().await {
            tokio::spawn(work(worker, reader, Arc::clone(&seen)));
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_partition_is_one_members_and_no_record_is_left_out() {
    engines_or_skip!();
    let config = Config { partitions: 8, drain: HumanDuration::from_secs(5), ..shared_config() };
    let first = log(&config).await;
    let second = open(&config).await;
    let seen = Arc::new(Mutex::new(Seen::default()));
    let appender = Arc::clone(&first);
    let appending = tokio::spawn(async move {
        for n in 0..400_u16 {
            append(&*appender, n % 8, &format!("r {n}")).await.expect("appended");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let share = |worker: usize| {
        let seen = Arc::clone(&seen);
        move || {
            seen.lock().expect("whole").owners.values().filter(|owner| **owner == worker).count()
        }
    };
    let one = member(1, first.consume().await.expect("consuming works"), &seen);
    eventually("the first has all", async || share(1)() == 8).await;
    let two = member(2, second.consume().await.expect("consuming works"), &seen);
    eventually("each has half", async || (share(1)(), share(2)()) == (4, 4)).await;
    // Leaves in order, while records come.
    second.close().await;
    eventually("the first has all again", async || share(1)() == 8).await;
    appending.await.expect("appending works");
    let whole = || {
        let seen = seen.lock().expect("whole");
        seen.records.len() == 8 && seen.records.values().all(|records| records.len() == 50)
    };
    eventually("everything was worked on", async || whole()).await;
    for (partition, records) in &seen.lock().expect("whole").records {
        assert_eq!(*records, (1..=50).collect::<Vec<_>>(), "each once, in order: {partition}");
    }
    assert_eq!(first.counts().lost + second.counts().lost, 0, "nothing was taken by force");
    one.abort();
    two.abort();
    first.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_holds_up_nobody_and_misses_nothing() {
    engines_or_skip!();
    let log = log(&shared_config()).await;
    let mut given = log.consume().await.expect("consuming works");
    let mut readers = BTreeMap::new();
    while readers.len() < 4 {
        let reader = reader(&mut *given).await;
        readers.insert(reader.partition().0, reader);
    }
    let mut pending = Vec::new();
    for n in 0..6_000 {
        let record = format!("{n} {}", "x".repeat(200));
        pending.push(log.append(Partition(0), crate::support::KEY, record.into()).expect("room"));
    }
    for pending in pending {
        pending.await.expect("appended");
    }
    append(&*log, 1, "meanwhile").await.expect("appended");
    let other = readers.get_mut(&1).expect("all are ours");
    assert_eq!(read(&mut **other, 1).await.len(), 1);
    assert!(log.counts().consumed < 5_000, "what nobody reads is not fetched for ever");
    let slow = readers.get_mut(&0).expect("all are ours");
    let all = read(&mut **slow, 6_000).await;
    let numbers = all.iter().map(|entry| {
        String::from_utf8_lossy(&entry.record).split(' ').next().and_then(|n| n.parse().ok())
    });
    assert!(numbers.eq((0..6_000).map(Some)), "in order, each once");
    drop((readers, given));
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_reader_is_given_again_from_its_commit() {
    engines_or_skip!();
    let log = log(&Config { partitions: 1, ..shared_config() }).await;
    for n in 0..10 {
        append(&*log, 0, &format!("r {n}")).await.expect("appended");
    }
    let mut given = log.consume().await.expect("consuming works");
    let mut first = reader(&mut *given).await;
    let entries = read(&mut *first, 10).await;
    first.committer().commit(entries[4].offset).await.expect("it is ours");
    drop(first);
    let mut again = reader(&mut *given).await;
    assert_eq!(read(&mut *again, 6).await, entries[4..]);
    drop((again, given));
    log.close().await;
}

/// Not a test of its own: the process that is frozen by the one below.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_member() {
    let Ok(brokers) = std::env::var("FROZEN_BROKERS") else { return };
    let prefix = std::env::var("FROZEN_PREFIX").expect("set together");
    let log = open(&Config { prefix, partitions: 2, ..crate::support::config(&brokers) }).await;
    let mut given = log.consume().await.expect("consuming works");
    let mut first = reader(&mut *given).await;
    let lease = first.lease();
    let committer = first.committer();
    println!("holds {}", lease.holds());
    let ended = loop {
        match tokio::time::timeout(Duration::from_millis(20), first.next(10)).await {
            Err(_) => println!("holds {}", lease.holds()),
            Ok(read) => break read.expect("reading works"),
        }
    };
    assert_eq!(ended, None, "the partition is somebody else's");
    println!("ended {} {}", lease.holds(), committer.commit(1).await.is_ok());
}

fn kill(child: &Child, signal: &str) {
    let killed = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(killed.expect("kill runs").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_member_speaks_for_nothing_when_it_wakes() {
    engines_or_skip!();
    let config = Config { partitions: 2, ..shared_config() };
    let log: Arc<KafkaLog> = log(&config).await;
    let program = std::env::current_exe().expect("this test");
    let mut child = Command::new(program)
        .args(["--exact", "group::frozen_member", "--nocapture"])
        .env("FROZEN_BROKERS", config.brokers.join(","))
        .env("FROZEN_PREFIX", &config.prefix)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("a pipe"));
    let (sender, told) = mpsc::sync_channel(100_000);
    std::thread::spawn(move || {
        for line in lines.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let next = || told.recv_timeout(DEADLINE).expect("the member tells");
    while next() != "holds true" {}
    kill(&child, "-STOP");
    // Takes over when the group has given the other one up.
    let mut given = log.consume().await.expect("consuming works");
    let taken = [reader(&mut *given).await, reader(&mut *given).await];
    assert!(taken.iter().all(|reader| reader.lease().holds()));
    // What it had written before it froze.
    while told.try_recv().is_ok() {}
    kill(&child, "-CONT");
    let mut line = next();
    while line == "holds false" {
        line = next();
    }
    assert_eq!(line, "ended false false", "neither lease nor commit, from the first moment on");
    let ended = child.wait().expect("it ends");
    assert!(ended.success());
    drop((taken, given));
    log.close().await;
}

/// The number of partitions that a cluster has by default: made, opened, read by one member.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_partitions_are_served() {
    engines_or_skip!();
    let partitions = Config::default().partitions;
    let log = log(&Config { partitions, ..shared_config() }).await;
    let mut given = log.consume().await.expect("consuming works");
    let mut readers = BTreeMap::new();
    while readers.len() < usize::from(partitions) {
        let reader = reader(&mut *given).await;
        readers.insert(reader.partition().0, reader);
    }
    let pending: Vec<_> = (0..partitions)
        .map(|n| log.append(Partition(n), crate::support::KEY, n.to_string().into()))
        .collect();
    for pending in pending {
        pending.expect("room").await.expect("appended");
    }
    for (partition, reader) in &mut readers {
        let entries = read(&mut **reader, 1).await;
        assert_eq!(entries[0].record, partition.to_string());
    }
    drop((readers, given));
    log.close().await;
}
