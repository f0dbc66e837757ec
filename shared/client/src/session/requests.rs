//! The table of what was asked and not yet answered on this connection, and the callers' requests
//! that wait for their turn. Pure; `state` fills it and settles what comes back.

use std::collections::{BTreeMap, VecDeque};

use harkara_domain::{ClientId, ConversationId, Seq};
use harkara_protocol::client::Call;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// `session.start`.
    Start,
    /// A further page of the list.
    List,
    /// Filling a hole: read after this sequence.
    Fill(ConversationId, Seq),
    /// Looking for old sends.
    Scan(ConversationId),
    /// A send.
    Send(ClientId),
    /// A caller's request, by its ticket.
    Call(u64),
}

/// Requests in flight on one connection, by their id.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    next: u64,
    open: BTreeMap<u64, (Purpose, u64)>,
}

impl Requests {
    /// How many have no answer yet.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// A new id for a request that leaves now. Ids rise, so the table is in order of time.
    pub(crate) fn open(&mut self, now: u64, purpose: Purpose) -> u64 {
        self.next += 1;
        self.open.insert(self.next, (purpose, now));
        self.next
    }

    /// The answer has come.
    pub(crate) fn close(&mut self, id: u64) -> Option<Purpose> {
        self.open.remove(&id).map(|(purpose, _)| purpose)
    }

    /// The newest one does not leave after all.
    pub(crate) fn close_newest(&mut self) {
        self.open.pop_last();
    }

    /// When the oldest one left.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.open.first_key_value().map(|(_, (_, at))| *at)
    }

    /// One that left at or before `limit`, given up.
    pub(crate) fn expire(&mut self, limit: u64) -> Option<Purpose> {
        let entry = self.open.first_entry()?;
        (entry.get().1 <= limit).then(|| entry.remove().0)
    }

    /// The connection is gone.
    pub(crate) fn clear(&mut self) {
        self.open.clear();
    }
}

/// A caller's request.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) call: Call,
    pub(crate) deadline: u64,
    /// It may be repeated: it changes nothing, or carries a client id.
    pub(crate) repeatable: bool,
    not_before: u64,
    attempts: u32,
}

/// Callers' requests, waiting or in flight.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    all: BTreeMap<u64, Asked>,
    waiting: VecDeque<u64>,
}

impl Calls {
    /// Takes one.
    pub(crate) fn add(&mut self, ticket: u64, call: Call, deadline: u64) {
        let repeatable = !matches!(call, Call::TypingSet(_));
        let asked = Asked { call, deadline, repeatable, not_before: 0, attempts: 0 };
        self.all.insert(ticket, asked);
        self.waiting.push_back(ticket);
    }

    /// The next one to leave.
    pub(crate) fn next(&mut self, now: u64) -> Option<(u64, &Call)> {
        let at = self
            .waiting
            .iter()
            .position(|ticket| self.all.get(ticket).is_none_or(|asked| asked.not_before <= now))?;
        let ticket = self.waiting.remove(at)?;
        Some((ticket, &self.all.get(&ticket)?.call))
    }

    /// Again, not before `retry_after_ms` from now; the pause grows by itself too. False where
    /// the deadline would pass.
    pub(crate) fn again(&mut self, now: u64, ticket: u64, retry_after_ms: u64) -> bool {
        let Some(asked) = self.all.get_mut(&ticket) else { return false };
        let pause = (100 << asked.attempts.min(6)).max(retry_after_ms);
        asked.attempts += 1;
        asked.not_before = now + pause;
        if !asked.repeatable || asked.not_before >= asked.deadline {
            return false;
        }
        self.waiting.push_back(ticket);
        true
    }

    /// It has its result.
    pub(crate) fn remove(&mut self, ticket: u64) -> Option<Asked> {
        self.waiting.retain(|waiting| *waiting != ticket);
        self.all.remove(&ticket)
    }

    /// The connection is gone: repeatable ones wait for the next, in their old order; gives back
    /// the others.
    pub(crate) fn disconnected(&mut self) -> Vec<u64> {
        let lost = self.all.iter().filter(|(_, asked)| !asked.repeatable);
        let lost: Vec<u64> = lost.map(|(ticket, _)| *ticket).collect();
        for ticket in &lost {
            self.all.remove(ticket);
        }
        self.waiting = self.all.keys().copied().collect();
        self.all.values_mut().for_each(|asked| asked.not_before = 0);
        lost
    }

    /// The one with the earliest deadline.
    pub(crate) fn first_deadline(&self) -> Option<(u64, u64)> {
        self.all.iter().map(|(ticket, asked)| (asked.deadline, *ticket)).min()
    }

    /// When [`Self::next`] may have something because time passes.
    pub(crate) fn due(&self, now: u64) -> Option<u64> {
        let times = self.waiting.iter().filter_map(|ticket| Some(self.all.get(ticket)?.not_before));
        times.filter(|at| *at > now).min()
    }

    /// Every ticket, all forgotten.
    pub(crate) fn drain(&mut self) -> Vec<u64> {
        self.waiting.clear();
        std::mem::take(&mut self.all).into_keys().collect()
    }
}
