//! What a device saw, held against what is stored.

use std::collections::BTreeMap;

use harkara_domain::{
    ClientId, ConversationId, Seq, UserId,
    invariants::{
        ACKNOWLEDGED_IS_DURABLE, CURSOR_IS_MONOTONIC, MEMBERS_ONLY, ORDER_IS_SHARED,
        SEQUENCE_IS_GAPLESS, VISIBLE_ONCE,
    },
};

use super::{
    Breach,
    history::{Stored, Told},
};
use crate::device::{
    Device,
    witness::{Note, Saw},
};

struct Check<'a> {
    device: &'a Device,
    stored: &'a Stored,
    told: &'a Told,
    breaches: Vec<Breach>,
    /// The last event of each conversation that this life of the device showed.
    shown: BTreeMap<ConversationId, Seq>,
    /// The same of frames in this session.
    framed: BTreeMap<ConversationId, Seq>,
    /// Read marks of this session.
    read: BTreeMap<(ConversationId, UserId), Seq>,
}

/// Checks everything that a device saw.
#[must_use]
pub fn check(device: &Device, stored: &Stored, told: &Told) -> Vec<Breach> {
    let (breaches, shown, framed, read) = Default::default();
    let mut check = Check { device, stored, told, breaches, shown, framed, read };
    for note in device.witness.notes().iter() {
        check.saw(note);
    }
    check.breaches
}

impl Check<'_> {
    fn breach(&mut self, invariant: &'static str, what: &str) {
        let what = format!("device {}: {what}", self.device.who.number);
        self.breaches.push(Breach::of(invariant, what));
    }

    fn saw(&mut self, note: &Note) {
        match &note.saw {
            Saw::Begun => {
                self.shown.clear();
                self.framed.clear();
            }
            Saw::Opened => {
                self.framed.clear();
                self.read.clear();
            }
            Saw::Wire(conversation, seq) => self.framed(*conversation, *seq),
            Saw::Event(conversation, seq, chain) => {
                self.received(*conversation, *seq, chain);
                if let Some(before) = self.shown.insert(*conversation, *seq)
                    && before + 1 != *seq
                {
                    let what = format!("{conversation}: {seq} is shown after {before}");
                    self.breach(ORDER_IS_SHARED.name, &what);
                }
            }
            Saw::Page(conversation, seq, chain) => self.received(*conversation, *seq, chain),
            Saw::Skipped(conversation, first, last) => self.skipped(*conversation, *first, *last),
            Saw::Reset(conversation) => {
                let what = format!("{conversation}: the server had less than before");
                self.breach(ACKNOWLEDGED_IS_DURABLE.name, &what);
                self.shown.remove(conversation);
            }
            Saw::Appeared(conversation) => {
                self.framed.remove(conversation);
            }
            Saw::Left(conversation) => {
                self.framed.remove(conversation);
                self.shown.remove(conversation);
            }
            Saw::Read(conversation, user, seq) => self.read(*conversation, *user, *seq),
            Saw::Entry { .. } | Saw::Advancing(..) | Saw::Advanced(..) => {}
            Saw::Accepted(conversation, client_id) => {
                self.accepted(*conversation, *client_id, note.at_ms);
            }
            outcome => self.outcome(outcome),
        }
    }

    fn framed(&mut self, conversation: ConversationId, seq: Seq) {
        if let Some(before) = self.framed.insert(conversation, seq)
            && before + 1 != seq
            // Removed and added again, which the device is told of later.
            && !self.joins(conversation, seq)
        {
            let what = format!("{conversation}: frame {seq} came after {before}");
            self.breach(ORDER_IS_SHARED.name, &what);
        }
    }

    fn joins(&self, conversation: ConversationId, seq: Seq) -> bool {
        let history = self.stored.histories.get(&conversation);
        history.is_some_and(|history| history.joins(self.device.who.user, seq))
    }

    fn received(&mut self, conversation: ConversationId, seq: Seq, chain: &str) {
        let user = self.device.who.user;
        let history = self.stored.histories.get(&conversation);
        let stored = history.and_then(|history| history.chain(seq));
        if stored != Some(chain) {
            let what = format!("{conversation}: {seq} is another one than the stored one");
            self.breach(SEQUENCE_IS_GAPLESS.name, &what);
        } else if !history.is_some_and(|history| history.sees(user, seq)) {
            let what = format!("{conversation}: {seq} was shown to {user}, who may not see it");
            self.breach(MEMBERS_ONLY.name, &what);
        }
    }

    /// Only what lies in front of a joining may be left out.
    fn skipped(&mut self, conversation: ConversationId, first: Seq, last: Seq) {
        self.shown.insert(conversation, last);
        if !self.joins(conversation, last + 1) {
            let what = format!("{conversation}: {first}..={last} were left out");
            self.breach(ORDER_IS_SHARED.name, &what);
        }
    }

    fn read(&mut self, conversation: ConversationId, user: UserId, seq: Seq) {
        let known = self.read.insert((conversation, user), seq);
        if let Some(before) = known.filter(|before| *before > seq) {
            let what = format!("{conversation}: {user} had read {before}, then only {seq}");
            self.breach(CURSOR_IS_MONOTONIC.name, &what);
        }
    }

    fn place(&self, client_id: ClientId) -> Option<(ConversationId, Seq)> {
        self.stored.requests.get(&(self.device.who.device, client_id)).copied()
    }

    /// What is accepted is in the log at that time, and stays.
    fn accepted(&mut self, conversation: ConversationId, client_id: ClientId, at_ms: u64) {
        let key = (self.device.who.device, client_id);
        if self.place(client_id).is_none() && !self.told.refused.contains(&key) {
            let what = format!("{conversation}: {client_id} was accepted and is nowhere");
            self.breach(ACKNOWLEDGED_IS_DURABLE.name, &what);
        } else if self.told.landed_ms.get(&key).is_some_and(|landed| *landed > at_ms) {
            let what = format!("{conversation}: {client_id} was accepted before the log had it");
            self.breach(ACKNOWLEDGED_IS_DURABLE.name, &what);
        }
    }

    fn outcome(&mut self, saw: &Saw) {
        match saw {
            Saw::Settled(conversation, client_id, seq)
                if self.place(*client_id) != Some((*conversation, *seq)) =>
            {
                let what = format!("{conversation}: {client_id} does not stand at {seq}");
                self.breach(ACKNOWLEDGED_IS_DURABLE.name, &what);
            }
            Saw::Settled(..) => {}
            Saw::Changed(conversation, client_id, seq) => {
                let place = self.place(*client_id);
                let is = place.is_some_and(|(of, at)| Some(of) == *conversation && at == *seq);
                // Who creates what exists already gets its first event.
                if !is && *seq != 1 {
                    let what = format!("{client_id} does not stand at {seq}, as was answered");
                    self.breach(ACKNOWLEDGED_IS_DURABLE.name, &what);
                }
            }
            Saw::Rejected(_, client_id) | Saw::Refused(client_id) => {
                if let Some(place) = self.place(*client_id) {
                    let what = format!("{client_id} was refused and stands at {place:?}");
                    self.breach(VISIBLE_ONCE.name, &what);
                }
            }
            _ => {}
        }
    }
}
