//! The brokers: records in their partitions, what the group has committed, and who owns what.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use harkara_domain::{Generation, Millis};
use harkara_engine::{Appended, Entry};
use tokio::sync::Notify;

use super::group::Group;
use crate::world::World;

/// One partition.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// Its records; a record's offset is its place here.
    pub entries: Vec<Entry>,
    /// When each of them landed, milliseconds of virtual time.
    pub landed_ms: Vec<u64>,
    /// Everything below is done, as the group says.
    pub committed: u64,
}

/// One life of the log.
#[derive(Debug, Clone, Default)]
pub struct Life {
    /// Which one.
    pub generation: Generation,
    /// Its partitions.
    pub parts: Vec<Part>,
}

impl Life {
    fn new(generation: u64, partitions: u16) -> Self {
        let parts = vec![Part::default(); usize::from(partitions)];
        Self { generation: Generation(generation), parts }
    }
}

/// What the brokers keep.
pub struct State {
    /// The life of now.
    pub life: Life,
    /// Lives before.
    pub past: Vec<Life>,
    /// The workers' group.
    pub group: Group,
}

/// The brokers.
pub struct Broker {
    /// Whose weather it is.
    pub world: Arc<World>,
    partitions: u16,
    state: Mutex<State>,
    arrived: Vec<Notify>,
}

impl Broker {
    /// A log without records.
    #[must_use]
    pub fn new(world: Arc<World>, partitions: u16) -> Arc<Self> {
        let life = Life::new(1, partitions);
        let state = State { life, past: Vec::new(), group: Group::new(partitions) };
        let arrived = (0..partitions).map(|_| Notify::new()).collect();
        Arc::new(Self { world, partitions, state: Mutex::new(state), arrived })
    }

    /// How many partitions.
    #[must_use]
    pub fn partitions(&self) -> u16 {
        self.partitions
    }

    /// Which life of the log this is.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.state().life.generation
    }

    /// What the brokers keep.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves when a record arrives in a partition after this call.
    pub fn arrival(&self, partition: u16) -> Option<tokio::sync::futures::Notified<'_>> {
        self.arrived.get(usize::from(partition)).map(Notify::notified)
    }

    /// Whoever waits looks again.
    pub fn stir(&self) {
        self.arrived.iter().for_each(Notify::notify_waiters);
    }

    /// Records land, in this order. None where that log is no more.
    pub fn land(
        &self,
        generation: Generation,
        partition: u16,
        records: &[Bytes],
    ) -> Option<Vec<Appended>> {
        let (at, now) = (self.stamp(), self.world.now_ms());
        let mut state = self.state();
        let life = Some(&mut state.life).filter(|life| life.generation == generation)?;
        let part = life.parts.get_mut(usize::from(partition))?;
        let mut landed = Vec::with_capacity(records.len());
        for record in records {
            let offset = part.entries.len() as u64;
            part.entries.push(Entry { offset, at, record: record.clone(), trace: None });
            part.landed_ms.push(now);
            landed.push(Appended { offset, at });
        }
        drop(state);
        self.world.note(|| {
            let offset = landed.first().map_or(0, |appended| appended.offset);
            format!("log       partition {partition} takes {} at {offset}", landed.len())
        });
        if let Some(arrived) = self.arrived.get(usize::from(partition)) {
            arrived.notify_waiters();
        }
        Some(landed)
    }

    fn stamp(&self) -> Millis {
        let off = self.world.weather().log_clock_is_off_by();
        self.world.wall_ms().saturating_add_signed(off)
    }

    /// The log is lost, and made anew.
    pub fn remake(&self) {
        let mut state = self.state();
        let next = Life::new(state.life.generation.0 + 1, self.partitions);
        let old = std::mem::replace(&mut state.life, next);
        state.past.push(old);
        state.group = Group::new(self.partitions);
        drop(state);
        self.stir();
    }

    /// Records that are not committed.
    #[must_use]
    pub fn lag(&self) -> BTreeMap<u16, u64> {
        let state = self.state();
        let lag = |part: &Part| (part.entries.len() as u64).saturating_sub(part.committed);
        let all = state.life.parts.iter().enumerate().map(|(n, part)| (n as u16, lag(part)));
        all.filter(|(_, lag)| *lag > 0).collect()
    }
}
