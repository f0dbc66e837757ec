//! Reading the store for those who missed something: the whole thread after the link lost
//! frames, or one session after its cursor (architecture D8). Only up to heads that the owner
//! confirmed (soundness S4).

use std::{rc::Rc, time::Duration};

use harkara_domain::{ConversationId, Event, Seq};
use harkara_protocol::json;
use harkara_service_runtime::sabotage::{Rule, is_broken};

use super::{
    Hub, Key,
    feed::{Offer, Place},
};
use crate::{peer::Peer, transport::frames::encode_text_frame};

/// Events in one read: 64 × ~400 bytes = 25 KB, and 2 MB at the very worst.
const PAGE: usize = 64;

/// Between two looks at a full outbound queue, and between two tries of a store that failed.
const PAUSE: Duration = Duration::from_millis(20);

impl Hub {
    /// Reads what the link lost, and delivers it like live events. One repair per conversation.
    pub(super) fn repair(self: &Rc<Self>, conversation: ConversationId) {
        if is_broken(Rule::NoRepair) {
            return;
        }
        let hub = Rc::clone(self);
        let range = hub.begin_repair(conversation);
        if let Some((after, until)) = range {
            let repairing = Rc::clone(&hub).run_repair(conversation, after, until);
            actix_rt::spawn(hub.guarded_task(conversation, repairing));
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
        let begins = {
            let mut state = self.state.borrow_mut();
            let feed = state.feeds.get_mut(&conversation);
            feed.is_some_and(|feed| {
                let at = feed.place(key).map_or(0, |place| place.at);
                feed.advance(key, at).is_some() && feed.begin_catch_up(key)
            })
        };
        if begins {
            let catching_up = Rc::clone(self).run_catch_up(key, conversation);
            actix_rt::spawn(Rc::clone(self).guarded_task(conversation, catching_up));
        }
    }

    pub(super) fn place_of(&self, key: Key, conversation: ConversationId) -> Option<Place> {
        self.state.borrow().feeds.get(&conversation)?.place(key)
    }

    fn advance(&self, key: Key, conversation: ConversationId, at: Seq) -> Option<(Seq, Seq)> {
        self.state.borrow_mut().feeds.get_mut(&conversation)?.advance(key, at)
    }

    async fn run_catch_up(self: Rc<Self>, key: Key, conversation: ConversationId) {
        let Some(peer) = self.peer(key) else { return };
        let Ok(_one_at_a_time) = peer.catch_up.acquire().await else { return };
        while let Some(place) = self.place_of(key, conversation) {
            let Some((after, until)) = self.advance(key, conversation, place.at) else { break };
            if !self.has_drained(key, &peer).await {
                return;
            }
            // The permit covers the read only: a slow reader must not hold up the others.
            let Ok(permit) = self.catch_ups.acquire().await else { return };
            let page = self.page(conversation, after, until).await;
            drop(permit);
            if !self.send_page(key, &peer, conversation, &page).await {
                break;
            }
        }
        let mut state = self.state.borrow_mut();
        if let Some(feed) = state.feeds.get_mut(&conversation) {
            feed.end_catch_up(key);
        }
    }

    /// Sends events as far as they are the next ones for the session; it may have left meanwhile,
    /// or been removed and added again. False where there is nothing more to do.
    async fn send_page(
        self: &Rc<Self>,
        key: Key,
        peer: &Peer,
        conversation: ConversationId,
        page: &[Event],
    ) -> bool {
        for event in page {
            if !self.has_drained(key, peer).await {
                return false;
            }
            if self.place_of(key, conversation).is_none_or(|place| place.at + 1 != event.seq) {
                continue;
            }
            if peer.device == event.device {
                peer.accepted_first(conversation, event.client_id, self.clock.elapsed_ns());
            }
            peer.outlet.send(encode_text_frame(&json::encode_event(conversation, event)));
            self.metrics.delivered(1);
            self.advance(key, conversation, event.seq);
            if event.leavers().contains(&peer.user) {
                // Removed before it joined here: this is the last thing it may see (S4).
                self.removed(key, conversation, event.seq);
                return false;
            }
        }
        true
    }

    /// Waits until the client has read most of what waits for it: catching up must not be what
    /// makes a reader slow. False when the session is gone.
    async fn has_drained(&self, key: Key, peer: &Peer) -> bool {
        while peer.outlet.queued_bytes() > self.config.outbound_soft_bytes {
            tokio::time::sleep(PAUSE).await;
            if self.peer(key).is_none() {
                return false;
            }
        }
        self.peer(key).is_some()
    }

    /// A page of events; waits for the store as long as it takes, and for a live link to the
    /// owner: what it confirmed holds only while it could take it back (S4).
    async fn page(&self, conversation: ConversationId, after: Seq, until: Seq) -> Vec<Event> {
        loop {
            while !self.reaches(conversation) {
                tokio::time::sleep(PAUSE * 10).await;
                if !self.state.borrow().feeds.contains_key(&conversation) {
                    return Vec::new();
                }
            }
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
