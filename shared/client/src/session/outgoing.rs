//! What to ask next, in order of importance: callers' requests, the rest of the list, holes, old
//! sends, sends. And what to do about requests that nobody answers or that are refused for now.

use std::collections::BTreeMap;

use harkara_domain::{ClientId, ConversationId, Seq};
use harkara_protocol::client::{
    Call, ErrorWord, Id, RpcError, SeqNo,
    requests::{ConversationList, MessageSend, SessionStart, TimelineRead},
    rpc,
};

use super::{
    Effect,
    outbox::{Draft, Next},
    requests::Purpose,
    state::{Machine, Phase},
    timeline::Timeline,
};
use crate::{
    error::CallError,
    journal::Entry,
    update::{Outcome, Update},
};

/// Cursors in one `session.start`: 1,000 × 55 bytes fit into 64 KiB. Further ones are read instead.
const CURSORS_MAX: usize = 1_000;

/// Pause before old sends are looked for again, milliseconds.
const SCAN_PAUSE_MS: u64 = 500;

/// A send that the server fails at this often in a row (-32603) is given up.
const FAULTS_MAX: u32 = 8;

/// How often overdue outcomes are looked for, milliseconds.
const OVERDUE_CHECK_MS: u64 = 1_000;

impl Machine {
    /// Fills the window of requests in flight.
    pub(crate) fn pump(&mut self, now: u64) {
        if !matches!(self.phase, Phase::Live { .. }) {
            return;
        }
        while self.has_window() {
            let Some((ticket, call)) = self.calls.next(now) else { break };
            let call = call.clone();
            self.ask(now, ticket, &call);
        }
        if let Some(after) = self.more.filter(|_| self.has_window()) {
            self.more = None;
            let page = ConversationList { after: Some(Id(after)), limit: None };
            self.transmit(now, Purpose::List, &Call::ConversationList(page));
        }
        self.fill_holes(now);
        while self.has_window() {
            match self.outbox.next(now) {
                Some(Next::Scan { conversation, after }) => {
                    let call = self.read_after(conversation, after);
                    self.transmit(now, Purpose::Scan(conversation), &call);
                }
                Some(Next::Send(draft)) => self.transmit_send(now, draft),
                None => break,
            }
        }
    }

    fn has_window(&self) -> bool {
        let server = self.limits.as_ref().map_or(u64::MAX, |limits| limits.requests_in_flight_max);
        let server = usize::try_from(server).unwrap_or(usize::MAX);
        self.requests.len() < self.tuning.requests_in_flight_max.min(server).max(1)
    }

    /// With the cursors of what was touched last, and what the last session was given.
    pub(crate) fn session_start(&mut self) -> SessionStart {
        let mut known: Vec<(&ConversationId, &Timeline)> = self.timelines.iter().collect();
        if known.len() > CURSORS_MAX {
            known.sort_by_key(|(_, timeline)| std::cmp::Reverse(timeline.touched));
            known.truncate(CURSORS_MAX);
        }
        let cursor = |(id, timeline): &(&ConversationId, &Timeline)| Some((**id, timeline.last()?));
        let cursors: BTreeMap<_, _> = known.iter().filter_map(cursor).collect();
        self.named = cursors.keys().copied().collect();
        let wire = cursors.into_iter().map(|(id, seq)| (Id(id), SeqNo(seq))).collect();
        SessionStart { token: None, ticket: self.ticket.clone(), cursors: Some(wire) }
    }

    fn ask(&mut self, now: u64, ticket: u64, call: &Call) {
        self.transmit(now, Purpose::Call(ticket), call);
        let max = self.limits.as_ref().map_or(u64::MAX, |limits| limits.frame_bytes_max);
        let Some(Effect::Transmit(frame)) = self.effects.last() else { return };
        let bytes = frame.len();
        if bytes as u64 > max {
            // Sent all the same, it would cost the connection.
            self.effects.pop();
            self.requests.close_newest();
            self.calls.remove(ticket);
            self.reply(ticket, Err(CallError::TooLarge(bytes, max)));
        }
    }

    fn fill_holes(&mut self, now: u64) {
        if !self.has_window() {
            return;
        }
        let lagging = self.lagging.iter().filter_map(|id| Some((*id, self.timelines.get(id)?)));
        let wanted = lagging.filter_map(|(id, timeline)| Some((id, timeline.wants(now)?)));
        let wanted: Vec<(ConversationId, Seq)> = wanted.take(16).collect();
        for (conversation, after) in wanted {
            if !self.has_window() {
                return;
            }
            if let Some(timeline) = self.timelines.get_mut(&conversation) {
                timeline.reading();
            }
            let call = self.read_after(conversation, after);
            self.transmit(now, Purpose::Fill(conversation, after), &call);
        }
    }

    pub(crate) fn read_after(&self, conversation: ConversationId, after: Seq) -> Call {
        let page = self.limits.as_ref().map_or(500, |limits| limits.timeline_page_max);
        Call::TimelineRead(TimelineRead {
            conversation: Id(conversation),
            after: Some(SeqNo(after)),
            before: None,
            limit: i64::try_from(page).ok(),
        })
    }

