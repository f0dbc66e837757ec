//! Reading the store for those who missed something: the whole thread after the link lost
//! frames, or one session after its cursor (architecture D8). Only up to heads that the owner
//! confirmed (soundness S4).

use std::{rc::Rc, time::Duration};

use harkara_domain::{ConversationId, Event, Seq};
use harkara_protocol::json;

use super::{Hub, Key, feed::Offer};
use crate::transport::frames::encode_text_frame;

/// Events in one read: 200 × ~400 bytes = 80 KB.
const PAGE: usize = 200;

/// Between two looks at a full outbound queue, and between two tries of a store that failed.
const PAUSE: Duration = Duration::from_millis(20);

impl Hub {
    /// Reads what the link lost, and delivers it like live events. One repair per conversation.
    pub(super) fn repair(self: &Rc<Self>, conversation: ConversationId) {
        let hub = Rc::clone(self);
        let range = hub.begin_repair(conversation);
        if let Some((after, until)) = range {
            actix_rt::spawn(hub.run_repair(conversation, after, until));
        }
    }

    fn begin_repair(&self, conversation: ConversationId) -> Option<(Seq, Seq)> {
        self.state.borrow_mut().feeds.get_mut(&conversation)?.begin_repair()
    }

    async fn run_repair(self: Rc<Self>, conversation: ConversationId, after: Seq, until: Seq) {
        let mut range = Some((after, until));
        while let Some((after, until)) = range {
            let page = self.page(conversation, after, until).await;
            for event in &page {
                self.repaired(conversation, event);
            }
            range = {
                let mut state = self.state.borrow_mut();
                let feed = state.feeds.get_mut(&conversation);
                feed.and_then(|feed| {
                    feed.end_repair();
                    feed.begin_repair()
                })
            };
        }
    }

    fn repaired(self: &Rc<Self>, conversation: ConversationId, event: &Event) {
        let next = {
            let mut state = self.state.borrow_mut();
            let feed = state.feeds.get_mut(&conversation);
            feed.is_some_and(|feed| feed.offer(event.seq) == Offer::Next)
        };
        if next {
            self.deliver(conversation, event);
        }
    }

    /// Brings one session from its place to the head, then it is live.
    pub(super) fn catch_up(self: &Rc<Self>, key: Key, conversation: ConversationId) {
        let Some(place) = self.place(key, conversation) else { return };
        if self.advance(key, conversation, place).is_some() {
            actix_rt::spawn(Rc::clone(self).run_catch_up(key, conversation));
        }
    }

    fn place(&self, key: Key, conversation: ConversationId) -> Option<Seq> {
        Some(self.state.borrow().feeds.get(&conversation)?.place(key)?.at)
    }

    fn advance(&self, key: Key, conversation: ConversationId, at: Seq) -> Option<(Seq, Seq)> {
        self.state.borrow_mut().feeds.get_mut(&conversation)?.advance(key, at)
    }

    async fn run_catch_up(self: Rc<Self>, key: Key, conversation: ConversationId) {
        let Ok(_permit) = self.catch_ups.acquire().await else { return };
        while let Some(at) = self.place(key, conversation) {
            let Some((after, until)) = self.advance(key, conversation, at) else { return };
            let page = self.page(conversation, after, until).await;
            let Some(peer) = self.peer(key) else { return };
            // Catching up must not be what makes a reader slow.
            while peer.outlet.queued_bytes() > self.config.outbound_soft_bytes {
                tokio::time::sleep(PAUSE).await;
                if self.peer(key).is_none() {
                    return;
                }
            }
            // It may have left, or been removed and added again, while the page was read.
            if self.place(key, conversation) != Some(after) {
                continue;
            }
            for event in &page {
                if peer.device == event.device {
                    peer.accepted_first(event.client_id);
                }
                peer.outlet.send(encode_text_frame(&json::encode_event(conversation, event)));
                if event.leavers().contains(&peer.user) {
                    // Removed before it joined here: this is the last thing it may see (S4).
                    return self.forget(key, conversation);
                }
            }
            self.metrics.delivered(page.len() as u64);
            if let Some(last) = page.last() {
                self.advance(key, conversation, last.seq);
            }
        }
    }

    /// A page of events; waits for the store as long as it takes.
    async fn page(&self, conversation: ConversationId, after: Seq, until: Seq) -> Vec<Event> {
        loop {
            match self.store.events(conversation, after, until, PAGE).await {
                Ok(page) if !page.is_empty() => return page,
                Ok(_) => {
                    tracing::warn!(%conversation, after, until, "the store has no such events yet")
                }
                Err(error) => {
                    tracing::warn!(%conversation, %error, "history not read, will be done again")
                }
            }
            tokio::time::sleep(PAUSE * 10).await;
            let listened = self.state.borrow().feeds.contains_key(&conversation);
            if !listened {
                return Vec::new();
            }
        }
    }
}
