//! A process as a consumer: its place in the group, the partitions it holds, their readers, commits
//! and leases.
//!
//! A lease is reckoned from the moment a sign of life was *sent* that the group confirmed, and ends
//! a heartbeat before the group could give the partition to somebody else.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use harkara_domain::{Generation, Partition};
use harkara_engine::{Assignments, Entry, Lease, LogError, PartitionReader, log::Committer};
use tokio::sync::mpsc;

use super::{
    broker::Broker,
    group::{SESSION, Told},
};
use crate::process::Proc;

/// Between two signs of life.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// Between two tries of a reader that is cut off.
const AGAIN: Duration = Duration::from_millis(250);

const OPEN: u8 = 0;
const DRAINING: u8 = 1;
const GONE: u8 = 2;

/// A partition while it is this process's.
struct Slot {
    member: Arc<Member>,
    partition: u16,
    term: u64,
    state: AtomicU8,
    next: AtomicU64,
    /// Everything below is done, as committers say; told again with each sign of life.
    done: AtomicU64,
}

impl Slot {
    fn state(&self) -> u8 {
        self.state.load(Ordering::Acquire)
    }

    /// Never back.
    fn move_to(&self, state: u8) {
        self.state.fetch_max(state, Ordering::AcqRel);
        self.member.broker.stir();
    }
}

impl Lease for Slot {
    fn holds(&self) -> bool {
        self.state() != GONE && self.member.is_confirmed()
    }

    fn over(&self) -> bool {
        self.state() != OPEN
    }
}

impl Slot {
    /// The brokers take what is done. False where the partition is somebody else's.
    fn commit(&self) -> bool {
        let member = &self.member;
        let mut state = member.broker.state();
        let counts = state.life.generation == member.generation
            && state.group.counts(self.partition, self.term)
            && self.state() != GONE;
        let part = state.life.parts.get_mut(usize::from(self.partition));
        let Some(part) = part.filter(|_| counts) else { return false };
        part.committed = part.committed.max(self.done.load(Ordering::Acquire));
        true
    }
}

/// What readers and committers hold: the slot is given back when none is left.
struct Hold(Arc<Slot>);

/// Partitions that it was given, with whoever still reads or commits there.
type Slots = BTreeMap<u16, (Arc<Slot>, Weak<Hold>)>;

/// A process's place in the group.
pub struct Member {
    proc: Arc<Proc>,
    broker: Arc<Broker>,
    generation: Generation,
    left: AtomicBool,
    /// Until when the group surely counts it in, milliseconds of virtual time.
    confirmed_ms: AtomicU64,
    slots: Mutex<Slots>,
    coming: mpsc::Sender<Box<dyn PartitionReader>>,
}

impl Member {
    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_confirmed(&self) -> bool {
        let until = self.confirmed_ms.load(Ordering::Acquire);
        !self.left.load(Ordering::Acquire) && self.broker.world.now_ms() < until
    }

    /// Begins to speak with the group.
    pub fn begin(self: &Arc<Self>) {
        tokio::spawn(Arc::clone(self).run());
    }

    /// Nothing counts any more.
    pub fn leave(&self) {
        self.left.store(true, Ordering::Release);
        self.lose(|_| true);
    }

    fn lose(&self, which: impl Fn(u16) -> bool) {
        let mut slots = self.slots();
        let gone: Vec<u16> = slots.keys().copied().filter(|p| which(*p)).collect();
        let gone: Vec<_> = gone.into_iter().filter_map(|p| slots.remove(&p)).collect();
        drop(slots);
        gone.into_iter().for_each(|(slot, _)| slot.move_to(GONE));
    }

    async fn run(self: Arc<Self>) {
        let mut id = None;
        loop {
            if !self.proc.runs().await {
                return;
            }
            if self.left.load(Ordering::Acquire) {
                if let Some(id) = id {
                    self.broker.state().group.leave(id);
                }
                return;
            }
            self.beat(&mut id).await;
            tokio::time::sleep(HEARTBEAT).await;
        }
    }

    /// One sign of life, and what comes of it.
    async fn beat(self: &Arc<Self>, id: &mut Option<u64>) {
        let world = Arc::clone(&self.broker.world);
        if world.weather().cut_from_group(self.proc.node)
            || self.broker.generation() != self.generation
        {
            return;
        }
        let sent_ms = world.now_ms();
        tokio::time::sleep(world.latency()).await;
        let told = {
            let back = self.unheld();
            let mut state = self.broker.state();
            let now = world.elapsed();
            let group = &mut state.group;
            back.iter().for_each(|(partition, term)| group.give_back(*partition, *term));
            let member = *id.get_or_insert_with(|| group.join(now));
            group.hear(member, now, &mut world.dice.roll())
        };
        tokio::time::sleep(world.latency()).await;
        if !self.proc.runs().await || self.left.load(Ordering::Acquire) {
            return;
        }
        match told {
            Some(told) => {
                self.commit_all();
                let lease = SESSION.saturating_sub(HEARTBEAT);
                let until = sent_ms + u64::try_from(lease.as_millis()).unwrap_or(0);
                self.confirmed_ms.fetch_max(until, Ordering::AcqRel);
                self.take(&told);
            }
            None => {
                *id = None;
                self.lose(|_| true);
            }
        }
    }

    /// What was done and did not arrive before.
    fn commit_all(&self) {
        let world = &self.broker.world;
        let slots: Vec<Arc<Slot>> =
            self.slots().values().map(|(slot, _)| Arc::clone(slot)).collect();
        for slot in slots {
            let fails = world.weather().commit_fails(&mut world.dice.roll());
            let _ = !fails && slot.commit();
        }
    }

