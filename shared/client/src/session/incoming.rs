//! A server's frames: answers go to who asked, events through their timeline, everything else to
//! the user.

use harkara_domain::{ConversationId, Seq};
use harkara_protocol::{
    client::{
        Notification,
        notifications::Change,
        replies::{ConversationEntry, ConversationPage, SessionStarted, TimelinePage},
        rpc::{self, RpcError},
    },
    json::{self, ServerFrame},
};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{
    Effect,
    requests::Purpose,
    state::{Machine, Phase},
    timeline::Timeline,
};
use crate::{
    journal::Entry,
    update::{Event, Me, Outcome, Update},
};

impl Machine {
    /// A text frame.
    pub fn frame(&mut self, now: u64, text: &str) {
        self.heard(now);
        match json::decode_server_frame(text) {
            Ok(ServerFrame::Reply { id, outcome }) => {
                let purpose = id.and_then(|id| id.as_number());
                // Answers to what was given up on meanwhile have nobody to go to.
                if let Some(purpose) = purpose.and_then(|id| self.requests.close(id)) {
                    self.answer(now, purpose, outcome);
                }
            }
            Ok(ServerFrame::Notification(notification)) => self.notified(now, *notification),
            Ok(ServerFrame::Unknown) => {}
            // A lost event shows as a hole, a lost answer as silence: both heal.
            Err(error) => tracing::warn!(%error, "frame from the server makes no sense"),
        }
        self.pump(now);
    }

    fn answer(&mut self, now: u64, purpose: Purpose, outcome: Result<&RawValue, RpcError>) {
        let result = match outcome {
            Ok(result) => result,
            Err(error) => return self.refused(now, purpose, error),
        };
        let read = match purpose {
            Purpose::Start => parse(result).map(|started| self.started(now, started)),
            Purpose::List => parse(result).map(|page| self.listed(now, page)),
            Purpose::Fill(conversation, after) => {
                parse(result).map(|page| self.filled(now, conversation, after, &page))
            }
            Purpose::Scan(conversation) => {
                parse(result).map(|page| self.scanned(now, conversation, &page))
            }
            Purpose::Send(client_id) => {
                if self.outbox.accepted(now, client_id)
                    && let Some(draft) = self.outbox.get(client_id)
                {
                    let conversation = draft.conversation;
                    let update = Update::Accepted { conversation, client_id };
                    self.effects.push(Effect::Update(update));
                }
                Ok(())
            }
            Purpose::Call(ticket) => {
                self.calls.remove(ticket);
                self.reply(ticket, Ok(result.to_owned()));
                Ok(())
            }
        };
        if let Err(error) = read {
            tracing::warn!(%error, ?purpose, "answer from the server makes no sense");
            self.refused(now, purpose, RpcError::rpc(rpc::INTERNAL_ERROR, error.to_string()));
        }
    }

    fn started(&mut self, now: u64, started: SessionStarted) {
        let me = Me { user: started.user.0, device: started.device.0 };
        self.me = Some(me);
        self.limits = Some(started.limits.clone());
        self.ticket = started.ticket;
        self.live(now);
        self.effects.push(Effect::Update(Update::Connected {
            me,
            limits: started.limits,
            conversations: started.conversations.clone(),
        }));
        for id in started.unknown {
            let entry = ConversationEntry::new(id.0, None, false);
            self.forget(id.0, entry);
        }
        let reset: Vec<ConversationId> = started.reset.iter().map(|id| id.0).collect();
        for id in &reset {
            let entry = started.conversations.iter().find(|entry| entry.id.0 == *id);
            self.reset(now, *id, entry);
        }
        for entry in &started.conversations {
            if !reset.contains(&entry.id.0) {
                let pushed = self.named.contains(&entry.id.0) && !entry.behind;
                self.enter(now, entry, pushed);
            }
        }
        self.more = started.next.map(|id| id.0);
    }

    fn listed(&mut self, now: u64, page: ConversationPage) {
        for entry in page.conversations {
            let known = self.timelines.contains_key(&entry.id.0);
            let pushed = self.named.contains(&entry.id.0) && !entry.behind;
            self.enter(now, &entry, pushed);
            let change = if known { Change::Changed } else { Change::Added };
            self.effects.push(Effect::Update(Update::Conversation { change, entry }));
        }
        self.more = page.next.map(|id| id.0);
    }

    /// What the server says of a conversation goes to its timeline.
    fn enter(&mut self, now: u64, entry: &ConversationEntry, pushed: bool) {
        // Its owner can't be reached: a notification will bring the rest.
        let (Some(from), Some(head)) = (entry.from, entry.head) else { return };
        let start = self.start;
        let timeline = self.timelines.entry(entry.id.0).or_default();
        let skipped = timeline.enter(now, start, from.0, head.0, pushed);
        self.skip(entry.id.0, skipped);
        self.note_lag(entry.id.0);
    }

    fn reset(&mut self, now: u64, conversation: ConversationId, entry: Option<&ConversationEntry>) {
        let from = entry.and_then(|entry| entry.from).map_or(1, |seq| seq.0);
        let head = entry.and_then(|entry| entry.head).map_or(0, |seq| seq.0);
        self.timelines.entry(conversation).or_default().rewind(now, from, head);
        self.effects.push(Effect::Update(Update::Reset { conversation, from }));
        self.note_lag(conversation);
    }

