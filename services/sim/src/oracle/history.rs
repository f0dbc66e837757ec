//! The conversations as they are stored, and as the log makes them by the pure functions alone:
//! both must be the same, event by event, position and hash included.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use harkara_domain::{
    Body, ClientId, Command, ConversationId, DeviceId, Event, Position, Record, Seq, State, UserId,
    command::RULES_VERSION,
    invariants::{
        ACKNOWLEDGED_IS_DURABLE, CHAIN_IS_UNBROKEN, MEMBERS_ONLY, ORDER_IS_SHARED,
        SEQUENCE_IS_GAPLESS, VISIBLE_ONCE,
    },
};
use harkara_fanout::conversation::{
    decide::{self, Decision},
    evolve,
    window::Window,
};
use harkara_protocol::record;
use harkara_service_runtime::sabotage::break_rule;

use super::Breach;
use crate::engine::{log::broker::Broker, store::tables::Rows};

/// From and until when somebody is a member: sequences, the last one open.
type Stay = (Seq, Option<Seq>);

/// A conversation.
#[derive(Debug, Clone)]
pub struct History {
    /// In order.
    pub events: Vec<Arc<Event>>,
    /// Their hashes as clients see them.
    pub chains: Vec<String>,
    /// What they add up to.
    pub state: State,
    stays: BTreeMap<UserId, Vec<Stay>>,
}

impl History {
    fn new(conversation: ConversationId) -> Self {
        let (events, chains, stays) = Default::default();
        Self { events, chains, state: State::empty(conversation), stays }
    }

    /// The event with this sequence.
    #[must_use]
    pub fn event(&self, seq: Seq) -> Option<&Arc<Event>> {
        self.events.get(usize::try_from(seq.checked_sub(1)?).ok()?)
    }

    /// Its hash as clients see it.
    #[must_use]
    pub fn chain(&self, seq: Seq) -> Option<&str> {
        let chain = self.chains.get(usize::try_from(seq.checked_sub(1)?).ok()?)?;
        Some(chain.as_str())
    }

    /// May this user see this event?
    #[must_use]
    pub fn sees(&self, user: UserId, seq: Seq) -> bool {
        let stays = self.stays.get(&user);
        stays
            .into_iter()
            .flatten()
            .any(|(from, until)| *from <= seq && until.is_none_or(|until| seq <= until))
    }

    /// Did this user become a member with this event?
    #[must_use]
    pub fn joins(&self, user: UserId, seq: Seq) -> bool {
        self.stays.get(&user).into_iter().flatten().any(|(from, _)| *from == seq)
    }

    fn take(&mut self, event: &Arc<Event>) {
        let joiners: &[UserId] = match &event.body {
            Body::Created { members, .. } => members,
            Body::Added { users, .. } => users,
            _ => &[],
        };
        for user in joiners {
            self.stays.entry(*user).or_default().push((event.seq, None));
        }
        for user in event.leavers() {
            if let Some((_, until)) = self.stays.get_mut(user).and_then(|stays| stays.last_mut()) {
                until.get_or_insert(event.seq);
            }
        }
        self.events.push(Arc::clone(event));
        self.chains.push(event.chain.to_string());
    }
}

/// All conversations, and what does not hold in them.
#[derive(Debug, Default)]
pub struct Stored {
    /// By id.
    pub histories: BTreeMap<ConversationId, History>,
    /// What does not hold.
    pub breaches: Vec<Breach>,
    /// Where the requests of devices stand.
    pub requests: BTreeMap<(DeviceId, ClientId), (ConversationId, Seq)>,
}

/// Reads everything that is stored.
#[must_use]
pub fn stored(rows: &Rows) -> Stored {
    let mut stored = Stored::default();
    for (conversation, seq) in &rows.conflicts {
        let what = format!("{conversation}: two different events were written as {seq}");
        stored.breaches.push(Breach::of(SEQUENCE_IS_GAPLESS.name, what));
    }
    for ((conversation, _), event) in &rows.events {
        stored.take(*conversation, event);
    }
    for ((_, user, conversation), row) in &rows.memberships {
        let history = stored.histories.get(conversation);
        let is = history.is_some_and(|history| history.state.members.contains_key(user));
        if is != row.present {
            let what = format!("{conversation}: the list of {user} says {}", row.present);
            stored.breaches.push(Breach::of(MEMBERS_ONLY.name, what));
        }
    }
    stored
}

