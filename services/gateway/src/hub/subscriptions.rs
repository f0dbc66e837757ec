//! Who listens to what on this thread, and keeping the owners' picture of it true.

use std::{rc::Rc, time::Duration};

use harkara_domain::{ConversationId, Entry, Seq, UserId};
use harkara_engine::Up;
use harkara_protocol::client::notifications::Change;
use tokio::sync::oneshot;

use super::{Hub, Key, feed::grow_gently};

/// Sweeps (of a second) that an end of subscription is remembered: longer than any session takes
/// between the owner's answer and following, which the owner's timeout bounds.
const ENDED_SWEEPS: u8 = 30;

/// The owner didn't answer in time, or can't be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the conversation's owner can't be reached")]
pub struct NoOwner;

impl Hub {
    /// Asks a conversation's owner to let a session's user listen: their entry, or none where
    /// they are no member. The session is not in the feed before [`Hub::follow`].
    pub async fn subscribe(
        &self,
        key: Key,
        conversation: ConversationId,
    ) -> Result<Option<Entry>, NoOwner> {
        let peer = self.peer(key).ok_or(NoOwner)?;
        let user = peer.user;
        let (answer, entry) = oneshot::channel();
        {
            let mut state = self.state.borrow_mut();
            state.entries.entry((conversation, user)).or_default().push(answer);
        }
        self.up(Up::Subscribe { conversation, users: vec![user] }).map_err(|_| NoOwner)?;
        let deadline: Duration = self.config.owner_timeout.into();
        let answer = tokio::time::timeout(deadline, entry).await.ok().and_then(Result::ok);
        // Named by somebody of another tenant: that conversation isn't theirs to see.
        answer.ok_or(NoOwner).map(|entry| entry.filter(|entry| entry.tenant == peer.tenant))
    }

    /// The same, asked again for as long as the session lives and the owner is silent.
    pub(crate) async fn entry_patiently(
        &self,
        key: Key,
        conversation: ConversationId,
    ) -> Option<Entry> {
        loop {
            self.peer(key)?;
            match self.subscribe(key, conversation).await {
                Ok(entry) => return entry,
                Err(NoOwner) => tokio::time::sleep(Duration::from_millis(250)).await,
            }
        }
    }

    /// Listens to the user's inbox.
    pub fn watch_inbox(&self, key: Key, inbox: ConversationId) {
        let Some(peer) = self.peer(key) else { return };
        {
            let mut state = self.state.borrow_mut();
            let keys = state.inboxes.entry(inbox).or_default();
            grow_gently(keys);
            keys.push(key);
        }
        if self.up(Up::SubscribeInbox { conversation: inbox, user: peer.user }).is_err() {
            self.resubscribe.set(true);
        }
    }

    /// From now on the session gets every event after `at`: first what is missing, then live.
    /// Changes nothing where it follows already.
    pub fn follow(self: &Rc<Self>, key: Key, conversation: ConversationId, from: Seq, at: Seq) {
        let ask_again = {
            let mut state = self.state.borrow_mut();
            let state = &mut *state;
            let Some(local) = state.sessions.get_mut(key) else { return };
            if !local.conversations.contains(&conversation) {
                grow_gently(&mut local.conversations);
                local.conversations.push(conversation);
            }
            let feed = state.feeds.entry(conversation).or_default();
            if feed.place(key).is_some() {
                return;
            }
            feed.join(key, from, at);
            let user = local.peer.user;
            let ended = state.ended.remove(&(conversation, user)).is_some();
            (ended || feed.head().is_none()).then_some(user)
        };
        if let Some(user) = ask_again
            && self.up(Up::Subscribe { conversation, users: vec![user] }).is_err()
        {
            self.resubscribe.set(true);
        }
        self.catch_up(key, conversation);
    }

    /// Is the session in the conversation's feed?
    pub fn is_subscribed(&self, key: Key, conversation: ConversationId) -> bool {
        self.access(key, conversation).is_some()
    }

    /// What the owner confirmed to this session: the first sequence it may see, and the head.
    pub fn access(&self, key: Key, conversation: ConversationId) -> Option<(Seq, Seq)> {
        let state = self.state.borrow();
        let feed = state.feeds.get(&conversation)?;
        Some((feed.place(key)?.from, feed.head()?))
    }

