//! What was done, counted for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use harkara_engine::StoreError;

/// Numbers since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Statements that wrote: a batch is one.
    pub writes: u64,
    /// Rows that they wrote.
    pub rows_written: u64,
    /// Statements that read: each page is one.
    pub reads: u64,
    /// Rows that they read.
    pub rows_read: u64,
    /// Statements whose outcome is unknown or that could not be sent; callers repeat them.
    pub unanswered: u64,
    /// Statements that were refused, and rows that can't be read: an operator must look.
    pub refused: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    writes: AtomicU64,
    rows_written: AtomicU64,
    reads: AtomicU64,
    rows_read: AtomicU64,
    unanswered: AtomicU64,
    refused: AtomicU64,
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn wrote(&self, rows: usize) {
        add(&self.writes, 1);
        add(&self.rows_written, rows as u64);
    }

    pub(crate) fn read(&self, rows: usize) {
        add(&self.reads, 1);
        add(&self.rows_read, rows as u64);
    }

    pub(crate) fn failed(&self, error: &StoreError) {
        match error {
            StoreError::Retry(_) => add(&self.unanswered, 1),
            StoreError::Stop(_) => add(&self.refused, 1),
        }
    }

    pub(crate) fn now(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            writes: read(&self.writes),
            rows_written: read(&self.rows_written),
            reads: read(&self.reads),
            rows_read: read(&self.rows_read),
            unanswered: read(&self.unanswered),
            refused: read(&self.refused),
        }
    }
}
