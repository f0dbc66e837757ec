//! Counters of the log, cheap enough to keep always; the composition makes metrics of them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Counters since the log was opened.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// Bytes of records that wait for the brokers.
    pub(crate) queued: AtomicUsize,
    pub(crate) appended: AtomicU64,
    pub(crate) appended_bytes: AtomicU64,
    pub(crate) unconfirmed: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) consumed: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) commits_failed: AtomicU64,
    pub(crate) rebalances: AtomicU64,
    pub(crate) assigned: AtomicUsize,
    pub(crate) lost: AtomicU64,
    pub(crate) stalls: AtomicU64,
    pub(crate) rejoins: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Bytes of records that wait for the brokers, with what each costs besides.
    pub queued_bytes: usize,
    /// Records that the brokers confirmed.
    pub appended: u64,
    /// Their bytes.
    pub appended_bytes: u64,
    /// Records of which it is unknown whether they are in the log.
    pub unconfirmed: u64,
    /// Appends that were refused because the queue was full.
    pub refused: u64,
    /// Records read.
    pub consumed: u64,
    /// Commits that the group confirmed; there is one each second at least, as a sign of life.
    pub commits: u64,
    /// Commits that failed; some do in each rebalance, and are made again.
    pub commits_failed: u64,
    /// Times that partitions came or went.
    pub rebalances: u64,
    /// Partitions that are this process's now.
    pub assigned: usize,
    /// Partitions that were taken away without time to finish: the group had not heard of us.
    pub lost: u64,
    /// Partitions that stood still although there was something to read, and were fetched anew.
    pub stalls: u64,
    /// Times that the consumer had to be made anew.
    pub rejoins: u64,
}

impl Stats {
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            queued_bytes: self.queued.load(Relaxed),
            appended: self.appended.load(Relaxed),
            appended_bytes: self.appended_bytes.load(Relaxed),
            unconfirmed: self.unconfirmed.load(Relaxed),
            refused: self.refused.load(Relaxed),
            consumed: self.consumed.load(Relaxed),
            commits: self.commits.load(Relaxed),
            commits_failed: self.commits_failed.load(Relaxed),
            rebalances: self.rebalances.load(Relaxed),
            assigned: self.assigned.load(Relaxed),
            lost: self.lost.load(Relaxed),
            stalls: self.stalls.load(Relaxed),
            rejoins: self.rejoins.load(Relaxed),
        }
    }
}

/// Counts one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