    fn forget(&mut self, conversation: ConversationId, entry: ConversationEntry) {
        self.timelines.remove(&conversation);
        self.lagging.remove(&conversation);
        self.effects.push(Effect::Note(Entry::Gone(conversation)));
        let update = Update::Conversation { change: Change::Removed, entry };
        self.effects.push(Effect::Update(update));
    }

    fn skip(&mut self, conversation: ConversationId, skipped: Option<(Seq, Seq)>) {
        if let Some((first, last)) = skipped {
            self.effects.push(Effect::Update(Update::Skipped { conversation, first, last }));
        }
    }

    fn note_lag(&mut self, conversation: ConversationId) {
        if self.timelines.get(&conversation).is_some_and(Timeline::lags) {
            self.lagging.insert(conversation);
        } else {
            self.lagging.remove(&conversation);
        }
    }

    fn notified(&mut self, now: u64, notification: Notification<'_>) {
        if !matches!(self.phase, Phase::Live { .. }) {
            return;
        }
        let update = match notification {
            Notification::Event(params) => return self.event(now, params.into()),
            Notification::Settled { conversation, client_id, seq } => {
                let outcome = Outcome::Settled { seq: seq.0 };
                return self.settle(conversation.0, client_id.0, outcome);
            }
            Notification::Rejected { conversation, client_id, code, message } => {
                let outcome = Outcome::Rejected { code: Some(code), message };
                return self.settle(conversation.0, client_id.0, outcome);
            }
            Notification::Read { conversation, user, seq } => {
                Update::Read { conversation: conversation.0, user: user.0, seq: seq.0 }
            }
            Notification::Typing { conversation, user, active } => {
                Update::Typing { conversation: conversation.0, user: user.0, active }
            }
            Notification::Conversation { change: Change::Removed, entry, .. } => {
                return self.forget(entry.id.0, entry);
            }
            Notification::Conversation { change, entry, .. } => {
                self.enter(now, &entry, true);
                Update::Conversation { change, entry }
            }
            Notification::GoAway { reconnect_after_ms, reason } => {
                tracing::debug!(reconnect_after_ms, reason, "the server is going away");
                self.goaway_ms = Some(reconnect_after_ms);
                return;
            }
        };
        self.effects.push(Effect::Update(update));
    }

    fn event(&mut self, now: u64, event: Event) {
        let conversation = event.conversation;
        let own = self.own(&event);
        let mut shown = Vec::new();
        let timeline = self.timelines.entry(conversation).or_default();
        timeline.push(now, self.start, event, &mut shown);
        self.show(shown);
        self.note_lag(conversation);
        self.settle_own(conversation, own);
    }

    /// The send that this event is the outcome of, if it is ours.
    fn own(&self, event: &Event) -> Option<(harkara_domain::ClientId, Seq)> {
        let mine = self.me.is_some_and(|me| me.device == event.device && me.user == event.sender);
        mine.then_some((event.client_id, event.seq))
    }

    fn settle_own(
        &mut self,
        conversation: ConversationId,
        own: impl IntoIterator<Item = (harkara_domain::ClientId, Seq)>,
    ) {
        for (client_id, seq) in own {
            self.settle(conversation, client_id, Outcome::Settled { seq });
        }
    }

    fn show(&mut self, events: Vec<Event>) {
        self.effects.extend(events.into_iter().map(|event| Effect::Update(Update::Event(event))));
    }

    fn filled(&mut self, now: u64, id: ConversationId, after: Seq, page: &TimelinePage) {
        let events = events(page);
        let own: Vec<_> = events.iter().filter_map(|event| self.own(event)).collect();
        let Some(timeline) = self.timelines.get_mut(&id) else { return };
        let mut shown = Vec::new();
        let skipped = timeline.page(now, after, events, page.head.0, page.complete, &mut shown);
        self.skip(id, skipped);
        self.show(shown);
        self.note_lag(id);
        self.settle_own(id, own);
    }

    fn scanned(&mut self, now: u64, conversation: ConversationId, page: &TimelinePage) {
        let events = events(page);
        let last = events.last().map(|event| event.seq);
        let own: Vec<_> = events.iter().filter_map(|event| self.own(event)).collect();
        self.settle_own(conversation, own);
        match last.filter(|_| !page.complete) {
            Some(last) => {
                let call = self.read_after(conversation, last);
                self.transmit(now, Purpose::Scan(conversation), &call);
            }
            None => self.outbox.scanned(conversation),
        }
    }
}

fn parse<T: DeserializeOwned>(result: &RawValue) -> Result<T, serde_json::Error> {
    serde_json::from_str(result.get())
}

/// The events of a page; one that can't be read is left out and shows as a hole.
fn events(page: &TimelinePage) -> Vec<Event> {
    let event = |item: &RawValue| match Event::from_json(item) {
        Ok(event) => Some(event),
        Err(error) => {
            tracing::warn!(%error, "event in a timeline makes no sense");
            None
        }
    };
    page.events.iter().filter_map(|item| event(item)).collect()
}
