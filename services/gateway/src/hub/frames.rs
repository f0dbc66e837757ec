//! What owners say, taken one frame at a time.

use std::{rc::Rc, sync::Arc};

use harkara_domain::{Body, ConversationId, Entry, Event, Seq, UserId};
use harkara_engine::{Down, Up, link::What};
use harkara_protocol::json;
use harkara_service_runtime::{
    Step,
    sabotage::{Rule, is_broken},
};

use super::{
    Hub, Key,
    entries::Word,
    feed::{Feed, Offer},
};
use crate::transport::frames::encode_text_frame;

impl Hub {
    /// Takes one frame: what [`Hub::run`] does with each that comes, and a bench with its own.
    /// Frames of an owner that was followed by another are dropped (S5).
    pub fn take(self: &Rc<Self>, down: &Down) {
        {
            let mut state = self.state.borrow_mut();
            let newest = state.epochs.entry(down.partition).or_default();
            if down.epoch < *newest && !is_broken(Rule::HearAnybody) {
                return;
            }
            *newest = down.epoch;
        }
        let conversation = down.conversation;
        match &down.what {
            What::Event(event) => self.event(conversation, event),
            What::Subscribed { head, entries } => self.subscribed(conversation, *head, entries),
            What::Outcome { device, client_id, outcome } => {
                self.outcome(conversation, *device, *client_id, *outcome);
            }
            What::Inbox { user, conversation: concerned, cause, present } => {
                self.inbox(conversation, *user, *concerned, *cause, *present);
            }
            What::Read { user, cursor } => self.read(conversation, *user, cursor.seq),
            What::Typing { user, active } => self.typing(conversation, *user, *active),
            What::Answer { request, answer } => self.answered(*request, answer),
        }
    }

    fn event(self: &Rc<Self>, conversation: ConversationId, event: &Arc<Event>) {
        let offer = {
            let mut state = self.state.borrow_mut();
            state.feeds.get_mut(&conversation).map(|feed| feed.offer(event.seq))
        };
        match offer {
            Some(Offer::Next) => self.deliver(conversation, event),
            Some(Offer::Gap) => self.repair(conversation),
            Some(Offer::Old) => {}
            // The last session left while this was on its way, or the end got lost.
            None if self.is_awaited(conversation) => {}
            None => drop(self.up(Up::Unsubscribe { conversation, users: Vec::new() })),
        }
    }

    /// Does somebody wait for the owner's word on it?
    fn is_awaited(&self, conversation: ConversationId) -> bool {
        self.state.borrow().entries.keys().any(|(awaited, _)| *awaited == conversation)
    }

    /// Gives the next event to every live session: encoded once, the same bytes for all.
    pub(super) fn deliver(self: &Rc<Self>, conversation: ConversationId, event: &Event) {
        let span = tracing::debug_span!("deliver", %conversation, seq = event.seq);
        let _entered = span.enter();
        let frame = encode_text_frame(&json::encode_event(conversation, event));
        let mut slow = Vec::new();
        let mut delivered = 0;
        {
            let mut state = self.state.borrow_mut();
            let state = &mut *state;
            let Some(feed) = state.feeds.get_mut(&conversation) else { return };
            for key in feed.give_out(event.seq) {
                let Some(local) = state.sessions.get(key) else { continue };
                let peer = &local.peer;
                if peer.device == event.device {
                    peer.accepted_first(conversation, event.client_id, self.clock.elapsed_ns());
                }
                peer.outlet.send(frame.clone());
                delivered += 1;
                if peer.outlet.queued_bytes() > self.config.outbound_hard_bytes {
                    slow.push(key);
                }
            }
        }
        self.metrics.delivered(delivered);
        let lag = self.clock.now_ms().saturating_sub(event.at).saturating_mul(1_000_000);
        self.metrics.step(Step::Deliver, lag);
        slow.into_iter().for_each(|key| self.evict_slow(key));
        self.after_event(conversation, event);
    }

    /// What an event means for subscriptions and lists, besides its delivery.
    fn after_event(self: &Rc<Self>, conversation: ConversationId, event: &Event) {
        self.expel(conversation, event.leavers(), event.seq);
        match &event.body {
            Body::Left { successor } => {
                self.refresh(conversation, |user| Some(user) == *successor);
            }
            Body::Updated { .. } => self.refresh(conversation, |_| true),
            Body::RoleSet { users, .. } => self.refresh(conversation, |u| users.contains(&u)),
            _ => {}
        }
    }

    /// The client doesn't read: a close frame could not get through either (architecture D13).
    fn evict_slow(&self, key: Key) {
        if let Some(peer) = self.peer(key) {
            tracing::info!(session = %peer.session, user = %peer.user, "session reset: reads too slowly");
            self.metrics.evicted("slow_reader");
            peer.outlet.reset();
        }
    }

    fn subscribed(
        self: &Rc<Self>,
        conversation: ConversationId,
        head: Seq,
        entries: &[(UserId, Option<Entry>)],
    ) {
        let unanswered = &self.said.unanswered;
        unanswered.set(unanswered.get().saturating_sub(1));
        if self.inbox_confirmed(conversation) {
            return;
        }
        let mut asked = Vec::new();
        let missing = {
            let mut state = self.state.borrow_mut();
            for (user, entry) in entries {
                for waiter in state.entries.remove(&(conversation, *user)).unwrap_or_default() {
                    asked.push((waiter, entry.clone()));
                }
            }
            let is_member = entries.iter().any(|(_, entry)| entry.is_some());
            let wanted = is_member || state.feeds.contains_key(&conversation);
            wanted && state.feeds.entry(conversation).or_default().confirm(head)
        };
        if missing {
            self.repair(conversation);
        }
        // Sessions that joined before the head was known.
        let waiting = self.state.borrow().feeds.get(&conversation).map(Feed::waiting);
        waiting.into_iter().flatten().for_each(|key| self.catch_up(key, conversation));
        self.refreshed(conversation, entries);
        for (user, entry) in entries {
            if entry.is_none() {
                self.not_a_member(conversation, *user);
            }
        }
        for (waiter, entry) in asked {
            // A session that ended meanwhile no longer waits; the sweep tells the owner.
            let _ = waiter.send(Word { head, entry });
        }
    }
}
