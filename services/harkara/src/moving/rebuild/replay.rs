//! One conversation of `rebuild`: the log's records go through a worker's slot, and what comes of
//! them is held against the rows that are there. Without leave to write, it only says what is
//! missing.

use std::collections::HashMap;

use harkara_domain::{ConversationId, Event, Membership, Position, Seq, State, TenantId};
use harkara_engine::{Store, store::Step};
use harkara_fanout::{
    Config,
    conversation::{
        load::{self, Loaded},
        slot::{Planned, Slot, Work},
        view::Cursors,
    },
};

use super::{Report, base::Base, held::Held, tail::Tail};
use crate::moving::patiently;

/// How workers batch, by the settings.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    batch: usize,
    snapshot_every: u64,
}

impl From<&Config> for Pace {
    fn from(config: &Config) -> Self {
        Self { batch: config.conversation_batch_max, snapshot_every: config.snapshot_every }
    }
}

/// Why a conversation was not gone through.
pub enum Halt {
    /// The log does not reach it, or the store contradicts it.
    Refused(String),
    /// Something can't be read or written.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Halt {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// What was found out about a conversation.
#[derive(Debug)]
pub struct Judged {
    /// Which.
    pub id: ConversationId,
    /// Is something missing that the log has?
    pub missing: bool,
    /// The log surely goes back to its last row.
    pub sure: bool,
    /// The newest record of this log that a row of it comes from.
    pub newest: Option<u64>,
}

/// A conversation to go through.
pub struct Replay<'a> {
    pub store: &'a dyn Store,
    pub tail: &'a Tail,
    pub id: ConversationId,
    /// The newest event that a list names.
    pub listed: Seq,
    pub pace: Pace,
    /// Leave to write, as long as it holds.
    pub write: Option<&'a Held>,
    pub report: &'a Report,
}

/// What was missing.
#[derive(Default)]
struct Missing {
    events: u64,
    rejections: u64,
    memberships: u64,
    snapshot: bool,
}

impl Missing {
    const fn any(&self) -> bool {
        self.rows() || self.memberships > 0 || self.snapshot
    }

    const fn rows(&self) -> bool {
        self.events > 0 || self.rejections > 0
    }
}

/// A replay under way.
struct Run<'a> {
    of: &'a Replay<'a>,
    base: Base,
    tenant: TenantId,
    missing: Missing,
    /// Events that were there and came out equal.
    equal: u64,
}

impl Replay<'_> {
    /// Goes through it.
    ///
    /// # Errors
    /// Nothing must be written here, or something failed.
    pub async fn run(&self, records: Vec<Work>) -> Result<Judged, Halt> {
        let base = Base::read(self.store, self.tail, self.id).await?;
        let reaches = self.tail.reached_from(base.state.applied);
        let (state, tenant) = (base.state.clone(), base.state.tenant);
        let mut run = Run { of: self, base, tenant, missing: Missing::default(), equal: 0 };
        let state = run.decide(state, records).await?;
        run.agree(&state).await?;
        run.lists().await?;
        run.snapshot(state).await?;
        run.count();
        Ok(Judged {
            id: self.id,
            missing: run.missing.any(),
            // Rows that came out equal were decided on the state that there was.
            sure: reaches || run.equal > 0 || !run.missing.rows(),
            newest: run.base.newest,
        })
    }
}

