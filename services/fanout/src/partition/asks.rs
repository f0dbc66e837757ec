//! What gateways ask an owner. Answers come from the state between two written steps, so they
//! never tell of anything that isn't stored (soundness S3, S4).

use actix::prelude::*;
use harkara_domain::{ConversationId, Cursor, Seq, UserId, limits::LIVE_NOTICES_MEMBERS_MAX};
use harkara_engine::{
    EndpointId, Up,
    link::{Answer, What},
};

use super::{actor::PartitionActor, cursors::Waiter, persist};
use crate::conversation::{slot::Slot, view};

/// Questions that may wait at one conversation while it is loaded or written: a write takes
/// milliseconds, and 4,096 questions × ~100 bytes = 400 KiB.
const ASKS_MAX: usize = 4_096;

impl StreamHandler<(EndpointId, Up)> for PartitionActor {
    fn handle(&mut self, (from, up): (EndpointId, Up), ctx: &mut Self::Context) {
        if self.released {
            // The next owner is asked again, as soon as the directory names it.
            return;
        }
        let conversation = up.conversation();
        if self.aside.contains(&conversation) {
            return self.turn_away(from, &up);
        }
        match up {
            Up::SubscribeInbox { user, .. } => {
                self.delivery.subscribe(conversation, from, user);
                let what = What::Subscribed { head: 0, entries: vec![(user, None)] };
                self.delivery.tell(from, conversation, what);
            }
            Up::Unsubscribe { users, .. } if !self.asked(conversation) => {
                self.delivery.unsubscribe(conversation, from, &users);
            }
            ask => {
                if self.slot(conversation).push_ask(from, ask, ASKS_MAX) {
                    self.drive(conversation, ctx);
                }
            }
        }
    }

    /// The link closed: the actor ends by [`super::actor::Release`], not by this.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl PartitionActor {
    /// Answers everything that waits at a conversation.
    pub(super) fn answer(&mut self, conversation: ConversationId, ctx: &mut Context<Self>) {
        for (from, ask) in self.slot(conversation).take_asks() {
            match ask {
                Up::Subscribe { users, .. } => self.subscribe(conversation, from, users),
                Up::Members { request, user, after, limit, .. } => {
                    let answer = self.members(conversation, user, after, limit);
                    self.reply(conversation, from, request, answer);
                }
                Up::Entry { request, user, .. } => {
                    let entry = self.entry(conversation, user);
                    let answer = entry.map_or(Answer::NotFound, Answer::Entry);
                    self.reply(conversation, from, request, answer);
                }
                Up::Advance { request, user, seq, .. } => {
                    let waiter = Waiter { from, request };
                    self.advance(conversation, user, seq, waiter, ctx);
                }
                Up::Typing { user, active, .. } => {
                    let entry = self.entry(conversation, user);
                    let most = LIVE_NOTICES_MEMBERS_MAX;
                    if entry.is_some_and(|e| usize::try_from(e.members).is_ok_and(|n| n <= most)) {
                        self.delivery.publish(conversation, What::Typing { user, active });
                    }
                }
                Up::Unsubscribe { users, .. } => {
                    self.delivery.unsubscribe(conversation, from, &users);
                }
                Up::SubscribeInbox { .. } => {}
            }
        }
    }

    /// Nobody knows the state of a conversation that was set aside.
    fn turn_away(&mut self, from: EndpointId, up: &Up) {
        if let Up::Advance { request, .. }
        | Up::Members { request, .. }
        | Up::Entry { request, .. } = up
        {
            self.reply(up.conversation(), from, *request, Answer::Unavailable);
        }
    }

    /// Do questions wait there? Then an end of subscription must not overtake its beginning.
    fn asked(&self, conversation: ConversationId) -> bool {
        self.slots.get(&conversation).is_some_and(Slot::asked)
    }

    pub(super) fn reply(
        &mut self,
        conversation: ConversationId,
        to: EndpointId,
        request: u64,
        answer: Answer,
    ) {
        self.delivery.tell(to, conversation, What::Answer { request, answer });
    }

    fn entry(&self, conversation: ConversationId, user: UserId) -> Option<harkara_domain::Entry> {
        let ready = self.slots.get(&conversation)?.ready()?;
        view::entry(&ready.state, &ready.cursors, user)
    }

    fn subscribe(&mut self, conversation: ConversationId, from: EndpointId, users: Vec<UserId>) {
        let ready = self.slots.get(&conversation).and_then(|slot| slot.ready());
        let head = ready.map_or(0, |ready| ready.state.head);
        let entries: Vec<_> =
            users.into_iter().map(|user| (user, self.entry(conversation, user))).collect();
        for (user, entry) in &entries {
            if entry.is_some() {
                self.delivery.subscribe(conversation, from, *user);
            }
        }
        self.delivery.tell(from, conversation, What::Subscribed { head, entries });
    }

    fn members(
        &self,
        conversation: ConversationId,
        user: UserId,
        after: Option<UserId>,
        limit: usize,
    ) -> Answer {
        match self.slots.get(&conversation).and_then(|slot| slot.ready()) {
            Some(ready) if ready.state.members.contains_key(&user) => {
                let (page, more) = view::members(&ready.state, after, limit);
                Answer::Members(page, more)
            }
            _ => Answer::NotFound,
        }
    }

    /// Moves a read cursor, once the ordinal at its place is known.
    fn advance(
        &mut self,
        conversation: ConversationId,
        user: UserId,
        seq: Seq,
        waiter: Waiter,
        ctx: &mut Context<Self>,
    ) {
        let ready = self.slots.get(&conversation).and_then(|slot| slot.ready());
        let known = ready.and_then(|r| Some((&r.state, view::read(&r.state, &r.cursors, user)?)));
        let answer = match known {
            None => Some(Answer::NotFound),
            Some((state, _)) if seq > state.head => Some(Answer::BeyondHead(state.head)),
            Some((_, read)) if seq <= read.seq => Some(Answer::Advanced),
            Some((state, _)) if seq == state.head => {
                let cursor = Cursor { seq, ordinal: state.ordinal };
                return self.move_cursor(conversation, user, cursor, waiter, ctx);
            }
            Some(_) => None,
        };
        if let Some(answer) = answer {
            return self.reply(conversation, waiter.from, waiter.request, answer);
        }
        let store = std::sync::Arc::clone(&self.context.store);
        let reading = async move { persist::ordinal_at(&*store, conversation, seq).await };
        let reading = self.at_work.clone().at(conversation, reading);
        ctx.spawn(reading.into_actor(self).map(move |ordinal, actor, ctx| match ordinal {
            Some(ordinal) => {
                actor.move_cursor(conversation, user, Cursor { seq, ordinal }, waiter, ctx);
            }
            None => actor.reply(conversation, waiter.from, waiter.request, Answer::Unavailable),
        }));
    }
}
