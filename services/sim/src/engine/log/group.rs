//! The group of consumers: who is in it, who owns which partition, and when that changes. Pure:
//! time and chance come in as arguments.
//!
//! A member that is not heard of for [`SESSION`] is out, and its partitions are given to others
//! without asking it. One that is asked to give a partition back has [`PATIENCE`] to finish.

use std::{collections::BTreeMap, time::Duration};

use crate::chance::Rng;

/// Silence after which a member is out.
pub const SESSION: Duration = Duration::from_secs(6);

/// How long a member may take to give a partition back.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// Who owns a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Which member.
    pub member: u64,
    /// Which ownership; grows with each.
    pub term: u64,
    /// It is asked to give it back until then.
    pub until: Option<Duration>,
}

/// What a member is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Partitions that are its own, with their terms.
    pub own: BTreeMap<u16, u64>,
    /// Those among them that it is asked for.
    pub asked: Vec<u16>,
}

/// The group.
#[derive(Debug)]
pub struct Group {
    members: BTreeMap<u64, Duration>,
    owners: Vec<Option<Owner>>,
    last_member: u64,
    last_term: u64,
    /// Partitions that are to move though nobody needs that, and from whom.
    moving: BTreeMap<u16, u64>,
}

impl Group {
    /// Nobody is in it.
    #[must_use]
    pub fn new(partitions: u16) -> Self {
        let owners = vec![None; usize::from(partitions)];
        let (members, moving) = Default::default();
        Self { members, owners, last_member: 0, last_term: 0, moving }
    }

    /// A member comes.
    pub fn join(&mut self, now: Duration) -> u64 {
        self.last_member += 1;
        self.members.insert(self.last_member, now);
        self.last_member
    }

    /// A member goes by itself.
    pub fn leave(&mut self, member: u64) {
        self.members.remove(&member);
        self.release(|owner| owner.member == member);
    }

    fn release(&mut self, which: impl Fn(&Owner) -> bool) {
        for slot in &mut self.owners {
            if slot.as_ref().is_some_and(&which) {
                *slot = None;
            }
        }
    }

    /// A member gives a partition back.
    pub fn give_back(&mut self, partition: u16, term: u64) {
        if let Some(slot) = self.owners.get_mut(usize::from(partition))
            && slot.is_some_and(|owner| owner.term == term)
        {
            *slot = None;
        }
    }

    /// May this term still commit?
    #[must_use]
    pub fn counts(&self, partition: u16, term: u64) -> bool {
        let owner = self.owners.get(usize::from(partition)).copied().flatten();
        owner.is_some_and(|owner| owner.term == term)
    }

    /// A sign of life. None: it is out, and must join again.
    pub fn hear(&mut self, member: u64, now: Duration, rng: &mut Rng) -> Option<Told> {
        self.give_up(now);
        let heard = self.members.get_mut(&member)?;
        *heard = now;
        self.assign(now, rng);
        let mut told = Told::default();
        for (partition, owner) in self.owners.iter().enumerate() {
            let Some(owner) = owner.filter(|owner| owner.member == member) else { continue };
            let partition = partition as u16;
            told.own.insert(partition, owner.term);
            if owner.until.is_some() {
                told.asked.push(partition);
            }
        }
        Some(told)
    }

    /// Members that were silent too long are out; so are partitions that did not come back.
    fn give_up(&mut self, now: Duration) {
        self.members.retain(|_, heard| *heard + SESSION > now);
        let members: Vec<u64> = self.members.keys().copied().collect();
        self.release(|owner| {
            !members.contains(&owner.member) || owner.until.is_some_and(|until| until <= now)
        });
    }

    fn load(&self, member: u64) -> usize {
        self.owners.iter().flatten().filter(|o| o.member == member && o.until.is_none()).count()
    }

    /// Gives free partitions to whoever has fewest, and asks whoever has too many.
    fn assign(&mut self, now: Duration, rng: &mut Rng) {
        let members: Vec<u64> = self.members.keys().copied().collect();
        for partition in 0..self.owners.len() {
            if self.owners[partition].is_some() {
                continue;
            }
            let not = self.moving.remove(&(partition as u16));
            let others: Vec<u64> =
                members.iter().copied().filter(|member| Some(*member) != not).collect();
            let from = if others.is_empty() { &members } else { &others };
            let fewest = from.iter().map(|member| self.load(*member)).min();
            let free: Vec<u64> =
                from.iter().copied().filter(|m| Some(self.load(*m)) == fewest).collect();
            let Some(member) = rng.pick(&free).copied() else { return };
            self.last_term += 1;
            let term = self.last_term;
            self.owners[partition] = Some(Owner { member, term, until: None });
        }
        let fair = self.owners.len().div_ceil(members.len().max(1));
        for member in members {
            while self.load(member) > fair {
                let is = |slot: &&mut Option<Owner>| {
                    slot.is_some_and(|o| o.member == member && o.until.is_none())
                };
                let Some(Some(owner)) = self.owners.iter_mut().rev().find(is) else { break };
                owner.until = Some(now + PATIENCE);
            }
        }
    }

    /// Some partitions are asked for in the middle of anything.
    pub fn shuffle(&mut self, now: Duration, rng: &mut Rng) {
        for (partition, slot) in self.owners.iter_mut().enumerate() {
            if let Some(owner) = slot.as_mut().filter(|o| o.until.is_none())
                && rng.permille(500)
            {
                owner.until = Some(now + PATIENCE);
                self.moving.insert(partition as u16, owner.member);
            }
        }
    }
}