    fn transmit_send(&mut self, now: u64, draft: Draft) {
        let Ok(content) = serde_json::from_str(draft.content.as_json()) else {
            let message = "the content is no JSON".to_owned();
            let outcome = Outcome::Rejected { code: Some(ErrorWord::InvalidContent), message };
            return self.settle(draft.conversation, draft.client_id, outcome);
        };
        let send = MessageSend {
            conversation: Id(draft.conversation),
            client_id: Id(draft.client_id),
            content,
            reply_to: draft.reply_to.map(SeqNo),
        };
        let max = self.limits.as_ref().map_or(u64::MAX, |limits| limits.content_bytes_max);
        if draft.content.as_json().len() as u64 > max {
            let message = format!("the content is longer than the {max} bytes the server takes");
            let outcome = Outcome::Rejected { code: Some(ErrorWord::TooLarge), message };
            return self.settle(draft.conversation, draft.client_id, outcome);
        }
        self.transmit(now, Purpose::Send(draft.client_id), &Call::MessageSend(send));
    }

    /// A send has its outcome: told once.
    pub(crate) fn settle(
        &mut self,
        conversation: ConversationId,
        client_id: ClientId,
        outcome: Outcome,
    ) {
        if self.outbox.settle(conversation, client_id) {
            self.effects.push(Effect::Note(Entry::Done(client_id)));
            let update = Update::Outcome { conversation, client_id, outcome };
            self.effects.push(Effect::Update(update));
        }
    }

    /// Requests without an answer are asked again; so are accepted sends without an outcome.
    pub(crate) fn expire(&mut self, now: u64) {
        let silent = || RpcError::word(ErrorWord::Unavailable, "no answer");
        while let Some(limit) = now.checked_sub(self.tuning.answer_ms_max) {
            let Some(purpose) = self.requests.expire(limit) else { break };
            self.refused(now, purpose, silent());
        }
        if now >= self.overdue_check {
            self.overdue_check = now + OVERDUE_CHECK_MS.min(self.tuning.outcome_ms_max);
            if let Some(limit) = now.checked_sub(self.tuning.outcome_ms_max) {
                self.outbox.overdue(limit);
            }
        }
    }

    /// A request was answered with an error.
    pub(crate) fn refused(&mut self, now: u64, purpose: Purpose, error: RpcError) {
        let again = retry_after(&error);
        match purpose {
            Purpose::Start => self.not_started(&error),
            Purpose::List => tracing::warn!(%error, "the list of conversations is incomplete"),
            Purpose::Fill(conversation, _) => {
                if let Some(timeline) = self.timelines.get_mut(&conversation) {
                    timeline.read_failed(now, again);
                }
            }
            // Where reading makes no sense, the send itself brings the answer.
            Purpose::Scan(conversation) => match again {
                Some(ms) => self.outbox.scan_failed(now, conversation, ms.max(SCAN_PAUSE_MS)),
                None => self.outbox.scanned(conversation),
            },
            Purpose::Send(client_id) => self.send_refused(now, client_id, &error, again),
            Purpose::Call(ticket) => {
                if again.is_none_or(|ms| !self.calls.again(now, ticket, ms)) {
                    self.calls.remove(ticket);
                    self.reply(ticket, Err(CallError::Refused(error)));
                }
            }
        }
    }

    fn send_refused(
        &mut self,
        now: u64,
        client_id: ClientId,
        error: &RpcError,
        again: Option<u64>,
    ) {
        let Some(draft) = self.outbox.get(client_id) else { return };
        let conversation = draft.conversation;
        let everywhere = error.error_word() == Some(ErrorWord::RateLimited);
        if let Some(ms) = again {
            let attempts = self.outbox.again(now, client_id, ms, everywhere);
            if error.code != rpc::INTERNAL_ERROR || attempts < FAULTS_MAX {
                return;
            }
        }
        let outcome =
            Outcome::Rejected { code: error.error_word(), message: error.message.clone() };
        self.settle(conversation, client_id, outcome);
    }

    /// When time alone gives the connection something to do. What was due already and did not go
    /// out waits for an answer, not for time.
    pub(crate) fn outgoing_due(&self, now: u64) -> Option<u64> {
        let lagging = self.lagging.iter().filter_map(|id| self.timelines.get(id));
        let timelines = lagging.filter_map(Timeline::due).filter(|at| *at > now).min();
        let answer = self.requests.oldest().map(|at| at + self.tuning.answer_ms_max);
        let overdue = (self.outbox.len() > 0).then_some(self.overdue_check);
        let pump = if self.has_window() {
            [self.calls.due(now), self.outbox.due(now), timelines].into_iter().flatten().min()
        } else {
            None
        };
        [answer, overdue, pump].into_iter().flatten().min()
    }
}

/// After how many milliseconds the same request makes sense again; none: never.
fn retry_after(error: &RpcError) -> Option<u64> {
    match &error.data {
        // The session is about to end, the next one brings a new token.
        Some(data) if data.code == ErrorWord::Unauthenticated => Some(1_000),
        Some(data) if data.retryable => Some(data.retry_after_ms.unwrap_or(0)),
        None if error.code == rpc::INTERNAL_ERROR => Some(0),
        _ => None,
    }
}
