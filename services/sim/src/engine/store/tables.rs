//! The rows, and how a write that lands changes them: each names an order taken from its data, and
//! the higher one holds, whoever comes last (soundness S6).

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included, Unbounded},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use harkara_domain::{
    ConversationId, Cursor, Event, Generation, Membership, Position, Profile, Rejection, Seq,
    State, TenantId, UserId,
};
use harkara_engine::store::Step;
use harkara_service_runtime::sabotage::{Rule, is_broken};

use crate::world::World;

/// Rows of lists in one statement, at most.
const LISTS: usize = 2;

/// One statement.
#[derive(Debug, Clone)]
pub enum Piece {
    /// Rows of users' lists.
    Lists(Vec<Membership>),
    /// Contiguous events: one mutation.
    Events(ConversationId, Vec<Arc<Event>>),
    /// Rejections that follow each other.
    Rejections(ConversationId, Vec<Rejection>),
    /// A snapshot.
    Snapshot(ConversationId, Arc<State>),
    /// Read cursors.
    Cursors(ConversationId, Vec<(UserId, Cursor)>),
    /// A name.
    Profile(Profile),
}

impl Piece {
    /// For the trace.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Lists(rows) => format!("{} rows of lists", rows.len()),
            Self::Events(_, events) => {
                let seqs = (events.first().map(|e| e.seq), events.last().map(|e| e.seq));
                format!("events {}..={}", seqs.0.unwrap_or(0), seqs.1.unwrap_or(0))
            }
            Self::Rejections(_, rows) => format!("{} rejections", rows.len()),
            Self::Snapshot(_, state) => format!("snapshot at {}", state.head),
            Self::Cursors(_, rows) => format!("{} cursors", rows.len()),
            Self::Profile(_) => "a name".to_owned(),
        }
    }
}

/// A step's statements: lists, then events and rejections in the order of the log, then the
/// snapshot. Each may rely on those before it.
#[must_use]
pub fn pieces(conversation: ConversationId, step: Step) -> Vec<Piece> {
    let lists = step.memberships.chunks(LISTS).map(|rows| Piece::Lists(rows.to_vec()));
    let mut pieces: Vec<Piece> = lists.collect();
    let mut rejections = step.rejections.into_iter().peekable();
    let mut refuse = |pieces: &mut Vec<Piece>, before: Option<Position>| {
        let mut rows = Vec::new();
        while let Some(row) = rejections.next_if(|r| before.is_none_or(|p| r.position < p)) {
            rows.push(row);
        }
        if !rows.is_empty() {
            pieces.push(Piece::Rejections(conversation, rows));
        }
    };
    for event in step.events {
        refuse(&mut pieces, Some(event.position));
        match pieces.last_mut() {
            Some(Piece::Events(_, events)) => events.push(event),
            _ => pieces.push(Piece::Events(conversation, vec![event])),
        }
    }
    refuse(&mut pieces, None);
    pieces.extend(step.snapshot.map(|state| Piece::Snapshot(conversation, state)));
    pieces
}

/// What is stored.
#[derive(Default)]
pub struct Rows {
    /// By conversation and sequence.
    pub events: BTreeMap<(ConversationId, Seq), Arc<Event>>,
    /// By conversation and position.
    pub rejections: BTreeMap<(ConversationId, Position), Rejection>,
    /// By conversation.
    pub snapshots: BTreeMap<ConversationId, State>,
    /// By user and conversation.
    pub memberships: BTreeMap<(TenantId, UserId, ConversationId), Membership>,
    /// By conversation and user.
    pub cursors: BTreeMap<(ConversationId, UserId), Cursor>,
    /// By user.
    pub profiles: BTreeMap<(TenantId, UserId), Profile>,
    /// Of which log.
    pub generation: Option<Generation>,
    /// Events that were written twice and differed.
    pub conflicts: Vec<(ConversationId, Seq)>,
}

/// The tables.
pub struct Tables {
    /// Whose weather it is.
    pub world: Arc<World>,
    rows: Mutex<Rows>,
}

impl Tables {
    /// Nothing is stored.
    #[must_use]
    pub fn new(world: Arc<World>) -> Arc<Self> {
        Arc::new(Self { world, rows: Mutex::default() })
    }

