//! Who listens to what on this thread, and keeping the owners' picture of it true.

use std::rc::Rc;

use harkara_domain::{ConversationId, Entry, Seq, UserId};
use harkara_engine::Up;
use harkara_protocol::client::notifications::Change;
use harkara_service_runtime::sabotage::{Rule, is_broken};

use super::{Hub, Key, feed::grow_gently};

/// Sweeps (of a second) that an end of subscription is remembered: longer than any session takes
/// between the owner's answer and following, which the owner's timeout bounds.
const ENDED_SWEEPS: u8 = 30;

/// Subscriptions said again that have no answer, at one time: an eighth of the link's queue. All at
/// once, those of a thread with 100,000 conversations would overflow it with their answers, which
/// is a loss again, and so on for ever.
const SAID_AGAIN_MAX: usize = 1_000;

/// Between two times that everything is subscribed again: a list of everything takes 10 ms for
/// 100,000 conversations, and a queue that overflows does so for longer than a moment.
const LOSS_PAUSE_NS: u64 = 100_000_000;

impl Hub {
    /// The session takes up this conversation where the client is, as soon as its owner speaks.
    /// Until then no news make it look like one that just appeared.
    pub(crate) fn resolving(&self, key: Key, conversation: ConversationId) {
        if let Some(local) = self.state.borrow_mut().sessions.get_mut(key) {
            local.resolving.push(conversation);
        }
    }

    /// The owner spoke, or the session is over.
    pub(crate) fn resolved(&self, key: Key, conversation: ConversationId) {
        if let Some(local) = self.state.borrow_mut().sessions.get_mut(key) {
            local.resolving.retain(|id| *id != conversation);
            local.resolving.shrink_to_fit();
        }
    }

    /// Does the session follow the conversation, or will it without being told of it?
    pub(crate) fn knows(&self, key: Key, conversation: ConversationId) -> bool {
        self.is_resolving(key, conversation) || self.is_subscribed(key, conversation)
    }

    /// Does the session wait for the owner to speak?
    pub(crate) fn is_resolving(&self, key: Key, conversation: ConversationId) -> bool {
        let state = self.state.borrow();
        let local = state.sessions.get(key);
        local.is_some_and(|local| local.resolving.contains(&conversation))
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
        if let Some(user) = ask_again {
            self.up_surely(Up::Subscribe { conversation, users: vec![user] });
        }
        self.catch_up(key, conversation);
    }

    /// Is the session in the conversation's feed?
    pub fn is_subscribed(&self, key: Key, conversation: ConversationId) -> bool {
        let state = self.state.borrow();
        state.feeds.get(&conversation).is_some_and(|feed| feed.place(key).is_some())
    }

    /// What the owner confirmed to this session and this thread has given out: the first sequence
    /// it may see, and the head. None where the thread lags behind the session's joining, or the
    /// owner can't be reached now (soundness S4).
    pub fn access(&self, key: Key, conversation: ConversationId) -> Option<(Seq, Seq)> {
        if !self.reaches(conversation) {
            return None;
        }
        let state = self.state.borrow();
        let feed = state.feeds.get(&conversation)?;
        let (from, head) = (feed.place(key)?.from, feed.head()?);
        (from <= head + 1).then_some((from, head))
    }

