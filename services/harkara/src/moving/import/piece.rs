//! One conversation's part of a chunk, or one profile: compared with what the target has, then
//! written. Called by `import`, many at once.

use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use harkara_domain::{Cursor, Event, Profile, Seq, State, UserId, chain};
use harkara_engine::{Store, store::Step};

use super::Shift;
use crate::moving::{
    archive::{Head, Row},
    patiently,
};

/// Events written together: 128 × ≤ 33 KiB = 4 MiB at the very worst, 50 kB in practice.
const STEP: usize = 128;

/// Cursors, or rows of lists, written together: as many as one request can change.
const ROWS: usize = 1_000;

/// What a chunk asks for.
#[derive(Debug)]
pub enum Job {
    /// A name.
    Profile(Profile),
    /// A conversation, or a part of it.
    Piece(Box<Piece>),
}

/// Events of a conversation in order, and what comes at its end.
#[derive(Debug)]
pub struct Piece {
    head: Head,
    events: Vec<Arc<Event>>,
    lists: Vec<(UserId, bool, Seq)>,
    cursors: Vec<(UserId, Cursor)>,
    state: Option<Arc<State>>,
}

/// Sorts a chunk's rows, with their positions lowered.
///
/// # Errors
/// Rows that don't fit together: not from our export.
pub fn jobs(rows: Vec<Row>, shift: Shift) -> anyhow::Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for row in rows {
        match row {
            Row::Profile(profile) => jobs.push(Job::Profile(profile)),
            Row::Conversation(head) => jobs.push(Job::Piece(Box::new(Piece::new(head)))),
            row => match jobs.last_mut() {
                Some(Job::Piece(piece)) => piece.take(row, shift)?,
                _ => bail!("a row of the archive belongs to no conversation: export again"),
            },
        }
    }
    Ok(jobs)
}

impl Job {
    /// Is all of it in the target?
    ///
    /// # Errors
    /// The target has something else there, or can't be read.
    pub async fn is_there(&self, store: &dyn Store) -> anyhow::Result<bool> {
        match self {
            Self::Profile(profile) => {
                let read = || store.profiles(profile.tenant, vec![profile.user]);
                let found = patiently("read a profile", read).await?;
                Ok(found.iter().any(|there| there.at >= profile.at))
            }
            Self::Piece(piece) => {
                let missing = piece.named(piece.missing(store).await)?;
                Ok(missing.is_empty() && piece.has_state(store).await?)
            }
        }
    }

    /// Writes what is missing: events that were there, events that were written.
    ///
    /// # Errors
    /// The target has something else there, or can't be written.
    pub async fn write(&self, store: &dyn Store) -> anyhow::Result<(u64, u64)> {
        match self {
            Self::Profile(profile) => {
                patiently("write a profile", || store.put_profile(profile.clone())).await?;
                Ok((0, 0))
            }
            Self::Piece(piece) => piece.named(piece.write(store).await),
        }
    }
}

impl Piece {
    fn new(head: Head) -> Self {
        let (events, lists, cursors) = (Vec::new(), Vec::new(), Vec::new());
        Self { head, events, lists, cursors, state: None }
    }

    /// Takes the next row, which must fit onto those before.
    fn take(&mut self, row: Row, shift: Shift) -> anyhow::Result<()> {
        match row {
            Row::Event(mut event) => {
                let fits = match self.events.last() {
                    Some(last) => last.seq + 1 == event.seq && links(last.chain, &event),
                    None if event.seq == 1 => links(chain::start(self.head.conversation), &event),
                    None => true,
                };
                ensure!(
                    fits && event.seq <= self.head.head,
                    "conversation {}: event {} of the archive does not fit onto those before: \
                     export again",
                    self.head.conversation,
                    event.seq
                );
                event.position = shift.lower(event.position)?;
                self.events.push(Arc::from(event));
            }
            Row::Memberships(rows) => self.lists = rows,
            Row::Cursors(rows) => self.cursors = rows,
            Row::State(mut state) => {
                ensure!(
                    (state.head, state.chain) == (self.head.head, self.head.chain),
                    "conversation {}: its state in the archive is not that of its head: export \
                     again",
                    self.head.conversation
                );
                state.applied = state.applied.map(|at| shift.lower(at)).transpose()?;
                for rejection in &mut state.rejections {
                    rejection.position = shift.lower(rejection.position)?;
                }
                self.state = Some(Arc::from(state));
            }
            Row::Conversation(_) | Row::Profile(_) => {}
        }
        Ok(())
    }

    fn named<T>(&self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        result.with_context(|| format!("conversation {}", self.head.conversation))
    }

    /// The steps of events that the target does not have. All of them are compared before any is
    /// written.
    async fn missing(&self, store: &dyn Store) -> anyhow::Result<Vec<&[Arc<Event>]>> {
        let mut missing = Vec::new();
        for step in self.events.chunks(STEP) {
            let (Some(first), Some(last)) = (step.first(), step.last()) else { continue };
            let (after, until) = (first.seq - 1, last.seq);
            let read = || store.events(self.head.conversation, after, until, STEP);
            let there = patiently("read events of the target", read).await?;
            for event in &there {
                let ours = event.seq.checked_sub(first.seq);
                let ours = ours.and_then(|at| step.get(usize::try_from(at).ok()?));
                if ours.is_none_or(|ours| **ours != *event) {
                    bail!(
                        "the target has another event {} of it, and two histories can't become \
                         one: import into a store that does not have this conversation",
                        event.seq
                    );
                }
            }
            if there.len() < step.len() {
                missing.push(step);
            }
        }
        Ok(missing)
    }

    async fn has_state(&self, store: &dyn Store) -> anyhow::Result<bool> {
        let Some(state) = &self.state else { return Ok(true) };
        let read = || store.snapshot(self.head.conversation);
        let there = patiently("read a snapshot of the target", read).await?;
        Ok(there.is_some_and(|there| there.head >= state.head))
    }

    async fn write(&self, store: &dyn Store) -> anyhow::Result<(u64, u64)> {
        let missing = self.missing(store).await?;
        let mut written = 0;
        for events in missing {
            written += events.len() as u64;
            self.step(store, Step { events: events.to_vec(), ..Step::default() }).await?;
        }
        let there = self.events.len() as u64 - written;
        if let Some(state) = &self.state {
            self.step(store, Step { snapshot: Some(Arc::clone(state)), ..Step::default() }).await?;
            let conversation = self.head.conversation;
            for cursors in self.cursors.chunks(ROWS) {
                let advance = || store.advance(conversation, cursors.to_vec());
                patiently("write read cursors", advance).await?;
            }
            for rows in self.lists.chunks(ROWS) {
                let memberships = rows.iter().map(|row| self.head.membership(*row)).collect();
                self.step(store, Step { memberships, ..Step::default() }).await?;
            }
        }
        Ok((there, written))
    }

    async fn step(&self, store: &dyn Store, step: Step) -> anyhow::Result<()> {
        let Head { tenant, conversation, .. } = self.head;
        patiently("write", || store.write(tenant, conversation, step.clone())).await
    }
}

fn links(before: chain::Hash, event: &Event) -> bool {
    chain::link(before, event) == event.chain
}
