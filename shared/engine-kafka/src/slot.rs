//! One partition while it is this process's: the bounded buffer between the consumer thread
//! (`member`) and its reader, the commits that wait for that thread, and the lease.
//!
//! A slot goes from open to draining (its partition is to be given back: nothing more is read, what
//! was begun may end) to gone (somebody else's: nothing counts any more), and never back.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicU8, AtomicU64,
            Ordering::{AcqRel, Acquire, Release},
        },
    },
};

use async_trait::async_trait;
use harkara_domain::Partition;
use harkara_engine::{
    Lease, LogError, PartitionReader,
    log::{Committer, Entry},
};
use harkara_service_runtime::clock::SharedClock;
use tokio::sync::Notify;

/// Records that wait for a reader, from which on no more are fetched. Four batches of 256.
const RECORDS_MAX: usize = 1_024;

/// Their bytes: 1,024 × 256 bytes, the usual record. A worker that owns all of 1,024 partitions
/// with every reader stuck holds 256 MiB.
const BYTES_MAX: usize = 256 * 1024;

const OPEN: u8 = 0;
const DRAINING: u8 = 1;
const GONE: u8 = 2;

/// What a slot's users share.
pub(crate) struct Slot {
    partition: u16,
    state: AtomicU8,
    buffer: Mutex<Buffer>,
    /// The buffer or the state changed.
    changed: Notify,
    /// Behind the last record that a reader was given.
    given: AtomicU64,
    /// Everything below is done, as committers say.
    done: AtomicU64,
}

#[derive(Default)]
struct Buffer {
    entries: VecDeque<Entry>,
    bytes: usize,
    trouble: Option<LogError>,
}

/// Until when the group surely counts this process in: what leases are made of.
pub(crate) struct Confirmed {
    clock: SharedClock,
    until_ns: AtomicU64,
}

impl Confirmed {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self { clock, until_ns: AtomicU64::new(0) }
    }

    /// The group heard of us at `at_ns` or later.
    pub(crate) fn extend(&self, until_ns: u64) {
        self.until_ns.fetch_max(until_ns, AcqRel);
    }

    /// Nobody speaks for anything until the group is heard again.
    pub(crate) fn end(&self) {
        self.until_ns.store(0, Release);
    }

    pub(crate) fn holds(&self) -> bool {
        self.clock.elapsed_ns() < self.until_ns.load(Acquire)
    }
}

impl Slot {
    /// A partition that is read from `start` on.
    pub(crate) fn new(partition: u16, start: u64) -> Arc<Self> {
        Arc::new(Self {
            partition,
            state: AtomicU8::new(OPEN),
            buffer: Mutex::default(),
            changed: Notify::new(),
            given: AtomicU64::new(start),
            done: AtomicU64::new(start),
        })
    }

    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a record in; true when there is no room for more.
    pub(crate) fn push(&self, entry: Entry) -> bool {
        let mut buffer = self.buffer();
        buffer.bytes += entry.record.len();
        buffer.entries.push_back(entry);
        let full = buffer.entries.len() >= RECORDS_MAX || buffer.bytes >= BYTES_MAX;
        drop(buffer);
        self.changed.notify_one();
        full
    }

    /// Whether there is room again: half of the buffer, so that fetching stops seldom.
    pub(crate) fn has_room(&self) -> bool {
        let buffer = self.buffer();
        buffer.entries.len() <= RECORDS_MAX / 2 && buffer.bytes <= BYTES_MAX / 2
    }

    /// The partition can't be read any further.
    pub(crate) fn fail(&self, trouble: LogError) {
        self.buffer().trouble = Some(trouble);
        self.changed.notify_one();
    }

    /// Nothing more is read; what was begun may end.
    pub(crate) fn drain(&self) {
        let _ = self.state.compare_exchange(OPEN, DRAINING, AcqRel, Acquire);
        self.changed.notify_one();
    }

    /// Somebody else's from now on.
    pub(crate) fn end(&self) {
        self.state.store(GONE, Release);
        self.changed.notify_one();
    }

    /// Everything below is done.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Acquire)
    }

    fn is_gone(&self) -> bool {
        self.state.load(Acquire) == GONE
    }

    /// The next records; none where there are none now.
    fn take(&self, max: usize) -> Result<Option<Vec<Entry>>, LogError> {
        let mut buffer = self.buffer();
        let count = buffer.entries.len().min(max.max(1));
        let taken: Vec<Entry> = buffer.entries.drain(..count).collect();
        buffer.bytes -= taken.iter().map(|entry| entry.record.len()).sum::<usize>();
        match (taken.last(), &buffer.trouble) {
            (Some(last), _) => {
                self.given.store(last.offset + 1, Release);
                Ok(Some(taken))
            }
            (None, Some(trouble)) => Err(trouble.clone()),
            (None, None) => Ok(None),
        }
    }
}

/// Held by whoever may still work on a partition; the consumer thread watches it go.
pub(crate) struct Hold;

/// The reader of a slot.
pub(crate) struct Reader {
    pub(crate) slot: Arc<Slot>,
    pub(crate) hold: Arc<Hold>,
    pub(crate) confirmed: Arc<Confirmed>,
}