    /// Drained partitions that nobody works on any more.
    fn unheld(&self) -> Vec<(u16, u64)> {
        let slots = self.slots();
        let idle = slots
            .iter()
            .filter(|(_, (slot, hold))| slot.state() != OPEN && hold.strong_count() == 0);
        idle.map(|(partition, (slot, _))| (*partition, slot.term)).collect()
    }

    fn take(self: &Arc<Self>, told: &Told) {
        let terms: BTreeMap<u16, u64> =
            self.slots().iter().map(|(p, (slot, _))| (*p, slot.term)).collect();
        self.lose(|partition| told.own.get(&partition) != terms.get(&partition));
        for partition in &told.asked {
            let slot = self.slots().get(partition).map(|(slot, _)| Arc::clone(slot));
            if let Some(slot) = slot {
                slot.move_to(DRAINING);
            }
        }
        for (partition, term) in &told.own {
            let new = !self.slots().contains_key(partition) && !told.asked.contains(partition);
            if new {
                self.arrive(*partition, *term);
            }
        }
    }

    fn arrive(self: &Arc<Self>, partition: u16, term: u64) {
        let state = self.broker.state();
        let committed = state.life.parts.get(usize::from(partition)).map_or(0, |p| p.committed);
        drop(state);
        let slot = Arc::new(Slot {
            member: Arc::clone(self),
            partition,
            term,
            state: AtomicU8::new(OPEN),
            next: AtomicU64::new(committed),
            done: AtomicU64::new(committed),
        });
        let hold = Arc::new(Hold(Arc::clone(&slot)));
        self.slots().insert(partition, (slot, Arc::downgrade(&hold)));
        self.broker.world.note(|| {
            format!("log       partition {partition} goes to {}, from {committed}", self.proc.node)
        });
        // Room for each partition; nobody to hand it to is the end.
        let _ = self.coming.try_send(Box::new(Reader(hold)));
    }
}

/// The partitions of a process, over time. Dropping it leaves the group.
pub struct Seats {
    member: Arc<Member>,
    coming: mpsc::Receiver<Box<dyn PartitionReader>>,
}

impl Seats {
    /// A place in the group, which [`Member::begin`] takes.
    pub fn join(
        proc: Arc<Proc>,
        broker: Arc<Broker>,
        generation: Generation,
    ) -> (Arc<Member>, Self) {
        let (sender, coming) = mpsc::channel(1_024);
        let member = Arc::new(Member {
            proc,
            broker,
            generation,
            left: AtomicBool::new(false),
            confirmed_ms: AtomicU64::new(0),
            slots: Mutex::default(),
            coming: sender,
        });
        (Arc::clone(&member), Self { member, coming })
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        // A process that was killed says no farewell.
        if !self.member.proc.is_dead() {
            self.member.leave();
        }
    }
}

#[async_trait]
impl Assignments for Seats {
    async fn next(&mut self) -> Option<Box<dyn PartitionReader>> {
        self.coming.recv().await
    }
}

struct Reader(Arc<Hold>);

impl Reader {
    fn slot(&self) -> &Slot {
        &self.0.0
    }

    /// What is there, and moves on behind it.
    fn read(&self, max: usize) -> Vec<Entry> {
        let slot = self.slot();
        let state = slot.member.broker.state();
        if state.life.generation != slot.member.generation {
            return Vec::new();
        }
        let Some(part) = state.life.parts.get(usize::from(slot.partition)) else {
            return Vec::new();
        };
        let from = usize::try_from(slot.next.load(Ordering::Acquire)).unwrap_or(usize::MAX);
        let entries: Vec<Entry> = part.entries.iter().skip(from).take(max).cloned().collect();
        slot.next.fetch_add(entries.len() as u64, Ordering::AcqRel);
        entries
    }
}

#[async_trait]
impl PartitionReader for Reader {
    fn partition(&self) -> Partition {
        Partition(self.slot().partition)
    }

    async fn next(&mut self, max: usize) -> Result<Option<Vec<Entry>>, LogError> {
        let slot = self.slot();
        let (broker, proc) = (&slot.member.broker, &slot.member.proc);
        loop {
            let Some(arrival) = broker.arrival(slot.partition) else { return Ok(None) };
            if slot.over() {
                return Ok(None);
            }
            if broker.world.weather().cut_from_log(proc.node) {
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            let entries = self.read(max);
            if !entries.is_empty() {
                return Ok(Some(entries));
            }
            arrival.await;
        }
    }

    fn committer(&self) -> Box<dyn Committer> {
        Box::new(Commits(Arc::clone(&self.0)))
    }

    fn lease(&self) -> Arc<dyn Lease> {
        Arc::clone(&self.0.0) as Arc<dyn Lease>
    }
}

struct Commits(Arc<Hold>);

#[async_trait]
impl Committer for Commits {
    async fn commit(&self, next_offset: u64) -> Result<(), LogError> {
        let slot = &self.0.0;
        let (broker, node) = (&slot.member.broker, slot.member.proc.node);
        let world = &broker.world;
        if slot.state() != GONE {
            slot.done.fetch_max(next_offset, Ordering::AcqRel);
        }
        tokio::time::sleep(world.latency()).await;
        let failed = |why: &str| Err(LogError::Unknown(why.to_owned()));
        let fails = world.weather().commit_fails(&mut world.dice.roll());
        if fails || world.weather().cut_from_log(node) {
            return failed("the commit did not arrive");
        }
        if !slot.commit() {
            return failed("the partition is somebody else's");
        }
        tokio::time::sleep(world.latency()).await;
        Ok(())
    }
}
