//! A session's sends from their appending to their outcome. Two things hang on them: the `accepted`
//! that is owed until the record is durable, and how far acceptance may run ahead of delivery: a
//! session that has as many undecided sends as requests may be in flight is not read from before
//! one is decided, so what a client pours in comes out at the pace of the slowest step.

use std::{cell::Cell, collections::VecDeque, rc::Rc, time::Duration};

use harkara_domain::{ClientId, ConversationId};
use harkara_protocol::client::RequestId;

use crate::Config;

/// Undecided sends of a thread, counted by all of its sessions.
#[derive(Debug)]
pub struct Load {
    undecided: Cell<usize>,
    thread_max: usize,
    session_max: usize,
    patience_ns: u64,
}

impl Load {
    /// Nothing is under way.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let patience: Duration = config.outcome_timeout.into();
        Self {
            undecided: Cell::new(0),
            thread_max: config.undecided_sends_max,
            session_max: config.requests_in_flight_max,
            patience_ns: u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX),
        }
    }

    /// Is there as much under way as the thread takes?
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.undecided.get() >= self.thread_max
    }

    /// Is nothing under way?
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.undecided.get() == 0
    }
}

#[derive(Debug)]
struct Undecided {
    conversation: ConversationId,
    client_id: ClientId,
    /// The request, until it is answered.
    owed: Option<RequestId>,
    /// When, on the clock that never goes back.
    since: u64,
}

/// The undecided sends of one session, in the order of their appending.
#[derive(Debug)]
pub struct Sends {
    load: Rc<Load>,
    undecided: VecDeque<Undecided>,
}

impl Sends {
    /// None yet.
    #[must_use]
    pub fn new(load: Rc<Load>) -> Self {
        Self { load, undecided: VecDeque::new() }
    }

    /// A send is being appended.
    pub fn begin(&mut self, to: ConversationId, client_id: ClientId, request: RequestId, now: u64) {
        let owed = Some(request);
        self.undecided.push_back(Undecided { conversation: to, client_id, owed, since: now });
        self.load.undecided.set(self.load.undecided.get() + 1);
    }

    /// The record is durable. True where the request has no answer yet.
    pub fn appended(&mut self, request: &RequestId) -> bool {
        self.find(request).and_then(|index| self.undecided.get_mut(index)?.owed.take()).is_some()
    }

    /// The append failed, or nobody knows. False where the record turned out to be durable.
    pub fn failed(&mut self, request: &RequestId) -> bool {
        let found = self.find(request);
        found.is_some_and(|index| self.remove(index).is_some())
    }

    /// An outcome is about to be told: a request that it decides and that has no answer yet. Call it
    /// until there is none.
    pub fn decided(&mut self, from: ConversationId, client_id: ClientId) -> Option<RequestId> {
        let same = |u: &Undecided| (u.conversation, u.client_id) == (from, client_id);
        while let Some(index) = self.undecided.iter().position(same) {
            let decided = self.remove(index)?;
            if decided.owed.is_some() {
                return decided.owed;
            }
        }
        None
    }

    /// Forgets sends whose outcome was lost on its way: their client asks for it by a repeat.
    pub fn expire(&mut self, now: u64) {
        let patience = self.load.patience_ns;
        let lost = |u: &Undecided| u.owed.is_none() && now.saturating_sub(u.since) > patience;
        while let Some(index) = self.undecided.iter().position(lost) {
            self.remove(index);
        }
    }

    /// As many are undecided as may be.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.undecided.len() >= self.load.session_max
    }

    fn find(&self, request: &RequestId) -> Option<usize> {
        self.undecided.iter().position(|undecided| undecided.owed.as_ref() == Some(request))
    }

    fn remove(&mut self, index: usize) -> Option<Undecided> {
        let removed = self.undecided.remove(index)?;
        self.load.undecided.set(self.load.undecided.get() - 1);
        if self.undecided.is_empty() {
            // An idle session owns no memory here.
            self.undecided = VecDeque::new();
        }
        Some(removed)
    }
}

impl Drop for Sends {
    fn drop(&mut self) {
        self.load.undecided.set(self.load.undecided.get() - self.undecided.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOM: ConversationId = ConversationId::from_bytes([1; 16]);

    fn id(n: u8) -> ClientId {
        ClientId::from_bytes([n; 16])
    }

    fn request(n: u8) -> RequestId {
        serde_json::from_str(&n.to_string()).expect("an id")
    }

    fn sends(load: &Rc<Load>) -> Sends {
        Sends::new(Rc::clone(load))
    }

    fn load() -> Rc<Load> {
        let config =
            Config { requests_in_flight_max: 2, undecided_sends_max: 3, ..Config::default() };
        Rc::new(Load::new(&config))
    }

    #[test]
    fn full_until_decided_and_answered_once() {
        let load = load();
        let (mut first, mut second) = (sends(&load), sends(&load));
        first.begin(ROOM, id(1), request(1), 0);
        first.begin(ROOM, id(2), request(2), 0);
        assert!(first.is_full() && !load.is_full());
        second.begin(ROOM, id(1), request(1), 0);
        assert!(load.is_full());
        assert!(first.appended(&request(1)), "its answer is owed");
        assert!(first.is_full(), "accepted is not decided");
        assert_eq!(first.decided(ROOM, id(1)), None, "answered before");
        assert!(!first.is_full() && !load.is_full());
        assert_eq!(first.decided(ROOM, id(2)), Some(request(2)), "the outcome was faster");
        assert!(!first.appended(&request(2)));
        drop(second);
        assert!(load.is_idle());
    }

    #[test]
    fn a_lost_outcome_is_not_waited_for_for_ever() {
        let load = load();
        let mut sends = sends(&load);
        sends.begin(ROOM, id(1), request(1), 0);
        sends.expire(u64::MAX);
        assert!(!load.is_idle(), "not appended yet: its answer is owed");
        assert!(sends.appended(&request(1)));
        sends.expire(1);
        assert!(!load.is_idle());
        sends.expire(u64::MAX);
        assert!(load.is_idle());
    }

    proptest! {
        /// Whatever happens in whatever order: each request is answered at most once, and the
        /// thread's count is what its sessions hold.
        #[test]
        fn answers_once_and_counts_right(ops in prop::collection::vec((0u8..5, 0u8..4), 0..100)) {
            let load = load();
            let mut sends = sends(&load);
            let (mut begun, mut answered) = ([0u32; 4], [0u32; 4]);
            for (op, n) in ops {
                let at = usize::from(n);
                match op {
                    0 => { sends.begin(ROOM, id(n), request(n), 0); begun[at] += 1; }
                    1 => answered[at] += u32::from(sends.appended(&request(n))),
                    2 => answered[at] += u32::from(sends.failed(&request(n))),
                    3 => while sends.decided(ROOM, id(n)).is_some() { answered[at] += 1; },
                    _ => sends.expire(u64::MAX),
                }
                prop_assert!(answered[at] <= begun[at]);
                prop_assert_eq!(load.undecided.get(), sends.undecided.len());
            }
            drop(sends);
            prop_assert!(load.is_idle());
        }
    }
}
