//! The one queue in front of the committer: log and store put in, the committer thread takes out.
//!
//! Bounded in bytes of records; store writes were admitted by a semaphore before, commits are
//! few bytes and awaited one by one by each partition's worker. Order of `push` is order of
//! writing. What was taken out no longer counts, so memory holds at most the limit and one batch.

use std::{
    collections::VecDeque,
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use harkara_engine::{Appended, LogError, StoreError};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::rows::Change;

/// What the committer is asked to do.
pub(crate) enum Op {
    /// Append a record.
    Append { partition: u16, record: Bytes, done: oneshot::Sender<Result<Appended, LogError>> },
    /// Everything below `next` of a partition is done.
    Commit { partition: u16, next: u64, done: oneshot::Sender<Result<(), LogError>> },
    /// Write rows. `durable`: they are in no log, so force them to the disk before answering.
    Write {
        changes: Vec<Change>,
        durable: bool,
        bytes: usize,
        room: OwnedSemaphorePermit,
        done: oneshot::Sender<Result<(), StoreError>>,
    },
}

impl Op {
    fn bytes(&self) -> usize {
        match self {
            Self::Append { record, .. } => record.len() + OVERHEAD,
            Self::Commit { .. } => OVERHEAD,
            Self::Write { bytes, .. } => bytes + OVERHEAD,
        }
    }

    /// Bytes that count against the queue's limit.
    fn counted(&self) -> usize {
        match self {
            Self::Append { .. } => self.bytes(),
            Self::Commit { .. } | Self::Write { .. } => 0,
        }
    }
}

/// What an operation takes besides its payload: itself, its waiter, its key. Keeps a flood of
/// tiny records inside the limit.
pub(crate) const OVERHEAD: usize = 128;

/// Why nothing was queued.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// This many bytes wait already.
    Full(usize),
    /// The database is being closed, or is.
    Closed,
}

#[derive(Default)]
struct Inner {
    ops: VecDeque<Op>,
    bytes: usize,
    closed: bool,
    waiting: bool,
}

/// A bounded queue with one taker.
pub(crate) struct Queue {
    bytes_max: usize,
    inner: Mutex<Inner>,
    wake: Condvar,
}

/// What [`Queue::take`] came back with.
pub(crate) struct Taken {
    pub(crate) ops: Vec<Op>,
    /// Nothing will follow.
    pub(crate) last: bool,
}

impl Queue {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, inner: Mutex::default(), wake: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in. A record that is larger than the whole limit goes in when nothing else waits.
    pub(crate) fn push(&self, op: Op) -> Result<(), Refused> {
        let counted = op.counted();
        let mut inner = self.lock();
        if inner.closed {
            return Err(Refused::Closed);
        }
        if counted > 0 && inner.bytes > 0 && inner.bytes + counted > self.bytes_max {
            return Err(Refused::Full(inner.bytes));
        }
        inner.bytes += counted;
        inner.ops.push_back(op);
        if mem::take(&mut inner.waiting) {
            drop(inner);
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Takes everything there is, at most about `bytes_max` bytes of it; waits up to `wait` for
    /// the first.
    pub(crate) fn take(&self, bytes_max: usize, wait: Duration) -> Taken {
        let mut inner = self.lock();
        if inner.ops.is_empty() && !inner.closed && !wait.is_zero() {
            inner.waiting = true;
            inner = self
                .wake
                .wait_timeout_while(inner, wait, |inner| inner.ops.is_empty() && !inner.closed)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            inner.waiting = false;
        }
        let mut bytes = 0;
        let mut count = 0;
        for op in &inner.ops {
            bytes += op.bytes();
            if count > 0 && bytes > bytes_max {
                break;
            }
            count += 1;
        }
        let ops: Vec<Op> = inner.ops.drain(..count).collect();
        inner.bytes -= ops.iter().map(Op::counted).sum::<usize>();
        Taken { last: inner.closed && inner.ops.is_empty(), ops }
    }

    /// Refuses everything from now on; what is in it still comes out.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    /// Refuses everything and drops what waits, whose askers learn that they get no answer.
    pub(crate) fn abandon(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.bytes = 0;
        let ops = mem::take(&mut inner.ops);
        drop(inner);
        drop(ops);
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(bytes: usize) -> Op {
        let (done, _) = oneshot::channel();
        Op::Append { partition: 0, record: Bytes::from(vec![0; bytes]), done }
    }

    #[test]
    fn bounded_in_bytes_but_one_always_fits() {
        let queue = Queue::new(1_000);
        assert_eq!(queue.push(append(5_000)), Ok(()));
        assert_eq!(queue.push(append(1)), Err(Refused::Full(5_000 + OVERHEAD)));
        assert_eq!(queue.take(1, Duration::ZERO).ops.len(), 1);
        assert_eq!(queue.bytes(), 0);
        assert_eq!(queue.push(append(1)), Ok(()));
    }

    #[test]
    fn a_batch_is_bounded_and_keeps_the_order() {
        let queue = Queue::new(1 << 20);
        for bytes in 1..=10 {
            assert_eq!(queue.push(append(bytes)), Ok(()));
        }
        let first = queue.take(3 * (OVERHEAD + 10), Duration::ZERO);
        let rest = queue.take(usize::MAX, Duration::ZERO);
        let sizes: Vec<_> = first.ops.iter().chain(&rest.ops).map(Op::bytes).collect();
        assert_eq!(first.ops.len(), 3);
        assert_eq!(sizes, (1..=10).map(|bytes| bytes + OVERHEAD).collect::<Vec<_>>());
    }

    #[test]
    fn closing_lets_out_what_is_in() {
        let queue = Queue::new(1_000);
        assert_eq!(queue.push(append(1)), Ok(()));
        queue.close();
        assert_eq!(queue.push(append(1)), Err(Refused::Closed));
        let taken = queue.take(usize::MAX, Duration::from_secs(60));
        assert!(taken.last && taken.ops.len() == 1, "what was queued must still be written");
    }
}
