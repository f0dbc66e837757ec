//! One conversation of `verify`: its events one by one, with the state and the window that a
//! worker would have. [`super::log_side`] holds the log's records against it; here is what the
//! store alone can tell.
//!
//! Order of reading, so that a worker beside it does no harm: records, rejections, snapshot,
//! cursors, events. What comes later is newer, never older.

use std::{collections::BTreeMap, iter::Peekable, vec::IntoIter};

use harkara_domain::{
    Body, Command, ConversationId, Cursor, Event, Position, Rejection, Seq, State, UserId,
    invariants::{SEQUENCE_IS_GAPLESS, VISIBLE_ONCE},
    limits::REJECTIONS_KEPT,
};
use harkara_engine::Store;
use harkara_fanout::{
    conversation::{evolve, window::Window},
    inbox,
};

use super::{
    lists::{self, Lists},
    records::{Records, Seen},
    report::Report,
};
use crate::moving::{PAGE, patiently};

/// A walk along a conversation.
pub struct Walk<'a> {
    pub(super) id: ConversationId,
    pub(super) records: &'a Records,
    pub(super) report: &'a Report,
    pub(super) state: State,
    pub(super) window: Window,
    /// Records that were not met yet.
    pub(super) seen: &'a [Seen],
    /// Stored rejections that were not met yet, in order.
    pub(super) rejections: Peekable<IntoIter<Rejection>>,
    /// As many rejections as are remembered: there may have been more.
    full: bool,
    /// There are rows of an earlier life of the log.
    older: bool,
    snapshot: Option<State>,
    snapshot_until: Option<Position>,
    cursors: Peekable<IntoIter<(UserId, Cursor)>>,
    lists: Lists,
    walked: Walked,
}

/// What was walked.
#[derive(Debug, Default, Clone, Copy)]
pub struct Walked {
    /// Events.
    pub events: u64,
    /// Bytes of messages.
    pub bytes: u64,
    /// The highest offset at or above the end of what was read of the log.
    pub ahead: Option<u64>,
}

/// The rest of the conversation can't be judged.
pub struct Broken;

