//! What a rebuild takes from the store as it is: the rows of one conversation that come from
//! records before the log's oldest one, and the state that they come to. They are walked from the
//! first event on, so that a hole is seen.

use std::collections::BTreeMap;

use harkara_domain::{
    ConversationId, Event, Hash, Position, Rejection, Seq, State, limits::REJECTIONS_KEPT,
};
use harkara_engine::Store;
use harkara_fanout::{conversation::evolve, inbox};

use super::{replay::Halt, tail::Tail};
use crate::moving::{PAGE, patiently, verify::Lists};

/// The beginning of a conversation, and what the store knows of the rest.
pub struct Base {
    /// After the last row of a record before the log.
    pub state: State,
    /// What the events come to.
    pub lists: Lists,
    /// Rejections that are stored and will come out of the log.
    pub rejections: BTreeMap<Position, Rejection>,
    /// Rejections before this one were forgotten.
    pub forgotten: Option<Position>,
    /// Where the snapshot stands.
    pub snapshot: Option<(Seq, Hash)>,
    /// The newest event that somebody has read.
    pub read: Seq,
    /// The newest record of this log that the rows met so far come from.
    pub newest: Option<u64>,
}

impl Base {
    /// Reads it.
    ///
    /// # Errors
    /// It has a hole that the log does not reach, or can't be read.
    pub async fn read(store: &dyn Store, tail: &Tail, id: ConversationId) -> Result<Self, Halt> {
        let snapshot = patiently("read a snapshot", || store.snapshot(id)).await?;
        let rows = patiently("read rejections", || store.rejections(id, None)).await?;
        let cursors = patiently("read cursors", || store.cursors(id)).await?;
        let remembered = snapshot.iter().flat_map(|state| state.rejections.iter().copied());
        let mut rejections: BTreeMap<Position, Rejection> =
            rows.into_iter().chain(remembered).map(|r| (r.position, r)).collect();
        let limit = limit(tail, snapshot.as_ref());
        let later = rejections.split_off(&limit);
        let full = snapshot.as_ref().filter(|state| state.rejections.len() >= REJECTIONS_KEPT);
        let mut base = Self {
            state: State::empty(id),
            lists: Lists::new(),
            rejections: later,
            forgotten: full.and_then(|state| state.rejections.front()).map(|r| r.position),
            snapshot: snapshot.as_ref().map(|state| (state.head, state.chain)),
            read: cursors.iter().map(|(_, cursor)| cursor.seq).max().unwrap_or_default(),
            newest: None,
        };
        base.walk(store, tail, (id, limit)).await?;
        base.refuse(snapshot.filter(|state| state.applied < Some(limit)), rejections)?;
        base.meet(tail, base.state.applied);
        Ok(base)
    }

    /// A row from this record is there.
    pub fn meet(&mut self, tail: &Tail, position: Option<Position>) {
        let here = position.filter(|position| position.generation == tail.first.generation);
        self.newest = self.newest.max(here.map(|position| position.offset));
    }

    async fn walk(
        &mut self,
        store: &dyn Store,
        tail: &Tail,
        (id, limit): (ConversationId, Position),
    ) -> Result<(), Halt> {
        loop {
            let after = self.state.head;
            let read = || store.events(id, after, Seq::MAX, PAGE);
            let page = patiently("read events", read).await?;
            let last = page.len() < PAGE;
            for event in page {
                if event.position >= limit {
                    return Ok(());
                }
                self.event(tail, id, &event)?;
            }
            if last {
                return Ok(());
            }
        }
    }

    fn event(&mut self, tail: &Tail, id: ConversationId, event: &Event) -> Result<(), Halt> {
        let head = self.state.head;
        if event.seq > head + 1 {
            return Err(Halt::Refused(format!(
                "its events {} to {} are missing; their records stood before offset {} of \
                 partition {}, where the log begins: a backup may have them",
                head + 1,
                event.seq - 1,
                tail.first.offset,
                tail.partition
            )));
        }
        evolve::event(&mut self.state, event)
            .map_err(|broken| Halt::Refused(format!("{broken}: restore a backup")))?;
        for row in inbox::memberships(event.tenant, id, event) {
            self.lists.insert(row.user, (row.present, row.cause));
        }
        if let Some((seq, chain)) = self.snapshot
            && seq == event.seq
            && chain != event.chain
        {
            return Err(Halt::Refused(format!(
                "its snapshot at event {seq} has another history than its events: restore a backup"
            )));
        }
        Ok(())
    }

    /// Takes in what was refused before the limit: by the snapshot as far as it goes, since older
    /// ones may be forgotten, and by rows.
    fn refuse(
        &mut self,
        snapshot: Option<State>,
        rows: BTreeMap<Position, Rejection>,
    ) -> Result<(), Halt> {
        let applied = self.state.applied;
        let mut after = None;
        if let Some(snapshot) = snapshot {
            if snapshot.head > self.state.head {
                return Err(Halt::Refused(format!(
                    "its events end at {}, its snapshot stands at event {}, and the log does not \
                     reach what is between: a backup may have it",
                    self.state.head, snapshot.head
                )));
            }
            self.state.rejections = snapshot.rejections;
            after = snapshot.applied;
        }
        for (_, rejection) in rows.into_iter().filter(|(at, _)| Some(*at) > after) {
            evolve::rejection(&mut self.state, rejection);
        }
        self.state.applied = self.state.applied.max(applied).max(after);
        Ok(())
    }
}

/// Rows below it are taken as they are: those that come from before the log. Where more was
/// refused since than is remembered, deciding again from there would miss some of it: then it is
/// what the snapshot stands on. A log that still has its first record misses nothing.
fn limit(tail: &Tail, snapshot: Option<&State>) -> Position {
    let forgetful = snapshot.filter(|state| state.rejections.len() >= REJECTIONS_KEPT);
    match forgetful.and_then(|state| state.applied) {
        Some(applied) if applied >= tail.first && !tail.is_whole() => {
            Position { offset: applied.offset + 1, ..applied }
        }
        _ => tail.first,
    }
}
