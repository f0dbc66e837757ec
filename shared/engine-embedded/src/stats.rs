//! Counters of the committer, cheap enough to keep always; tests and the example read them.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the directory was opened.
#[derive(Debug, Default)]
pub struct Stats {
    batches: AtomicU64,
    fsyncs: AtomicU64,
    appended: AtomicU64,
    appended_bytes: AtomicU64,
    store_writes: AtomicU64,
    swept: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Bytes of records that wait for the committer.
    pub queued_bytes: usize,
    /// Bytes of store writes that wait or are being written.
    pub store_bytes: usize,
    /// Batches written.
    pub batches: u64,
    /// Of them, those that were forced to the disk.
    pub fsyncs: u64,
    /// Records appended.
    pub appended: u64,
    /// Their bytes.
    pub appended_bytes: u64,
    /// Store writes done.
    pub store_writes: u64,
    /// Records removed because they were too old.
    pub swept: u64,
}

impl Stats {
    pub(crate) fn batch(&self, synced: bool) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.fsyncs.fetch_add(u64::from(synced), Ordering::Relaxed);
    }

    pub(crate) fn appended(&self, records: u64, bytes: u64) {
        self.appended.fetch_add(records, Ordering::Relaxed);
        self.appended_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn stored(&self, writes: u64) {
        self.store_writes.fetch_add(writes, Ordering::Relaxed);
    }

    pub(crate) fn swept(&self, records: u64) {
        self.swept.fetch_add(records, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self, queued_bytes: usize, store_bytes: usize) -> Counts {
        Counts {
            queued_bytes,
            store_bytes,
            batches: self.batches.load(Ordering::Relaxed),
            fsyncs: self.fsyncs.load(Ordering::Relaxed),
            appended: self.appended.load(Ordering::Relaxed),
            appended_bytes: self.appended_bytes.load(Ordering::Relaxed),
            store_writes: self.store_writes.load(Ordering::Relaxed),
            swept: self.swept.load(Ordering::Relaxed),
        }
    }
}