impl<'a> Walk<'a> {
    /// Reads what is not events.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn open(
        store: &dyn Store,
        id: ConversationId,
        records: &'a Records,
        report: &'a Report,
    ) -> anyhow::Result<Self> {
        let rows = patiently("read rejections", || store.rejections(id, None)).await?;
        let snapshot = patiently("read a snapshot", || store.snapshot(id)).await?;
        let mut cursors = patiently("read cursors", || store.cursors(id)).await?;
        cursors.sort_unstable_by_key(|(_, cursor)| *cursor);
        let remembered = snapshot.iter().flat_map(|state| state.rejections.iter().copied());
        let rejections: BTreeMap<Position, Rejection> =
            rows.into_iter().chain(remembered).map(|r| (r.position, r)).collect();
        let full = rejections.len() >= REJECTIONS_KEPT;
        let rejections: Vec<_> = rejections.into_values().collect();
        Ok(Self {
            id,
            records,
            report,
            state: State::empty(id),
            window: Window::default(),
            seen: records.of(id),
            rejections: rejections.into_iter().peekable(),
            full,
            older: false,
            snapshot_until: snapshot.as_ref().and_then(|state| state.applied),
            snapshot,
            cursors: cursors.into_iter().peekable(),
            lists: Lists::new(),
            walked: Walked::default(),
        })
    }

    /// Says what is wrong with this conversation.
    pub(super) fn find(&self, finding: impl std::fmt::Display) {
        self.report.find(format!("conversation {}: {finding}", self.id));
    }

    /// Reads all events.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn run(mut self, store: &dyn Store) -> anyhow::Result<Walked> {
        loop {
            let after = self.state.head;
            let read = || store.events(self.id, after, Seq::MAX, PAGE);
            let page = patiently("read events", read).await?;
            let last = page.len() < PAGE;
            for event in page {
                if matches!(self.event(&event), Err(Broken)) {
                    return Ok(self.walked);
                }
            }
            if last {
                break;
            }
        }
        self.rows_before(None);
        self.end();
        let whose = (self.state.tenant, self.id, self.state.head);
        lists::complete(store, whose, &self.lists, self.report).await?;
        Ok(self.walked)
    }

    /// The next stored event.
    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        let (head, seq) = (self.state.head, event.seq);
        self.older |= event.position.generation < self.records.generation;
        self.rows_before(Some(event.position));
        self.meet_snapshot(event.position);
        if seq != head + 1 {
            self.find(format_args!(
                "{}: after event {head} comes {seq}; the rest of it was not judged",
                SEQUENCE_IS_GAPLESS.name
            ));
            return Err(Broken);
        }
        self.judge(event);
        self.record_of(event);
        if let Err(broken) = evolve::event(&mut self.state, event) {
            self.find(format_args!("{broken}; the rest of it was not judged"));
            return Err(Broken);
        }
        self.window.push(event);
        for row in inbox::memberships(event.tenant, self.id, event) {
            self.lists.insert(row.user, (row.present, row.cause));
        }
        self.meet_cursors(event);
        self.walked.events += 1;
        if let Body::Message { content, .. } = &event.body {
            self.walked.bytes += content.as_bytes().len() as u64;
        }
        self.report.count(|counts| counts.events += 1);
        Ok(())
    }

    /// What the chain does not cover.
    fn judge(&self, event: &Event) {
        let (state, seq) = (&self.state, event.seq);
        let ordinal = state.ordinal + u64::from(event.body.is_message());
        let wrong = |what: &str| self.find(format_args!("event {seq} {what}"));
        if event.ordinal != ordinal {
            wrong(&format!("has ordinal {}, it is message {ordinal}", event.ordinal));
        }
        if state.exists() && event.tenant != state.tenant {
            wrong("belongs to another tenant");
        }
        if event.at < state.at {
            wrong("is earlier than the one before");
        }
        if state.applied >= Some(event.position) {
            wrong("was caused by a record before that of the row before");
        }
        if state.exists() == matches!(event.body, Body::Created { .. }) {
            wrong("is a creation, or should be one");
        }
        if let Some((first, _)) = self.window.find(event.device, event.client_id) {
            wrong(&format!("{}: repeats the request of event {first}", VISIBLE_ONCE.name));
        }
        if let Body::Message { content, reply_to, salt } = &event.body {
            let (content, reply_to, salt) = (content.clone(), *reply_to, *salt);
            if (Command::Send { content, reply_to, salt }).fingerprint() != event.fingerprint {
                wrong("has another fingerprint than its body");
            }
        }
    }

    /// May records repeat something that was refused and that nobody remembers? Not where all
    /// rejections are remembered, nor where the log still has every record there ever was.
    pub(super) fn is_forgetful(&self) -> bool {
        self.full && (self.older || self.records.first > 0)
    }

    /// Is this behind the snapshot, so that its row can't have been forgotten?
    pub(super) fn has_no_snapshot_of(&self, position: Position) -> bool {
        self.snapshot_until < Some(position)
    }

    /// A row at or above the end of what was read of the log.
    pub(super) fn ahead(&mut self, offset: u64) {
        self.walked.ahead = self.walked.ahead.max(Some(offset));
    }

    /// In front of a row at `next`: is the snapshot the state as it is now?
    pub(super) fn meet_snapshot(&mut self, next: Position) {
        if self.snapshot_until < Some(next) {
            self.compare_snapshot();
        }
    }

    fn compare_snapshot(&mut self) {
        let Some(snapshot) = self.snapshot.take() else { return };
        if snapshot == self.state {
            self.report.count(|counts| counts.snapshots += 1);
        } else {
            self.find(format_args!(
                "the snapshot at event {} is not what its events come to ({})",
                snapshot.head,
                difference(&snapshot, &self.state)
            ));
        }
    }

    fn meet_cursors(&mut self, event: &Event) {
        let (seq, ordinal) = (event.seq, event.ordinal);
        while let Some((user, cursor)) = self.cursors.next_if(|(_, c)| c.seq <= seq) {
            self.report.count(|counts| counts.cursors += 1);
            let right = if cursor.seq == seq { ordinal } else { 0 };
            if cursor.ordinal != right {
                self.find(format_args!(
                    "the read cursor of user {user} at event {} has ordinal {} for {right}",
                    cursor.seq, cursor.ordinal
                ));
            }
        }
    }

    fn end(&mut self) {
        self.compare_snapshot();
        let head = self.state.head;
        for (user, cursor) in self.cursors.by_ref().collect::<Vec<_>>() {
            self.find(format_args!(
                "user {user} has read event {}, the last one is {head}",
                cursor.seq
            ));
        }
        if head > 0 {
            self.report.count(|counts| counts.conversations += 1);
        }
    }
}

/// The first thing in which two states differ.
fn difference(snapshot: &State, events: &State) -> &'static str {
    let State { head, chain, members, rejections, applied, .. } = snapshot;
    match () {
        () if *head != events.head => "another head: events are missing",
        () if *chain != events.chain => "another chain",
        () if *members != events.members => "other members",
        () if *rejections != events.rejections => "other rejections",
        () if *applied != events.applied => "another position in the log",
        () => "another title, tenant, time or ordinal",
    }
}