#[async_trait]
impl PartitionReader for Reader {
    fn partition(&self) -> Partition {
        Partition(self.slot.partition)
    }

    async fn next(&mut self, max: usize) -> Result<Option<Vec<Entry>>, LogError> {
        loop {
            if self.slot.state.load(Acquire) != OPEN {
                return Ok(None);
            }
            // Nothing is awaited after this: a cancelled call takes nothing away.
            if let Some(entries) = self.slot.take(max)? {
                return Ok(Some(entries));
            }
            // A change in between left a permit.
            self.slot.changed.notified().await;
        }
    }

    fn committer(&self) -> Box<dyn Committer> {
        Box::new(SlotCommitter { slot: Arc::clone(&self.slot), _hold: Arc::clone(&self.hold) })
    }

    fn lease(&self) -> Arc<dyn Lease> {
        let (slot, confirmed) = (Arc::clone(&self.slot), Arc::clone(&self.confirmed));
        Arc::new(SlotLease { slot, confirmed })
    }
}

struct SlotCommitter {
    slot: Arc<Slot>,
    _hold: Arc<Hold>,
}

#[async_trait]
impl Committer for SlotCommitter {
    /// Resolves when the consumer thread knows; it tells the group within a second, and before it
    /// gives the partition back. A crash in between makes the next owner read a second again.
    async fn commit(&self, next_offset: u64) -> Result<(), LogError> {
        let (slot, partition) = (&self.slot, self.slot.partition);
        if slot.is_gone() {
            return Err(LogError::Unknown(format!("partition {partition} was taken away")));
        }
        let given = slot.given.load(Acquire);
        if next_offset > given {
            return Err(LogError::Stop(format!(
                "partition {partition} can't be committed to {next_offset}: it was read to {given}"
            )));
        }
        slot.done.fetch_max(next_offset, AcqRel);
        Ok(())
    }
}

struct SlotLease {
    slot: Arc<Slot>,
    confirmed: Arc<Confirmed>,
}

impl Lease for SlotLease {
    fn holds(&self) -> bool {
        !self.slot.is_gone() && self.confirmed.holds()
    }

    fn over(&self) -> bool {
        self.slot.state.load(Acquire) != OPEN
    }
}

#[cfg(test)]
mod tests {
    use harkara_service_runtime::clock::Clock;

    use super::*;

    #[derive(Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now_ms(&self) -> u64 {
            0
        }

        fn elapsed_ns(&self) -> u64 {
            self.0.load(Acquire)
        }
    }

    fn reader(clock: &Arc<Hand>) -> Reader {
        let confirmed = Arc::new(Confirmed::new(Arc::clone(clock) as SharedClock));
        Reader { slot: Slot::new(3, 1), hold: Arc::new(Hold), confirmed }
    }

    fn entry(offset: u64, bytes: usize) -> Entry {
        Entry { offset, at: 0, record: vec![0; bytes].into(), trace: None }
    }

    #[test]
    fn a_lease_holds_as_long_as_the_group_was_heard() {
        let clock = Arc::new(Hand::default());
        let reader = reader(&clock);
        let lease = reader.lease();
        assert!(!lease.holds(), "nothing was confirmed yet");
        reader.confirmed.extend(4_000);
        clock.0.store(3_999, Release);
        assert!(lease.holds());
        clock.0.store(4_000, Release);
        assert!(!lease.holds() && !lease.over(), "silent, and perhaps still the owner");
        reader.confirmed.extend(5_000);
        reader.slot.drain();
        assert!(lease.holds(), "there is time to finish");
        reader.slot.end();
        assert!(!lease.holds() && lease.over());
    }

    #[tokio::test]
    async fn commits_grow_and_end_with_ownership() {
        let mut reader = reader(&Arc::new(Hand::default()));
        let committer = reader.committer();
        assert!(matches!(committer.commit(2).await, Err(LogError::Stop(_))), "not read yet");
        for offset in 1..=3 {
            reader.slot.push(entry(offset, 1));
        }
        let read = reader.next(2).await.expect("reading works").expect("ours");
        assert_eq!(read.len(), 2);
        committer.commit(3).await.expect("ours");
        committer.commit(2).await.expect("ours");
        assert_eq!(reader.slot.done(), 3, "an older commit changes nothing");
        reader.slot.end();
        assert!(committer.commit(3).await.is_err(), "somebody else's");
        assert_eq!(reader.next(1).await, Ok(None), "what was fetched is not handed out any more");
    }

    #[tokio::test]
    async fn the_buffer_says_when_it_is_full_and_when_there_is_room() {
        let mut reader = reader(&Arc::new(Hand::default()));
        let full = (1..).find(|offset| reader.slot.push(entry(*offset, 1_024)));
        assert_eq!(full, Some(256), "256 KiB");
        assert!(!reader.slot.has_room());
        reader.next(128).await.expect("reading works");
        assert!(reader.slot.has_room(), "at half");
        reader.slot.fail(LogError::Stop("gone".to_owned()));
        assert_eq!(reader.next(500).await.map(|read| read.map(|read| read.len())), Ok(Some(128)));
        assert!(matches!(reader.next(1).await, Err(LogError::Stop(_))), "after what was read");
    }
}
