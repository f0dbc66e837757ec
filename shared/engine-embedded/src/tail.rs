//! The newest records of one partition in memory, and how far it is durable. Filled by the
//! committer after its fsync, read by `log`: nobody sees a record before it is durable.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use harkara_engine::log::Entry;
use tokio::sync::watch;

use crate::{open::PartitionStart, options::Options};

/// One partition's newest records.
pub(crate) struct Tail {
    bytes_max: usize,
    recent: Mutex<Recent>,
    /// The offset behind the last durable record. Watched by the reader.
    head: watch::Sender<u64>,
    /// Everything below needs not be read again.
    committed: AtomicU64,
}

#[derive(Default)]
struct Recent {
    /// Contiguous offsets up to the head.
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Tail {
    pub(crate) fn all(starts: &[PartitionStart], options: &Options) -> Vec<Self> {
        let bytes_max = options.tail_bytes_max / starts.len().max(1);
        let tail = |start: &PartitionStart| Self {
            bytes_max,
            recent: Mutex::default(),
            head: watch::Sender::new(start.next),
            committed: AtomicU64::new(start.committed),
        };
        starts.iter().map(tail).collect()
    }

    /// The records are durable.
    pub(crate) fn publish(&self, entries: Vec<Entry>) {
        let Some(head) = entries.last().map(|entry| entry.offset + 1) else { return };
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            recent.bytes += entry.record.len();
            recent.entries.push_back(entry);
        }
        while recent.bytes > self.bytes_max {
            recent.pop();
        }
        drop(recent);
        self.head.send_replace(head);
    }

    /// The commit is written: what is below is not needed in memory any more.
    pub(crate) fn commit(&self, next: u64) {
        self.committed.fetch_max(next, Ordering::AcqRel);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        while recent.entries.front().is_some_and(|entry| entry.offset < next) {
            recent.pop();
        }
    }

    /// Up to `max` records from `next` on, when memory has that one.
    pub(crate) fn read(&self, next: u64, max: usize) -> Option<Vec<Entry>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let first = recent.entries.front()?.offset;
        let skip = usize::try_from(next.checked_sub(first)?).ok()?;
        (skip < recent.entries.len())
            .then(|| recent.entries.iter().skip(skip).take(max).cloned().collect())
    }

    pub(crate) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }
}

impl Recent {
    fn pop(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.record.len();
        } else {
            self.bytes = 0;
        }
    }
}
