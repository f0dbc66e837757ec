//! What the tests share: opening, appending, reading everything.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use harkara_domain::{ConversationId, Partition};
use harkara_engine::{Log, LogError, log::Entry};
use harkara_engine_embedded::{Embedded, OpenError, Options};
use harkara_service_runtime::clock::{Clock, SharedClock, SystemClock};

pub(crate) fn options() -> Options {
    Options { partitions: 4, disk_reserve_bytes: 0, ..Options::default() }
}

pub(crate) fn try_open(dir: &Path) -> Result<Embedded, OpenError> {
    Embedded::open(dir, options(), SystemClock::shared())
}

pub(crate) fn open(dir: &Path) -> Embedded {
    try_open(dir).expect("the directory must open")
}

/// A clock that the test moves.
#[derive(Default)]
pub(crate) struct ManualClock {
    ms: AtomicU64,
}

impl ManualClock {
    pub(crate) fn at(ms: u64) -> Arc<Self> {
        Arc::new(Self { ms: AtomicU64::new(ms) })
    }

    pub(crate) fn set(&self, ms: u64) {
        self.ms.store(ms, Ordering::SeqCst);
    }

    pub(crate) fn shared(self: &Arc<Self>) -> SharedClock {
        Arc::clone(self) as SharedClock
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.ms.load(Ordering::SeqCst)
    }

    fn elapsed_ns(&self) -> u64 {
        self.now_ms() * 1_000_000
    }
}

pub(crate) async fn append(log: &dyn Log, partition: u16, record: Bytes) -> Result<u64, LogError> {
    let key = ConversationId::from_bytes([1; 16]);
    Ok(log.append(Partition(partition), key, record)?.await?.offset)
}

/// All records of a partition from the last commit on, up to what is there at the beginning.
pub(crate) async fn read_all(log: &dyn Log, partition: u16) -> Vec<Entry> {
    let end = append(log, partition, Bytes::from_static(b"end")).await.expect("appends work");
    let mut assignments = log.consume().await.expect("consuming works");
    let mut reader = loop {
        let reader = assignments.next().await.expect("all partitions are ours");
        if reader.partition() == Partition(partition) {
            break reader;
        }
    };
    let mut all = Vec::new();
    loop {
        let read = reader.next(1_000).await.expect("reading works").expect("it is ours");
        all.extend(read);
        if all.last().is_some_and(|entry: &Entry| entry.offset >= end) {
            all.pop();
            return all;
        }
    }
}

/// Looks until it is true, for a minute at most.
pub(crate) async fn eventually(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let polled = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), polled).await.expect(what);
}

/// Copies a data directory as a crash would leave it: without anybody closing it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the copy can be made");
    for entry in from.read_dir().expect("the directory can be read") {
        let entry = entry.expect("the directory can be read");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("the type is known").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("the file can be copied");
        }
    }
}