    /// The session ends.
    pub fn unregister(&self, key: Key, inbox: ConversationId) {
        self.metrics.session(-1);
        let conversations = {
            let mut state = self.state.borrow_mut();
            let Some(local) = state.sessions.get_mut(key) else { return };
            std::mem::take(&mut local.conversations)
        };
        for conversation in conversations {
            self.forget(key, conversation);
        }
        let mut state = self.state.borrow_mut();
        let user = state.sessions.remove(key).peer.user;
        if let Some(keys) = state.inboxes.get_mut(&inbox) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                state.inboxes.remove(&inbox);
                drop(state);
                let _ = self.up(Up::Unsubscribe { conversation: inbox, users: vec![user] });
            }
        }
    }

    /// A session no longer follows a conversation; its owner learns it with the last session of
    /// the user here. A lost word is made good by the answer to the next event.
    pub(super) fn forget(&self, key: Key, conversation: ConversationId) {
        let gone = {
            let mut state = self.state.borrow_mut();
            let state = &mut *state;
            if let Some(local) = state.sessions.get_mut(key) {
                local.conversations.retain(|id| *id != conversation);
            }
            let Some(feed) = state.feeds.get_mut(&conversation) else { return };
            feed.leave(key);
            let user = state.sessions.get(key).map(|local| local.peer.user);
            let user_of = |key| state.sessions.get(key).map(|local: &super::Local| local.peer.user);
            let stays = feed.places().iter().any(|place| user_of(place.key) == user);
            if feed.is_empty() {
                state.feeds.remove(&conversation);
            }
            let gone = user.filter(|_| !stays);
            if let Some(user) = gone {
                state.ended.insert((conversation, user), 0);
            }
            gone
        };
        if let Some(user) = gone {
            let _ = self.up(Up::Unsubscribe { conversation, users: vec![user] });
        }
    }

    fn keys_of(&self, conversation: ConversationId, of: impl Fn(UserId) -> bool) -> Vec<Key> {
        let state = self.state.borrow();
        let Some(feed) = state.feeds.get(&conversation) else { return Vec::new() };
        let is_theirs = |key: &Key| state.sessions.get(*key).is_some_and(|l| of(l.peer.user));
        feed.places().iter().map(|place| place.key).filter(is_theirs).collect()
    }

    /// Users were removed: their sessions get nothing more of it (S4). The owner knows already.
    pub(super) fn expel(&self, conversation: ConversationId, users: &[UserId]) {
        if users.is_empty() {
            return;
        }
        for key in self.keys_of(conversation, |user| users.contains(&user)) {
            self.forget(key, conversation);
        }
    }

    /// The owner says that a user is no member, though sessions here thought so.
    pub(super) fn not_a_member(&self, conversation: ConversationId, user: UserId) {
        for key in self.keys_of(conversation, |other| other == user) {
            self.forget(key, conversation);
            if let Some(peer) = self.peer(key) {
                self.tell_change(&peer, conversation, Change::Removed, None);
            }
        }
    }

    /// The entry looks different now for some users: their sessions are told.
    pub(super) fn refresh(
        self: &Rc<Self>,
        conversation: ConversationId,
        of: impl Fn(UserId) -> bool,
    ) {
        for key in self.keys_of(conversation, of) {
            let hub = Rc::clone(self);
            actix_rt::spawn(async move {
                let entry = hub.entry_patiently(key, conversation).await;
                if let (Some(entry), Some(peer)) = (entry, hub.peer(key)) {
                    hub.tell_change(&peer, conversation, Change::Changed, Some(&entry));
                }
            });
        }
    }

    /// Frames were lost: everything is subscribed again, and the heads in the answers show what
    /// is missing (architecture D8).
    pub(super) fn heal(&self) {
        if self.link.take_lost() {
            self.metrics.repaired();
            self.resubscribe.set(true);
        }
        if !self.resubscribe.take() {
            return;
        }
        let all = self.everything();
        if all.into_iter().any(|up| self.up(up).is_err()) {
            // Said again at the next tick: repeating is harmless.
            self.resubscribe.set(true);
        }
    }

    fn everything(&self) -> Vec<Up> {
        let state = self.state.borrow();
        let user_of = |key: Key| state.sessions.get(key).map(|local| local.peer.user);
        let feeds = state.feeds.iter().map(|(conversation, feed)| {
            let places = feed.places().iter();
            let mut users: Vec<_> = places.filter_map(|place| user_of(place.key)).collect();
            users.sort_unstable();
            users.dedup();
            Up::Subscribe { conversation: *conversation, users }
        });
        let inboxes = state.inboxes.iter().filter_map(|(inbox, keys)| {
            let user = user_of(*keys.first()?)?;
            Some(Up::SubscribeInbox { conversation: *inbox, user })
        });
        feeds.chain(inboxes).collect()
    }

    /// Forgets what nobody waits for any more: feeds without sessions, answers without askers.
    pub(super) fn sweep(&self) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        state.ended.retain(|_, sweeps| {
            *sweeps += 1;
            *sweeps < ENDED_SWEEPS
        });
        state.answers.retain(|_, asker| !asker.is_closed());
        state.entries.retain(|_, askers| {
            askers.retain(|asker| !asker.is_closed());
            !askers.is_empty()
        });
        state.outcomes.retain(|_, askers| {
            askers.retain(|asker| !asker.is_closed());
            !askers.is_empty()
        });
        let waited: Vec<ConversationId> = state.entries.keys().map(|(id, _)| *id).collect();
        let link = &self.link;
        let partitions = self.partitions;
        state.feeds.retain(|conversation, feed| {
            let keep = !feed.is_empty() || waited.contains(conversation);
            if !keep {
                let conversation = *conversation;
                let partition = harkara_domain::Partition::of(conversation, partitions);
                let _ = link.send(partition, Up::Unsubscribe { conversation, users: Vec::new() });
            }
            keep
        });
    }
}