impl Run<'_> {
    async fn decide(&mut self, state: State, records: Vec<Work>) -> Result<State, Halt> {
        if records.is_empty() {
            return Ok(state);
        }
        let Replay { store, id, pace, .. } = *self.of;
        let read = || load::window(store, id, state.head);
        let window = patiently("read the window of repeats", read).await?;
        let mut slot = Slot::default();
        slot.loaded(Loaded { state, cursors: Cursors::default(), since_snapshot: 0 });
        slot.window_loaded(window);
        records.into_iter().for_each(|work| slot.push_work(work));
        while let Some(planned) = slot.plan(pace.batch, pace.snapshot_every)
            && !planned.decided.is_empty()
        {
            self.step(planned).await?;
        }
        let ready = slot.ready().map(|ready| ready.state.clone());
        ready.ok_or_else(|| Halt::Failed(anyhow::anyhow!("conversation {id} lost its state")))
    }

    /// Holds a step against the store; writes it where something of it is missing.
    async fn step(&mut self, planned: Planned) -> Result<(), Halt> {
        let Replay { store, id, write, tail, .. } = *self.of;
        let Planned { step, decided } = planned;
        if let Some(first) = decided.first()
            && self.base.state.head == 0
        {
            self.tenant = first.record.tenant;
        }
        let missing = self.events(&step).await? + self.rejections(&step)?;
        for row in &step.memberships {
            self.base.lists.insert(row.user, (row.present, row.cause));
        }
        let Some(held) = write.filter(|_| missing > 0) else { return Ok(()) };
        held.check(tail.partition).await?;
        let tenant = self.tenant;
        Ok(patiently("write events", || store.write(tenant, id, step.clone())).await?)
    }

    async fn events(&mut self, step: &Step) -> Result<u64, Halt> {
        let Replay { store, id, tail, .. } = *self.of;
        let (Some(first), Some(last)) = (step.events.first(), step.events.last()) else {
            return Ok(0);
        };
        let (after, until) = (first.seq - 1, last.seq);
        let read = || store.events(id, after, until, step.events.len());
        let stored = patiently("read events", read).await?;
        let mut stored: HashMap<Seq, Event> = stored.into_iter().map(|e| (e.seq, e)).collect();
        let mut missing = 0;
        for event in &step.events {
            if self.base.rejections.contains_key(&event.position) {
                return Err(self.contradicted(event.position));
            }
            self.same_snapshot(event)?;
            match stored.remove(&event.seq) {
                None => missing += 1,
                Some(there) if there == **event => {
                    self.equal += 1;
                    self.base.meet(tail, Some(there.position));
                }
                Some(there) => return Err(self.contradicted(there.position.min(event.position))),
            }
        }
        self.missing.events += missing;
        Ok(missing)
    }

    fn rejections(&mut self, step: &Step) -> Result<u64, Halt> {
        let mut missing = 0;
        for rejection in &step.rejections {
            let position = rejection.position;
            match self.base.rejections.remove(&position) {
                Some(there) if there == *rejection => {
                    self.base.meet(self.of.tail, Some(position));
                }
                Some(_) => return Err(self.contradicted(position)),
                None if self.base.forgotten.is_some_and(|oldest| position < oldest) => {}
                None => missing += 1,
            }
        }
        self.missing.rejections += missing;
        Ok(missing)
    }

    fn same_snapshot(&self, event: &Event) -> Result<(), Halt> {
        match self.base.snapshot {
            Some((seq, chain)) if seq == event.seq && chain != event.chain => {
                Err(self.contradicted(event.position))
            }
            _ => Ok(()),
        }
    }

    /// The store has something else than what comes out of the log.
    fn contradicted(&self, at: Position) -> Halt {
        let tail = self.of.tail;
        Halt::Refused(format!(
            "what the store has of record {partition}/{offset} is not what comes of it now: \
             something before record {partition}/{first}, where the log begins, is missing; a \
             backup may have it",
            partition = tail.partition,
            offset = at.offset,
            first = tail.first.offset
        ))
    }

    /// Nothing in the store knows of more than what came out.
    async fn agree(&mut self, state: &State) -> Result<(), Halt> {
        let Replay { store, id, tail, listed, .. } = *self.of;
        if let Some(position) = self.base.rejections.keys().next() {
            return Err(self.contradicted(*position));
        }
        let read = || store.events(id, state.head, Seq::MAX, 1);
        let beyond = patiently("read events", read).await?.first().map(|event| event.seq);
        let snapshot = self.base.snapshot.map(|(seq, _)| seq);
        let known = beyond.max(snapshot).max(Some(listed)).max(Some(self.base.read));
        match known {
            Some(known) if known > state.head => Err(Halt::Refused(format!(
                "the store knows of its event {known}, and with the log from record {}/{} on its \
                 events end at {}: the rest is missing; a backup may have it",
                tail.partition, tail.first.offset, state.head
            ))),
            _ => Ok(()),
        }
    }

    /// Rows of lists that its events come to.
    async fn lists(&mut self) -> Result<(), Halt> {
        let Replay { store, id, write, tail, .. } = *self.of;
        let tenant = self.tenant;
        let mut missing = Vec::new();
        for (user, (present, cause)) in &self.base.lists {
            let read = || store.membership(tenant, *user, id);
            let row = patiently("read a row of a list", read).await?;
            if row.is_none_or(|row| row.cause < *cause) {
                let (user, present, cause) = (*user, *present, *cause);
                missing.push(Membership { tenant, user, conversation: id, present, cause });
            }
        }
        self.missing.memberships += missing.len() as u64;
        let Some(held) = write.filter(|_| !missing.is_empty()) else { return Ok(()) };
        held.check(tail.partition).await?;
        let step = Step { memberships: missing, ..Step::default() };
        Ok(patiently("write lists", || store.write(tenant, id, step.clone())).await?)
    }

    /// A worker that takes over reads no more than the settings say.
    async fn snapshot(&mut self, state: State) -> Result<(), Halt> {
        let Replay { store, id, write, tail, pace, .. } = *self.of;
        let (tenant, at) = (self.tenant, self.base.snapshot.map_or(0, |(seq, _)| seq));
        self.missing.snapshot = state.head >= at + pace.snapshot_every;
        let Some(held) = write.filter(|_| self.missing.snapshot) else { return Ok(()) };
        held.check(tail.partition).await?;
        let step = Step { snapshot: Some(state.into()), ..Step::default() };
        Ok(patiently("write a snapshot", || store.write(tenant, id, step.clone())).await?)
    }

    fn count(&self) {
        let Missing { events, rejections, memberships, .. } = self.missing;
        let (equal, wrote) = (self.equal, self.of.write.is_some());
        self.of.report.count(|counts| {
            if wrote {
                counts.rebuilt += 1;
                counts.events += events;
                counts.rejections += rejections;
                counts.memberships += memberships;
            } else {
                counts.conversations += 1;
                counts.there += equal;
            }
        });
    }
}
