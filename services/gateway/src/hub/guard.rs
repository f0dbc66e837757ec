//! A hub serves all sessions of its thread in one task: a panic about one conversation must not end
//! that. It ends the sessions that follow the conversation here; their clients come back with their
//! cursors and read what they missed. Panics of a session's own task end that one by themselves.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use futures_util::FutureExt as _;
use harkara_domain::ConversationId;

use super::Hub;

/// Close code of RFC 6455 for "something unexpected".
const INTERNAL_ERROR: u16 = 1011;

impl Hub {
    /// Does something about a conversation, or about none. What was half done is thrown away with
    /// the conversation's feed; everything else is checked against owners all the time.
    pub(super) fn guarded(&self, about: Option<ConversationId>, work: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(work)).is_err()
            && let Some(conversation) = about
        {
            self.give_up(conversation);
        }
    }

    /// The same for a task of its own: nobody would wait for it any less if it were gone.
    pub(super) async fn guarded_task(
        self: Rc<Self>,
        about: ConversationId,
        task: impl Future<Output = ()>,
    ) {
        if AssertUnwindSafe(task).catch_unwind().await.is_err() {
            self.give_up(about);
        }
    }

    fn give_up(&self, conversation: ConversationId) {
        let followers: Vec<_> = {
            let mut state = self.state.borrow_mut();
            state.feeds.remove(&conversation);
            let locals = state.sessions.iter().map(|(_, local)| local);
            let following = locals.filter(|local| local.conversations.contains(&conversation));
            following.map(|local| local.peer.clone()).collect()
        };
        let sessions = followers.len();
        tracing::error!(%conversation, sessions, "a panic ended the sessions that follow it here");
        for peer in followers {
            self.metrics.evicted("panic");
            peer.outlet.close(INTERNAL_ERROR, "internal error");
        }
    }
}
