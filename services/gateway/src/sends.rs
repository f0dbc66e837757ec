//! A session's sends from their appending to their outcome. Two things hang on them: the `accepted`
//! that is owed until the record is durable, and how far acceptance may run ahead of delivery: a
//! session that has as many undecided sends as requests may be in flight is not read from before
//! one is decided, so what a client pours in comes out at the pace of the slowest step.

use std::{collections::VecDeque, rc::Rc};

use harkara_domain::{ClientId, ConversationId};
use harkara_protocol::client::RequestId;

use crate::load::{Entry, Load};

#[derive(Debug)]
struct Undecided {
    entry: Entry,
    client_id: ClientId,
    /// The request, until it is answered.
    owed: Option<RequestId>,
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
    pub fn begin(&mut self, entry: Entry, client_id: ClientId, request: RequestId) {
        if self.undecided.is_empty() {
            self.load.busy(true);
        }
        self.undecided.push_back(Undecided { entry, client_id, owed: Some(request) });
        self.load.begun(entry);
    }

    /// The record is durable. True where the request has no answer yet.
    pub fn appended(&mut self, request: &RequestId) -> bool {
        self.find(request).and_then(|index| self.undecided.get_mut(index)?.owed.take()).is_some()
    }

    /// The append failed, or nobody knows. False where the record turned out to be durable.
    pub fn failed(&mut self, request: &RequestId) -> bool {
        let Some(undecided) = self.find(request).and_then(|index| self.remove(index)) else {
            return false;
        };
        self.load.ended(undecided.entry);
        true
    }

    /// An outcome is about to be told: a request that it decides and that has no answer yet. Call it
    /// until there is none.
    pub fn decided(
        &mut self,
        from: ConversationId,
        client_id: ClientId,
        now: u64,
    ) -> Option<RequestId> {
        let same = |u: &Undecided| (u.entry.conversation, u.client_id) == (from, client_id);
        while let Some(index) = self.undecided.iter().position(same) {
            let decided = self.remove(index)?;
            self.load.decided(decided.entry, now);
            if decided.owed.is_some() {
                return decided.owed;
            }
        }
        None
    }

    /// Forgets sends whose outcome was lost on its way: their client asks for it by a repeat.
    pub fn expire(&mut self, now: u64) {
        let patience = self.load.patience_ns();
        let lost = |u: &Undecided| u.owed.is_none() && now.saturating_sub(u.entry.since) > patience;
        while let Some(index) = self.undecided.iter().position(lost) {
            let Some(expired) = self.remove(index) else { return };
            self.load.ended(expired.entry);
        }
    }

    /// How many are undecided.
    #[must_use]
    pub fn len(&self) -> usize {
        self.undecided.len()
    }

    /// Are none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.undecided.is_empty()
    }

    /// As many are undecided as may be.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.undecided.len() >= self.load.session_max()
    }

    fn find(&self, request: &RequestId) -> Option<usize> {
        self.undecided.iter().position(|undecided| undecided.owed.as_ref() == Some(request))
    }

    fn remove(&mut self, index: usize) -> Option<Undecided> {
        let removed = self.undecided.remove(index)?;
        if self.undecided.is_empty() {
            // An idle session owns no memory here.
            self.undecided = VecDeque::new();
            self.load.busy(false);
        }
        Some(removed)
    }
}

impl Drop for Sends {
    fn drop(&mut self) {
        if !self.undecided.is_empty() {
            self.load.busy(false);
        }
        for undecided in &self.undecided {
            self.load.ended(undecided.entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use harkara_domain::TenantId;
    use proptest::prelude::*;

    use super::*;
    use crate::Config;

    const ROOM: ConversationId = ConversationId::from_bytes([1; 16]);

    fn id(n: u8) -> ClientId {
        ClientId::from_bytes([n; 16])
    }

    fn request(n: u8) -> RequestId {
        serde_json::from_str(&n.to_string()).expect("an id")
    }

    const ENTRY: Entry =
        Entry { tenant: TenantId::from_bytes([7; 16]), conversation: ROOM, since: 0 };

    fn sends(load: &Rc<Load>) -> Sends {
        Sends::new(Rc::clone(load))
    }

    fn load() -> Rc<Load> {
        let config =
            Config { requests_in_flight_max: 2, undecided_sends_max: 3, ..Config::default() };
        Rc::new(Load::new(&config, Rc::default()))
    }

    fn takes(load: &Load) -> bool {
        load.admit(ENTRY, 0).is_ok()
    }

    #[test]
    fn full_until_decided_and_answered_once() {
        let load = load();
        let (mut first, mut second) = (sends(&load), sends(&load));
        first.begin(ENTRY, id(1), request(1));
        first.begin(ENTRY, id(2), request(2));
        assert!(first.is_full() && takes(&load));
        second.begin(ENTRY, id(1), request(1));
        assert!(!takes(&load));
        assert!(first.appended(&request(1)), "its answer is owed");
        assert!(first.is_full(), "accepted is not decided");
        assert_eq!(first.decided(ROOM, id(1), 1), None, "answered before");
        assert!(!first.is_full() && takes(&load));
        assert_eq!(first.decided(ROOM, id(2), 1), Some(request(2)), "the outcome was faster");
        assert!(!first.appended(&request(2)));
        drop(second);
        assert!(load.is_idle());
    }

    #[test]
    fn a_lost_outcome_is_not_waited_for_for_ever() {
        let load = load();
        let mut sends = sends(&load);
        sends.begin(ENTRY, id(1), request(1));
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
                    0 => { sends.begin(ENTRY, id(n), request(n)); begun[at] += 1; }
                    1 => answered[at] += u32::from(sends.appended(&request(n))),
                    2 => answered[at] += u32::from(sends.failed(&request(n))),
                    3 => while sends.decided(ROOM, id(n), 1).is_some() { answered[at] += 1; },
                    _ => sends.expire(u64::MAX),
                }
                prop_assert!(answered[at] <= begun[at]);
                prop_assert_eq!(load.under_way(), sends.undecided.len());
            }
            drop(sends);
            prop_assert!(load.is_idle());
        }
    }
}