impl Stored {
    fn take(&mut self, conversation: ConversationId, event: &Arc<Event>) {
        let new = || History::new(conversation);
        let history = self.histories.entry(conversation).or_insert_with(new);
        if event.at < history.state.at {
            let what = format!("{conversation}: time steps back at {}", event.seq);
            self.breaches.push(Breach::of(ORDER_IS_SHARED.name, what));
        }
        if let Err(broken) = evolve::event(&mut history.state, event) {
            let name = if broken.invariant == CHAIN_IS_UNBROKEN.name {
                CHAIN_IS_UNBROKEN.name
            } else {
                SEQUENCE_IS_GAPLESS.name
            };
            self.breaches.push(Breach::of(name, format!("{conversation}: {broken}")));
        }
        history.take(event);
        let place = (conversation, event.seq);
        if let Some(first) = self.requests.insert((event.device, event.client_id), place) {
            let what = format!("request {} of {}", event.client_id, event.device);
            let what = format!("{what} stands at {first:?} and at {place:?}");
            self.breaches.push(Breach::of(VISIBLE_ONCE.name, what));
        }
    }
}

/// What the log says happened.
#[derive(Debug, Default)]
pub struct Told {
    events: BTreeMap<ConversationId, Vec<Event>>,
    /// Requests that were refused at their place.
    pub refused: BTreeSet<(DeviceId, ClientId)>,
    /// When the first record of a request landed, milliseconds of virtual time.
    pub landed_ms: BTreeMap<(DeviceId, ClientId), u64>,
    /// Conversations with records that are not committed yet.
    unfinished: BTreeSet<ConversationId>,
}

struct Folding {
    state: State,
    window: Window,
}

/// Folds every record of every life of the log through the pure functions.
#[must_use]
pub fn told(broker: &Broker) -> Told {
    let broken = break_rule(None);
    let told = fold_all(broker);
    break_rule(broken);
    told
}

fn fold_all(broker: &Broker) -> Told {
    let mut told = Told::default();
    let mut folding: BTreeMap<ConversationId, Folding> = BTreeMap::new();
    let state = broker.state();
    for life in state.past.iter().chain([&state.life]) {
        for part in &life.parts {
            for (entry, landed_ms) in part.entries.iter().zip(&part.landed_ms) {
                let Ok(record) = record::decode(&entry.record) else { continue };
                if record.rules > RULES_VERSION {
                    break;
                }
                let landed = told.landed_ms.entry((record.device, record.client_id));
                landed.and_modify(|at| *at = (*at).min(*landed_ms)).or_insert(*landed_ms);
                let position = Position { generation: life.generation, offset: entry.offset };
                if entry.offset >= part.committed {
                    told.unfinished.insert(record.conversation);
                }
                told.fold(&mut folding, &record, position, entry.at);
            }
        }
    }
    told
}

impl Told {
    fn fold(
        &mut self,
        folding: &mut BTreeMap<ConversationId, Folding>,
        record: &Record,
        position: Position,
        at: u64,
    ) {
        if matches!(record.command, Command::Inbox { .. }) {
            return;
        }
        let conversation = record.conversation;
        let new = || Folding { state: State::empty(conversation), window: Window::default() };
        let Folding { state, window } = folding.entry(conversation).or_insert_with(new);
        match decide::decide(state, window, record, position, at) {
            Decision::Event(event) => {
                if evolve::event(state, &event).is_ok() {
                    window.push(&event);
                    self.events.entry(conversation).or_default().push(*event);
                }
            }
            Decision::Rejection(rejection) => {
                self.refused.insert((record.device, record.client_id));
                evolve::rejection(state, rejection);
            }
            Decision::Settled(_) | Decision::Repeated(_) | Decision::Skip => {}
        }
    }
}

/// What is stored must be what the log says; where work is unfinished, its beginning.
#[must_use]
pub fn compare(stored: &Stored, told: &Told) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let none = Vec::new();
    let ids: BTreeSet<_> = stored.histories.keys().chain(told.events.keys()).copied().collect();
    for id in ids {
        let is = stored.histories.get(&id).map_or(&[][..], |history| &history.events);
        let should = told.events.get(&id).unwrap_or(&none);
        if let Some((is, should)) = is.iter().zip(should).find(|(is, should)| ***is != **should) {
            let what = format!("{id}: stored is {is:?}, the log says {should:?}");
            breaches.push(Breach::of(SEQUENCE_IS_GAPLESS.name, what));
        }
        if is.len() > should.len() {
            let what = format!("{id}: {} events, the log says {}", is.len(), should.len());
            breaches.push(Breach::of(VISIBLE_ONCE.name, what));
        } else if is.len() < should.len() && !told.unfinished.contains(&id) {
            let what = format!("{id}: {} events, the log says {}", is.len(), should.len());
            breaches.push(Breach::of(ACKNOWLEDGED_IS_DURABLE.name, what));
        }
    }
    breaches
}
