//! One conversation's events on their way to the user: in order, each once, holes found and
//! filled. Pure; `state` feeds it with pushed events, pages and entries and asks what to read.

use std::collections::BTreeMap;

use harkara_domain::Seq;

use crate::{options::Start, update::Event};

/// Events held above a hole, at most: a page's worth. What doesn't fit is read again later.
const HELD_MAX: usize = 500;

/// How long a promised push may take before the timeline is read instead, milliseconds.
const PUSH_PATIENCE_MS: u64 = 5_000;

/// Longest pause between two attempts to read, milliseconds.
const READ_PAUSE_MS_MAX: u64 = 5_000;

/// A hole that nobody can fill: the sequences left out, first and last.
pub(crate) type Skipped = Option<(Seq, Seq)>;

/// One conversation.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// The last sequence handed to the user; none until the conversation's start is known.
    last: Option<Seq>,
    /// The highest sequence known to exist.
    head: Seq,
    held: BTreeMap<Seq, Event>,
    /// A read is under way.
    reading: bool,
    /// Read now, without waiting for a push.
    urgent: bool,
    not_before: u64,
    attempts: u32,
    /// When something last happened, for the choice of cursors.
    pub(crate) touched: u64,
}

impl Timeline {
    /// Goes on after `last`.
    pub(crate) fn after(last: Seq) -> Self {
        Self { last: Some(last), head: last, ..Self::default() }
    }

    /// The last sequence handed to the user.
    pub(crate) fn last(&self) -> Option<Seq> {
        self.last
    }

    /// The server's word on the conversation: what may be seen and how far it goes. `pushed` says
    /// that the server sends what is missing by itself.
    pub(crate) fn enter(
        &mut self,
        now: u64,
        start: Start,
        from: Seq,
        head: Seq,
        pushed: bool,
    ) -> Skipped {
        let before = from.saturating_sub(1);
        self.touched = now;
        self.head = self.head.max(head);
        self.attempts = 0;
        self.not_before = now + PUSH_PATIENCE_MS;
        let unknown = self.last.is_none();
        let last = match (self.last, start) {
            (Some(last), _) => last,
            (None, Start::Head) => head,
            (None, Start::Beginning) => before,
        };
        self.last = Some(last.max(before));
        self.urgent = self.head > last.max(before) && (!pushed || unknown);
        // Below `from` is what this member may not see (any more).
        self.held.retain(|seq, _| *seq > last.max(before));
        (before > last && last > 0).then(|| (last + 1, before))
    }

    /// Begins again with `from`: the server has lost what came after.
    pub(crate) fn rewind(&mut self, now: u64, from: Seq, head: Seq) {
        let last = from.saturating_sub(1);
        *self =
            Self { last: Some(last), head, urgent: head > last, touched: now, ..Self::default() };
    }

    /// A pushed event; what can be shown now goes to `out`.
    pub(crate) fn push(&mut self, now: u64, start: Start, event: Event, out: &mut Vec<Event>) {
        let before = event.seq.saturating_sub(1);
        let last = *self.last.get_or_insert(match start {
            Start::Head => before,
            Start::Beginning => 0,
        });
        self.touched = now;
        self.head = self.head.max(event.seq);
        if event.seq > last + 1 {
            self.urgent = true;
            if self.held.len() < HELD_MAX {
                self.held.insert(event.seq, event);
            }
            return;
        }
        self.not_before = now + PUSH_PATIENCE_MS;
        self.show(event, out);
        self.drain(out);
    }

    /// A page that was read after `after`.
    pub(crate) fn page(
        &mut self,
        now: u64,
        after: Seq,
        events: Vec<Event>,
        head: Seq,
        complete: bool,
        out: &mut Vec<Event>,
    ) -> Skipped {
        self.reading = false;
        self.touched = now;
        let last = self.last.unwrap_or(after);
        let first = events.first().map(|event| event.seq);
        let mut skipped = None;
        if let Some(first) = first.filter(|first| after == last && *first > last + 1) {
            skipped = (last > 0).then(|| (last + 1, first - 1));
            self.last = Some(first - 1);
        }
        for event in events {
            self.show(event, out);
        }
        self.drain(out);
        self.head = self.head.max(head);
        if self.last.unwrap_or(0) > last {
            self.attempts = 0;
            self.not_before = now;
        } else {
            // Nothing new although something must be there: ask again, less often each time.
            self.pause(now, 0);
        }
        if complete && head <= self.last.unwrap_or(0) && self.held.is_empty() {
            self.head = self.last.unwrap_or(head);
        }
        skipped
    }

    /// The read failed; `retry_after_ms` is the server's wish, none that it makes no sense.
    pub(crate) fn read_failed(&mut self, now: u64, retry_after_ms: Option<u64>) {
        self.reading = false;
        match retry_after_ms {
            Some(ms) => self.pause(now, ms),
            None => {
                // Not a member, or no such conversation: an entry or an event will tell more.
                self.urgent = false;
                self.head = self.last.unwrap_or(0);
                self.held.clear();
            }
        }
    }

    /// The connection is gone, and with it the read under way.
    pub(crate) fn disconnected(&mut self) {
        self.reading = false;
        self.not_before = 0;
    }

    /// After which sequence to read, if now.
    pub(crate) fn wants(&self, now: u64) -> Option<Seq> {
        let last = self.last?;
        let due = now >= self.not_before || (self.urgent && self.attempts == 0);
        (last < self.head && !self.reading && due).then_some(last)
    }

    /// Is something known to exist that was not handed out?
    pub(crate) fn lags(&self) -> bool {
        self.last.is_some_and(|last| last < self.head)
    }

    /// When [`Self::wants`] may change by itself.
    pub(crate) fn due(&self) -> Option<u64> {
        (self.last? < self.head && !self.reading).then_some(self.not_before)
    }

    /// A read after [`Self::wants`] is on its way.
    pub(crate) fn reading(&mut self) {
        self.reading = true;
    }

    fn pause(&mut self, now: u64, at_least_ms: u64) {
        let pause = (250 << self.attempts.min(8)).min(READ_PAUSE_MS_MAX);
        self.attempts += 1;
        self.not_before = now + pause.max(at_least_ms);
    }

    fn show(&mut self, event: Event, out: &mut Vec<Event>) {
        let last = self.last.unwrap_or(0);
        if event.seq == last + 1 {
            self.last = Some(event.seq);
            self.head = self.head.max(event.seq);
            out.push(event);
        }
    }

    fn drain(&mut self, out: &mut Vec<Event>) {
        while let Some(entry) = self.held.first_entry() {
            let next = self.last.unwrap_or(0) + 1;
            match (*entry.key()).cmp(&next) {
                std::cmp::Ordering::Less => drop(entry.remove()),
                std::cmp::Ordering::Equal => {
                    let event = entry.remove();
                    self.show(event, out);
                }
                std::cmp::Ordering::Greater => return,
            }
        }
        if self.last.unwrap_or(0) >= self.head {
            self.urgent = false;
        }
    }
}
