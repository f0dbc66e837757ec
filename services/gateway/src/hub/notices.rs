//! What is told besides events: outcomes, read marks, typing, changes of lists.

use std::rc::Rc;

use harkara_domain::{ClientId, ConversationId, DeviceId, Entry, RejectCode, Seq, UserId};
use harkara_engine::link::Outcome;
use harkara_protocol::{
    client::{
        ErrorWord, Id, Notification, SeqNo, notifications::Change, replies::ConversationEntry,
    },
    json,
};
use harkara_service_runtime::sabotage::{Rule, is_broken};

use super::{Hub, Key, News};
use crate::{load::Stage, peer::Peer, transport::frames::encode_text_frame};

impl Hub {
    /// What became of a record that came from here: to whoever waits for it, or to the device.
    pub(super) fn outcome(
        &self,
        conversation: ConversationId,
        device: DeviceId,
        client_id: ClientId,
        outcome: Outcome,
    ) {
        let waiter = {
            let mut state = self.state.borrow_mut();
            let waiting = state.outcomes.get_mut(&(conversation, device, client_id));
            waiting.and_then(|waiting| (!waiting.is_empty()).then(|| waiting.remove(0)))
        };
        if let Some(waiter) = waiter {
            // One outcome a record: who asked first gets the first.
            let _ = waiter.send(outcome);
            return;
        }
        let notification = match outcome {
            // Its event says the same.
            Outcome::Applied(_) => return,
            Outcome::Settled(seq) => Notification::Settled {
                conversation: Id(conversation),
                client_id: Id(client_id),
                seq: SeqNo(seq),
            },
            Outcome::Rejected(code) => Notification::Rejected {
                conversation: Id(conversation),
                client_id: Id(client_id),
                code: error_word(code),
                message: reject_message(code).to_owned(),
            },
        };
        let frame = json::encode_notification(&notification);
        let peers = self.state.borrow().sessions.of_device(device);
        for peer in peers {
            peer.accepted_first(conversation, client_id, self.clock.elapsed_ns());
            peer.send_json(&frame);
        }
    }

    /// Somebody has read up to here. Under load only their own other sessions are told.
    pub(super) fn read(&self, conversation: ConversationId, user: UserId, seq: Seq) {
        let (conversation_id, user_id) = (Id(conversation), Id(user));
        let notice =
            Notification::Read { conversation: conversation_id, user: user_id, seq: SeqNo(seq) };
        let given_up = self.load.gives_up(Stage::Receipts, self.clock.elapsed_ns());
        let told = |peer: &Peer| !given_up || peer.user == user;
        self.notify(conversation, &notice, |peer| told(peer) && self.has_room(peer));
    }

    /// Somebody is typing: not told to themselves, nor to whoever reads too slowly.
    pub(super) fn typing(&self, conversation: ConversationId, user: UserId, active: bool) {
        if self.load.gives_up(Stage::Typing, self.clock.elapsed_ns()) {
            return;
        }
        let notice =
            Notification::Typing { conversation: Id(conversation), user: Id(user), active };
        self.notify(conversation, &notice, |peer| peer.user != user && self.has_room(peer));
    }

    fn has_room(&self, peer: &Peer) -> bool {
        let room = peer.outlet.queued_bytes() < self.config.outbound_soft_bytes;
        if !room {
            self.metrics.dropped();
        }
        room
    }

    fn notify(
        &self,
        conversation: ConversationId,
        notice: &Notification<'_>,
        to: impl Fn(&Peer) -> bool,
    ) {
        let state = self.state.borrow();
        let Some(feed) = state.feeds.get(&conversation) else { return };
        let frame = encode_text_frame(&json::encode_notification(notice));
        for place in feed.places().iter().filter(|place| place.live) {
            if let Some(local) = state.sessions.get(place.key)
                && to(&local.peer)
            {
                local.peer.outlet.send(frame.clone());
            }
        }
    }

    /// A user's list changed.
    pub(super) fn inbox(
        self: &Rc<Self>,
        inbox: ConversationId,
        user: UserId,
        conversation: ConversationId,
        cause: Seq,
        present: bool,
    ) {
        let keys = self.state.borrow().inboxes.get(&inbox).cloned().unwrap_or_default();
        for key in keys {
            if self.peer(key).is_some_and(|peer| peer.user == user) {
                self.news(key, News { conversation, cause, present });
            }
        }
    }

