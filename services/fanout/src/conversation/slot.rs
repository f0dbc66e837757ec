//! A conversation in a worker's memory, with the work that waits for it. One ordered write chain
//! (soundness S3): while a step is being written nothing else is decided, so between two steps the
//! state is exactly what is stored, and that is what subscribers are told.

use std::{collections::VecDeque, sync::Arc};

use harkara_domain::{Event, Millis, Position, Record, Rejection, Seq, State};
use harkara_engine::{EndpointId, Up, link::Outcome, store::Step};
use harkara_service_runtime::sabotage::{Rule, is_broken};

use super::{
    decide::{self, Decision},
    evolve,
    load::Loaded,
    view::Cursors,
    window::Window,
};
use crate::inbox;

/// A record with its place.
#[derive(Debug, Clone)]
pub struct Work {
    /// Where in the log.
    pub position: Position,
    /// The log's append time.
    pub at: Millis,
    /// What is asked.
    pub record: Record,
}

/// What became of a record.
#[derive(Debug, Clone)]
pub struct Decided {
    /// The record, for its outcome's way back.
    pub record: Record,
    /// Its place.
    pub position: Position,
    /// What the sender is told; nothing for records that were applied before.
    pub outcome: Option<Outcome>,
    /// The event it caused.
    pub event: Option<Arc<Event>>,
    /// Applied before this state was built: where its event stands, if that changed lists. The
    /// worker before may have ended before it told the inboxes.
    pub replayed: Option<Seq>,
}

/// A step to be written, and what to tell when it is.
#[derive(Debug)]
pub struct Planned {
    /// For the store; empty where nothing changed.
    pub step: Step,
    /// In the order of the log.
    pub decided: Vec<Decided>,
}

impl Planned {
    /// Is there anything to write?
    #[must_use]
    pub fn writes(&self) -> bool {
        !(self.step.events.is_empty() && self.step.rejections.is_empty())
    }
}

/// What the conversation does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing; it may be forgotten when cold.
    Rest,
    /// Wait for what is under way.
    Wait,
    /// Load the state.
    Load,
    /// Load the dedup window.
    LoadWindow,
    /// Answer the questions that wait: the state is what is stored.
    Answer,
    /// Plan and write a step.
    Plan,
}

/// The parts that are there once loaded.
#[derive(Debug)]
pub struct Ready {
    /// As stored.
    pub state: State,
    /// Written read cursors.
    pub cursors: Cursors,
    /// Loaded with the first record only: reading needs none.
    pub window: Option<Window>,
    since_snapshot: u64,
}

/// A conversation in memory.
#[derive(Debug, Default)]
pub struct Slot {
    ready: Option<Box<Ready>>,
    busy: bool,
    work: VecDeque<Work>,
    asks: VecDeque<(EndpointId, Up)>,
    /// When it was last used, in the partition's ticks.
    pub used: u64,
}

impl Slot {
    /// Queues a record. The partition bounds how many are in flight.
    pub fn push_work(&mut self, work: Work) {
        self.work.push_back(work);
    }

    /// Queues a question, unless too many wait: then the asker's deadline tells them.
    pub fn push_ask(&mut self, from: EndpointId, ask: Up, most: usize) -> bool {
        let room = self.asks.len() < most;
        if room {
            self.asks.push_back((from, ask));
        }
        room
    }

    /// Do questions wait?
    #[must_use]
    pub fn asked(&self) -> bool {
        !self.asks.is_empty()
    }

    /// What to do next.
    #[must_use]
    pub fn next(&self) -> Next {
        match &self.ready {
            _ if self.busy => Next::Wait,
            None if self.work.is_empty() && self.asks.is_empty() => Next::Rest,
            None => Next::Load,
            Some(_) if !self.asks.is_empty() => Next::Answer,
            Some(_) if self.work.is_empty() => Next::Rest,
            Some(ready) if ready.window.is_none() => Next::LoadWindow,
            Some(_) => Next::Plan,
        }
    }

    /// Something is under way from now on.
    pub fn begin(&mut self) {
        self.busy = true;
    }

    /// What was under way is done.
    pub fn end(&mut self) {
        self.busy = false;
    }

    /// The state came from the store.
    pub fn loaded(&mut self, loaded: Loaded) {
        self.busy = false;
        let Loaded { state, cursors, since_snapshot } = loaded;
        self.ready = Some(Box::new(Ready { state, cursors, window: None, since_snapshot }));
    }

    /// The dedup window came from the store.
    pub fn window_loaded(&mut self, window: Window) {
        self.busy = false;
        if let Some(ready) = &mut self.ready {
            ready.window = Some(window);
        }
    }

    /// The questions that wait, oldest first.
    pub fn take_asks(&mut self) -> VecDeque<(EndpointId, Up)> {
        std::mem::take(&mut self.asks)
    }

    /// The loaded parts.
    #[must_use]
    pub fn ready(&self) -> Option<&Ready> {
        self.ready.as_deref()
    }

    /// The loaded parts, to change cursors.
    pub fn ready_mut(&mut self) -> Option<&mut Ready> {
        self.ready.as_deref_mut()
    }

    /// Decides the next records, at most `most`. The state moves on; it must be written before
    /// anything else happens with this conversation.
    pub fn plan(&mut self, most: usize, snapshot_every: u64) -> Option<Planned> {
        let ready = self.ready.as_deref_mut()?;
        let mut planned = Planned { step: Step::default(), decided: Vec::new() };
        while planned.decided.len() < most
            && let Some(work) = self.work.pop_front()
        {
            ready.decide(work, &mut planned);
        }
        let rows = planned.step.events.len() + planned.step.rejections.len();
        ready.since_snapshot += rows as u64;
        if ready.since_snapshot >= snapshot_every && planned.writes() {
            ready.since_snapshot = 0;
            planned.step.snapshot = Some(Arc::new(ready.state.clone()));
        }
        Some(planned)
    }
}

impl Ready {
    fn decide(&mut self, work: Work, planned: &mut Planned) {
        let Work { position, at, record } = work;
        let Some(window) = &mut self.window else { return };
        let mut decided = Decided { record, position, outcome: None, event: None, replayed: None };
        match decide::decide(&self.state, window, &decided.record, position, at) {
            Decision::Event(event) => {
                // It was made for this state, so it fits; a bug here must not become a wrong row.
                if evolve::event(&mut self.state, &event).is_ok() {
                    window.push(&event);
                    decided.outcome = Some(Outcome::Applied(event.seq));
                    planned.step.memberships.extend(inbox::memberships(
                        event.tenant,
                        decided.record.conversation,
                        &event,
                    ));
                    let event = Arc::from(event);
                    planned.step.events.push(Arc::clone(&event));
                    decided.event = Some(event);
                }
            }
            Decision::Rejection(rejection) => {
                decided.outcome = Some(Outcome::Rejected(rejection.code));
                self.reject(rejection, planned);
            }
            Decision::Settled(seq) => decided.outcome = Some(Outcome::Settled(seq)),
            Decision::Repeated(code) => decided.outcome = Some(Outcome::Rejected(code)),
            Decision::Skip if inbox::may_concern(&decided.record.command) => {
                let found = window.find(decided.record.device, decided.record.client_id);
                decided.replayed = found.map(|(seq, _)| seq);
            }
            Decision::Skip => {}
        }
        planned.decided.push(decided);
    }

    fn reject(&mut self, rejection: Rejection, planned: &mut Planned) {
        if is_broken(Rule::DecideAgain) {
            return;
        }
        evolve::rejection(&mut self.state, rejection);
        planned.step.rejections.push(rejection);
    }
}