    /// The session ends.
    pub fn unregister(&self, key: Key, inbox: ConversationId) {
        self.metrics.session(-1);
        let others = self.others(key, inbox);
        let conversations = {
            let mut state = self.state.borrow_mut();
            let Some(local) = state.sessions.get_mut(key) else { return };
            std::mem::take(&mut local.conversations)
        };
        for conversation in conversations {
            self.part(key, conversation, &others);
        }
        let mut state = self.state.borrow_mut();
        let Some(local) = state.sessions.remove(key) else { return };
        let user = local.peer.user;
        if let Some(keys) = state.inboxes.get_mut(&inbox) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                state.inboxes.remove(&inbox);
                state.unheard.remove(&inbox);
                drop(state);
                let _ = self.up(Up::Unsubscribe { conversation: inbox, users: vec![user] });
            }
        }
    }

    /// A session no longer follows a conversation, for another reason than its end.
    pub(super) fn forget(&self, key: Key, conversation: ConversationId) {
        let Some(peer) = self.peer(key) else { return };
        let others = self.others(key, ConversationId::inbox(peer.tenant, peer.user));
        if let Some(local) = self.state.borrow_mut().sessions.get_mut(key) {
            local.conversations.retain(|id| *id != conversation);
        }
        self.part(key, conversation, &others);
    }

    /// The user's other sessions on this thread.
    fn others(&self, key: Key, inbox: ConversationId) -> Vec<Key> {
        let state = self.state.borrow();
        let keys = state.inboxes.get(&inbox).into_iter().flatten().copied();
        keys.filter(|other| *other != key).collect()
    }

    /// Takes a session out of a conversation's feed; the owner learns it with the last session of
    /// the user here. A lost word is made good by the answer to the next event.
    fn part(&self, key: Key, conversation: ConversationId, others: &[Key]) {
        let gone = {
            let mut state = self.state.borrow_mut();
            let state = &mut *state;
            let Some(feed) = state.feeds.get_mut(&conversation) else { return };
            feed.leave(key);
            let stays = others.iter().any(|other| feed.place(*other).is_some());
            if feed.is_empty() {
                state.feeds.remove(&conversation);
            }
            let user = state.sessions.get(key).map(|local| local.peer.user);
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
        self.keys_before(conversation, Seq::MAX, of)
    }

    /// Sessions that joined at `seq` or before.
    fn keys_before(
        &self,
        conversation: ConversationId,
        seq: Seq,
        of: impl Fn(UserId) -> bool,
    ) -> Vec<Key> {
        let state = self.state.borrow();
        let Some(feed) = state.feeds.get(&conversation) else { return Vec::new() };
        let is_theirs = |key: &Key| state.sessions.get(*key).is_some_and(|l| of(l.peer.user));
        let before = feed.places().iter().filter(|place| place.from <= seq);
        before.map(|place| place.key).filter(is_theirs).collect()
    }

    /// Users were removed at `seq`: their sessions get nothing more of it (S4), unless they were
    /// added again since. The owner knows already.
    pub(super) fn expel(self: &Rc<Self>, conversation: ConversationId, users: &[UserId], seq: Seq) {
        if users.is_empty() || is_broken(Rule::KeepLeavers) {
            return;
        }
        for key in self.keys_before(conversation, seq, |user| users.contains(&user)) {
            self.removed(key, conversation, seq);
        }
    }

    /// This thread came to see that a session's user was removed at `seq`. It may have lagged
    /// behind: then they may be back, and the news of that came when they seemed to have been
    /// there all the time. The owner knows.
    pub(super) fn removed(self: &Rc<Self>, key: Key, conversation: ConversationId, seq: Seq) {
        self.forget(key, conversation);
        actix_rt::spawn(Rc::clone(self).appeared(key, conversation, seq));
    }

    /// The owner says that a user is no member, though sessions here thought so. News that they
    /// are one again may have overtaken its word, on their way from another owner.
    pub(super) fn not_a_member(self: &Rc<Self>, conversation: ConversationId, user: UserId) {
        if is_broken(Rule::KeepLeavers) {
            return;
        }
        for key in self.keys_of(conversation, |other| other == user) {
            if let Some(peer) = self.peer(key) {
                self.tell_change(&peer, conversation, Change::Removed, None);
            }
            self.removed(key, conversation, 0);
        }
    }

    /// The entry looks different now for some users: the owner is asked once for all of them, and
    /// its answer is told to their sessions.
    pub(super) fn refresh(&self, conversation: ConversationId, of: impl Fn(UserId) -> bool) {
        let mut users: Vec<UserId> = {
            let state = self.state.borrow();
            let keys = self.keys_of(conversation, of);
            keys.iter().filter_map(|key| Some(state.sessions.get(*key)?.peer.user)).collect()
        };
        users.sort_unstable();
        users.dedup();
        if users.is_empty() {
            return;
        }
        self.state.borrow_mut().refreshing.insert(conversation, users.clone());
        self.up_surely(Up::Subscribe { conversation, users });
    }

    /// The owner's answer tells of entries that were to be refreshed.
    pub(super) fn refreshed(
        &self,
        conversation: ConversationId,
        entries: &[(UserId, Option<Entry>)],
    ) {
        let told: Vec<UserId> = {
            let mut state = self.state.borrow_mut();
            let Some(users) = state.refreshing.get_mut(&conversation) else { return };
            let answered = |user: &UserId| entries.iter().any(|(other, _)| other == user);
            let told = users.iter().copied().filter(answered).collect();
            users.retain(|user| !answered(user));
            if users.is_empty() {
                state.refreshing.remove(&conversation);
            }
            told
        };
        for (user, entry) in entries {
            let Some(entry) = entry.as_ref().filter(|_| told.contains(user)) else { continue };
            for key in self.keys_of(conversation, |other| other == *user) {
                if let Some(peer) = self.peer(key) {
                    self.tell_change(&peer, conversation, Change::Changed, Some(entry));
                }
            }
        }
    }

    /// Frames were lost: everything is subscribed again, the heads in the answers show what is
    /// missing (architecture D8), and lists are read again once their owners listen. An outcome
    /// that was lost is found by the client, which repeats what has none.
    pub(super) fn notice_loss(self: &Rc<Self>) {
        let now = self.clock.elapsed_ns();
        let recent = now.saturating_sub(self.said.noticed.get()) < LOSS_PAUSE_NS;
        if is_broken(Rule::LossUnnoticed) || recent || !self.link.take_lost() {
            return;
        }
        self.said.noticed.set(now);
        self.metrics.repaired();
        self.doubt_inboxes();
        *self.unsaid.borrow_mut() = self.everything().into();
        self.say_again();
    }

    /// Says what found no room or has to be said again, as much as there is room for answers; the
    /// rest follows with the answers, and what finds no room now is said last.
    pub(super) fn say_again(&self) {
        let mut left = SAID_AGAIN_MAX.saturating_sub(self.said.unanswered.get());
        let mut tried = self.unsaid.borrow().len();
        while left.min(tried) > 0 {
            let next = self.unsaid.borrow_mut().pop_front();
            let Some(up) = next else { return };
            (left, tried) = (left - 1, tried - 1);
            self.said.unanswered.set(self.said.unanswered.get() + 1);
            self.up_surely(up);
        }
    }

    /// In the order of their ids, so that a run can be repeated.
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
        let mut all: Vec<Up> = feeds.chain(inboxes).collect();
        all.sort_unstable_by_key(Up::conversation);
        all
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
        let mut over = Vec::new();
        state.feeds.retain(|conversation, feed| {
            let keep = !feed.is_empty() || waited.contains(conversation);
            if !keep {
                over.push(*conversation);
            }
            keep
        });
        over.sort_unstable();
        for conversation in over {
            let _ = self.up(Up::Unsubscribe { conversation, users: Vec::new() });
        }
    }
}