    /// `session.start` is answered: news that came before are told now.
    pub fn started(self: &Rc<Self>, key: Key) {
        let early = {
            let mut state = self.state.borrow_mut();
            state.sessions.get_mut(key).and_then(|local| local.early.take())
        };
        early.into_iter().flatten().for_each(|news| self.news(key, news));
    }

    pub(super) fn news(self: &Rc<Self>, key: Key, news: News) {
        {
            let mut state = self.state.borrow_mut();
            let Some(local) = state.sessions.get_mut(key) else { return };
            if let Some(early) = &mut local.early {
                return early.push(news);
            }
        }
        let News { conversation, cause, present } = news;
        if present {
            actix_rt::spawn(Rc::clone(self).appeared(key, conversation, cause));
        } else if let Some(peer) = self.peer(key) {
            let from = self.place_of(key, conversation).map(|place| place.from);
            if from.is_some_and(|from| from > cause) {
                // Added again since: the later cause holds.
                return;
            }
            if !is_broken(Rule::KeepLeavers) {
                self.forget(key, conversation);
            }
            self.tell_change(&peer, conversation, Change::Removed, None);
        }
    }

    /// A conversation appeared in a session's list: told with its entry, then live right after
    /// its head. The entry stands at the event that caused it where the session can be given
    /// everything since.
    pub(crate) async fn appeared(
        self: Rc<Self>,
        key: Key,
        conversation: ConversationId,
        cause: Seq,
    ) {
        if self.knows(key, conversation) {
            return;
        }
        let Some(mut entry) = self.entry_since(key, conversation, cause).await else { return };
        let Some(peer) = self.peer(key) else { return };
        if self.knows(key, conversation) {
            return;
        }
        let cause = cause.max(entry.from);
        let since = entry.head.saturating_sub(cause);
        let few = usize::try_from(since).is_ok_and(|n| n <= self.config.catch_up_events_max);
        if few && entry.read <= cause && entry.from <= cause {
            entry.head = cause;
            entry.unread = 0;
        }
        self.introduce(key, &peer, conversation, &entry);
    }

    /// Tells a session of a conversation that it doesn't know, then lets it follow from the head
    /// it was told.
    pub(crate) fn introduce(
        self: &Rc<Self>,
        key: Key,
        peer: &Peer,
        conversation: ConversationId,
        entry: &Entry,
    ) {
        self.tell_change(peer, conversation, Change::Added, Some(entry));
        self.follow(key, conversation, entry.from, entry.head);
    }

    /// Tells one session of a change in its list.
    pub(crate) fn tell_change(
        &self,
        peer: &Peer,
        conversation: ConversationId,
        change: Change,
        entry: Option<&Entry>,
    ) {
        let entry = ConversationEntry::new(conversation, entry, false);
        let notice = Notification::Conversation { conversation: Id(conversation), change, entry };
        peer.send_json(&json::encode_notification(&notice));
    }
}

/// The protocol's word for a rejection.
#[must_use]
pub fn error_word(code: RejectCode) -> ErrorWord {
    match code {
        RejectCode::NotAMember => ErrorWord::NotAMember,
        RejectCode::Forbidden => ErrorWord::Forbidden,
        RejectCode::Conflict => ErrorWord::Conflict,
        RejectCode::NotFound => ErrorWord::NotFound,
        RejectCode::InvalidContent => ErrorWord::InvalidContent,
        RejectCode::TooLarge => ErrorWord::TooLarge,
        RejectCode::Unsupported => ErrorWord::Unsupported,
    }
}

/// What was wrong, and what would be right.
#[must_use]
pub const fn reject_message(code: RejectCode) -> &'static str {
    match code {
        RejectCode::NotAMember => "you are not a member of this conversation",
        RejectCode::Forbidden => "your role in this conversation does not allow this",
        RejectCode::Conflict => {
            "this client id was used for another request, or nothing would change: \
             use a new client id for each request"
        }
        RejectCode::NotFound => "no such conversation, or none of these users is a member",
        RejectCode::InvalidContent => {
            "it refers to something that is not there: reply_to must be a sequence you can see, \
             a direct conversation has exactly one other user and no title"
        }
        RejectCode::TooLarge => "a limit of the conversation is exceeded",
        RejectCode::Unsupported => "this server does not support this yet",
    }
}