    /// What is stored now.
    pub fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A statement lands.
    pub fn put(&self, piece: &Piece) {
        self.world.note(|| format!("store     has {}", piece.name()));
        let mut rows = self.rows();
        let rows = &mut *rows;
        match piece {
            Piece::Lists(lists) => lists.iter().for_each(|row| rows.list(row)),
            Piece::Events(conversation, events) => {
                events.iter().for_each(|event| rows.event(*conversation, event));
            }
            Piece::Rejections(conversation, rejections) => {
                let keyed = rejections.iter().map(|r| ((*conversation, r.position), *r));
                rows.rejections.extend(keyed);
            }
            Piece::Snapshot(conversation, state) => rows.snapshot(*conversation, state),
            Piece::Cursors(conversation, cursors) => {
                for (user, cursor) in cursors {
                    let known = rows.cursors.entry((*conversation, *user)).or_default();
                    *known = match is_broken(Rule::CursorReplaced) {
                        true => *cursor,
                        false => newer(*known, *cursor, |cursor| cursor.seq),
                    };
                }
            }
            Piece::Profile(profile) => {
                let known = rows.profiles.entry((profile.tenant, profile.user));
                let known = known.or_insert_with(|| profile.clone());
                if profile.at > known.at {
                    known.clone_from(profile);
                }
            }
        }
    }

    /// A range of events.
    #[must_use]
    pub fn events(
        &self,
        conversation: ConversationId,
        after: Seq,
        until: Seq,
        limit: usize,
    ) -> Vec<Event> {
        if after >= until {
            return Vec::new();
        }
        let range = (Excluded((conversation, after)), Included((conversation, until)));
        let rows = self.rows();
        rows.events.range(range).take(limit).map(|(_, event)| Event::clone(event)).collect()
    }

    /// Rejections after a position.
    #[must_use]
    pub fn rejections(
        &self,
        conversation: ConversationId,
        after: Option<Position>,
    ) -> Vec<Rejection> {
        let first = (conversation, Position::default());
        let from = after.map_or(Included(first), |after| Excluded((conversation, after)));
        let rows = self.rows();
        let rows = rows.rejections.range((from, Unbounded));
        rows.take_while(|((of, _), _)| *of == conversation).map(|(_, row)| *row).collect()
    }

    /// A piece of a user's list.
    #[must_use]
    pub fn memberships(
        &self,
        tenant: TenantId,
        user: UserId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Vec<Membership> {
        let zero = ConversationId::from_bytes([0; 16]);
        let from = after.map_or(Included((tenant, user, zero)), |a| Excluded((tenant, user, a)));
        let rows = self.rows();
        let rows = rows.memberships.range((from, Unbounded));
        let own = rows.take_while(|((t, u, _), _)| (*t, *u) == (tenant, user));
        own.map(|(_, row)| *row).filter(|row| row.present).take(limit).collect()
    }

    /// Everybody's cursor.
    #[must_use]
    pub fn cursors(&self, conversation: ConversationId) -> Vec<(UserId, Cursor)> {
        let first = (conversation, UserId::from_bytes([0; 16]));
        let rows = self.rows();
        let rows = rows.cursors.range((Included(first), Unbounded));
        let own = rows.take_while(|((of, _), _)| *of == conversation);
        own.map(|((_, user), cursor)| (*user, *cursor)).collect()
    }

    /// Names that begin so.
    #[must_use]
    pub fn find_profiles(&self, tenant: TenantId, prefix: &str, limit: usize) -> Vec<Profile> {
        let prefix = prefix.to_lowercase();
        let rows = self.rows();
        let of = rows.profiles.values().filter(|profile| profile.tenant == tenant);
        let named = of.map(|profile| (profile.name.to_lowercase(), profile));
        let mut found: Vec<_> = named.filter(|(name, _)| name.starts_with(&prefix)).collect();
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found.into_iter().take(limit).map(|(_, profile)| profile.clone()).collect()
    }
}

/// The one that holds.
fn newer<T, K: Ord>(known: T, new: T, order: impl Fn(&T) -> K) -> T {
    let holds = order(&new) >= order(&known) || is_broken(Rule::LastWriteWins);
    if holds { new } else { known }
}

impl Rows {
    fn list(&mut self, row: &Membership) {
        let key = (row.tenant, row.user, row.conversation);
        let known = self.memberships.entry(key).or_insert(*row);
        *known = newer(*known, *row, |row| row.cause);
    }

    /// Two that differ at one place break a promise; which of them holds is nobody's choice.
    fn event(&mut self, conversation: ConversationId, event: &Arc<Event>) {
        let key = (conversation, event.seq);
        if let Some(known) = self.events.get(&key) {
            if known == event {
                return;
            }
            self.conflicts.push(key);
            if known.chain.0 > event.chain.0 {
                return;
            }
        }
        self.events.insert(key, Arc::clone(event));
    }

    fn snapshot(&mut self, conversation: ConversationId, state: &State) {
        let order = |state: &State| (state.head, state.applied);
        if let Some(known) = self.snapshots.get(&conversation)
            && order(known) >= order(state)
            && !is_broken(Rule::LastWriteWins)
        {
            return;
        }
        if let Some(applied) = state.applied {
            let range = (conversation, Position::default())..=(conversation, applied);
            let in_it: Vec<_> = self.rejections.range(range).map(|(key, _)| *key).collect();
            for key in in_it {
                self.rejections.remove(&key);
            }
        }
        self.snapshots.insert(conversation, state.clone());
    }
}
