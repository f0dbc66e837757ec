//! What comes during a session: answers, events, outcomes, changes of the list.

use super::*;
use crate::{
    ids::Id,
    journal::{How, Received},
    wire::{
        frame::Failure as Refused,
        outbox::{self, Done, Job},
        timeline,
    },
};

impl Worker {
    pub(super) async fn take(&mut self, incoming: Incoming) {
        let (c, s) = (self.identity.number, self.session);
        let journal = self.settings.journal.clone();
        match incoming {
            Incoming::Reply { id, result } if self.list_ids.remove(&id) => {
                self.listed(result).await;
            }
            Incoming::Reply { id, result } => self.reply(id, result).await,
            Incoming::Event { conversation, device, client_id, received } => {
                self.settings.metrics.delivered(c, times::now());
                let seq = received.seq;
                journal.event(c, s, conversation, received).await;
                self.outcome_if_mine(device, client_id, seq).await;
                self.arrived(conversation, seq);
            }
            Incoming::Settled { client_id, seq } => {
                self.outcome(client_id, How::Settled, Ok(seq)).await;
            }
            Incoming::Rejected { client_id, code } => {
                self.outcome(client_id, How::Rejected, Err(code)).await;
            }
            Incoming::Read { conversation: n, user, seq: q } => {
                journal.line(Line::Read { c, s, n, user, q }).await;
            }
            Incoming::Conversation { change, entry } => {
                self.changed(&change, &entry);
                journal.line(Line::Change { c, s, change, entry }).await;
            }
            Incoming::GoAway { .. } | Incoming::Other => {}
        }
    }

    async fn listed(&mut self, result: Result<Box<str>, Refused>) {
        let page = result.ok().and_then(|text| serde_json::from_str::<frame::Started>(&text).ok());
        let Some(page) = page else { return };
        let entries: Vec<Entry> = page.conversations.into_iter().map(Into::into).collect();
        let (c, s) = (self.identity.number, self.session);
        self.settings.journal.line(Line::Entries { c, s, entries: entries.clone() }).await;
        self.list(&entries, page.next);
    }

    async fn reply(&mut self, id: u64, result: Result<Box<str>, Refused>) {
        let (c, s) = (self.identity.number, self.session);
        let journal = self.settings.journal.clone();
        match self.outbox.reply(id, result, times::now()) {
            Effect::Accepted(i) => journal.line(Line::Accepted { c, s, i }).await,
            Effect::Failed(Some(i), failure) => {
                let (code, retryable) = (failure.code, failure.retryable);
                journal.line(Line::Failed { c, s, i, code, retryable }).await;
            }
            Effect::Answered(Job { done: Done::Page(n, after), .. }, text) => {
                self.page(n, after, &text).await;
            }
            Effect::Answered(job, text) => {
                if let Some(i) = job.client_id {
                    let q = serde_json::from_str::<serde_json::Value>(&text)
                        .ok()
                        .and_then(|value| value["seq"].as_u64());
                    let how = How::Answered;
                    journal.line(Line::Outcome { c, s, i, how, q, code: None }).await;
                }
                outbox::finish(job, &self.settings.metrics, Ok(text));
            }
            Effect::Failed(None, _) | Effect::Nothing => {}
        }
    }

    async fn page(&mut self, n: Id, after: u64, text: &str) {
        let Ok(page) = timeline::decode(text) else {
            return crate::out::note(format!("a strange page of {n}"));
        };
        let mut last = after;
        let mut events: Vec<Received> = Vec::with_capacity(page.events.len());
        for event in page.events {
            last = event.received.seq;
            self.outcome_if_mine(event.device, event.client_id, last).await;
            events.push(event.received);
        }
        let at = (self.identity.number, self.session);
        self.settings.journal.page(at, n, (after, page.head), events).await;
        let target = self.catching.get(&n).map_or(page.head, |catching| catching.target);
        if last < target && !page.complete && last > after {
            self.cursors.insert(n, last);
            self.read_after(n, last);
        } else {
            let live = self.catching.remove(&n).map_or(0, |catching| catching.live);
            self.cursors.insert(n, last.max(live));
        }
        self.tell_reached();
    }

    async fn outcome_if_mine(&mut self, device: Id, client_id: Id, seq: u64) {
        if device == self.identity.account.device {
            self.outcome(client_id, How::Event, Ok(seq)).await;
        }
    }

    async fn outcome(&mut self, i: Id, how: How, end: Result<u64, String>) {
        let (q, code) = (end.as_ref().ok().copied(), end.as_ref().err().cloned());
        let known = self.outbox.outcome(i, how, end, times::now());
        // An event of ours that nobody waits for is journaled as an event; a `settled` or
        // `rejected` that nobody waits for still has to agree with what was said before.
        if known || how != How::Event {
            let (c, s) = (self.identity.number, self.session);
            self.settings.journal.line(Line::Outcome { c, s, i, how, q, code }).await;
        }
    }

    fn arrived(&mut self, n: Id, seq: u64) {
        if let Some(catching) = self.catching.get_mut(&n) {
            catching.live = catching.live.max(seq);
        } else {
            let cursor = self.cursors.entry(n).or_insert(seq);
            *cursor = (*cursor).max(seq);
        }
        if !self.reach.is_empty() {
            self.tell_reached();
        }
    }

    fn changed(&mut self, change: &str, entry: &Entry) {
        match (change, entry.head) {
            ("removed", _) => drop(self.cursors.remove(&entry.n)),
            ("added", Some(head)) => {
                let cursor = self.cursors.entry(entry.n).or_insert(head);
                *cursor = (*cursor).max(head);
            }
            (_, Some(head)) => drop(self.cursors.entry(entry.n).or_insert(head)),
            (_, None) => {}
        }
        self.tell_reached();
    }

    pub(super) fn await_seq(&mut self, n: Id, seq: u64, done: oneshot::Sender<()>) {
        self.reach.push((n, seq, done));
        self.tell_reached();
    }

    fn tell_reached(&mut self) {
        let cursors = &self.cursors;
        let (done, wait): (Vec<_>, Vec<_>) = std::mem::take(&mut self.reach)
            .into_iter()
            .partition(|(n, seq, _)| cursors.get(n).is_some_and(|cursor| cursor >= seq));
        self.reach = wait;
        for (_, _, done) in done {
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
        }
    }
}
