//! Read cursors: they only move forward, are written in coalesced batches, and answered and told
//! when written (architecture D9).

use std::{collections::BTreeMap, sync::Arc};

use actix::prelude::*;
use harkara_domain::{ConversationId, Cursor, UserId, limits::LIVE_NOTICES_MEMBERS_MAX};
use harkara_engine::{
    EndpointId,
    link::{Answer, What},
};

use super::actor::PartitionActor;

/// Who waits for a cursor to be written.
#[derive(Debug, Clone, Copy)]
pub struct Waiter {
    pub(super) from: EndpointId,
    pub(super) request: u64,
}

/// In the order of their ids, so that a run can be repeated.
type Moves = BTreeMap<ConversationId, BTreeMap<UserId, (Cursor, Vec<Waiter>)>>;

/// Cursors that moved and aren't written yet. Bounded by the requests in flight of all sessions.
#[derive(Debug, Default)]
pub struct Cursors {
    moved: Moves,
    flushing: bool,
    /// Conversations whose cursors are being written.
    writing: Vec<ConversationId>,
}

impl Cursors {
    /// Are cursors of this conversation not yet written? Then a state that is loaded now could
    /// miss them.
    pub fn moving(&self, conversation: ConversationId) -> bool {
        self.moved.contains_key(&conversation) || self.writing.contains(&conversation)
    }

    /// Is anything not yet written?
    pub const fn busy(&self) -> bool {
        self.flushing
    }
}

impl PartitionActor {
    /// Takes in a moved cursor; it is written with the next batch.
    pub(super) fn move_cursor(
        &mut self,
        conversation: ConversationId,
        user: UserId,
        cursor: Cursor,
        waiter: Waiter,
        ctx: &mut Context<Self>,
    ) {
        let users = self.cursors.moved.entry(conversation).or_default();
        let (newest, waiters) = users.entry(user).or_default();
        *newest = cursor.max(*newest);
        waiters.push(waiter);
        if !self.cursors.flushing {
            self.cursors.flushing = true;
            let pause = self.context.config.cursor_flush.into();
            ctx.run_later(pause, Self::flush_cursors);
        }
    }

    fn flush_cursors(&mut self, ctx: &mut Context<Self>) {
        let moved = std::mem::take(&mut self.cursors.moved);
        self.cursors.writing = moved.keys().copied().collect();
        let (store, patience) = (Arc::clone(&self.context.store), self.patience.clone());
        let writing = async move {
            for (conversation, users) in &moved {
                let cursors: Vec<_> = users.iter().map(|(user, (c, _))| (*user, *c)).collect();
                let advance = || store.advance(*conversation, cursors.clone());
                patience.store("write read cursors", advance).await;
            }
            moved
        };
        ctx.spawn(writing.into_actor(self).map(|written, actor, ctx| {
            for (conversation, users) in written {
                actor.at_work.begin(conversation);
                for (user, (cursor, waiters)) in users {
                    actor.cursor_written(conversation, user, cursor, waiters);
                }
            }
            actor.at_work.end();
            actor.cursors.writing.clear();
            actor.cursors.flushing = !actor.cursors.moved.is_empty();
            if actor.cursors.flushing {
                actor.flush_cursors(ctx);
            }
            actor.commit(ctx);
        }));
    }

    fn cursor_written(
        &mut self,
        conversation: ConversationId,
        user: UserId,
        cursor: Cursor,
        waiters: Vec<Waiter>,
    ) {
        let (mut small, mut newest) = (true, cursor);
        if let Some(ready) = self.slots.get_mut(&conversation).and_then(|slot| slot.ready_mut()) {
            let known = ready.cursors.entry(user).or_default();
            *known = cursor.max(*known);
            // A lower one may have been asked for while a higher one was being written.
            newest = *known;
            small = ready.state.members.len() <= LIVE_NOTICES_MEMBERS_MAX;
        }
        for waiter in waiters {
            self.reply(conversation, waiter.from, waiter.request, Answer::Advanced);
        }
        if small {
            self.delivery.publish(conversation, What::Read { user, cursor: newest });
        }
    }
}
