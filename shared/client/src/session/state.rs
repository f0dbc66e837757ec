//! The phases of a connection: connecting, starting, live, waiting to come back, stopped. Calls
//! into `incoming` for frames and `outgoing` for what to ask.

use std::collections::{BTreeMap, BTreeSet};

use harkara_domain::{ConversationId, Seq};
use harkara_protocol::{
    client::{Call, RequestId, replies::Limits},
    json,
};

use super::{
    Effect, Ended, Failure,
    backoff::Backoff,
    outbox::{Draft, Outbox, Rules},
    requests::{Calls, Purpose, Requests},
    timeline::Timeline,
};
use crate::{
    error::{CallError, SendError, Stopped},
    journal::Saved,
    options::{Start, Tuning},
    update::{Me, Update, Why},
};

/// A session that lived this long was a good one, milliseconds.
const GOOD_SESSION_MS: u64 = 1_000;

/// Longest silence on a connection with requests in flight, milliseconds.
const BUSY_SILENCE_MS_MAX: u64 = 20_000;

/// Where the connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Connect at this time.
    Waiting { until: u64 },
    /// The task is connecting.
    Connecting,
    /// `session.start` is on its way.
    Starting { since: u64 },
    /// In session.
    Live { since: u64 },
    /// For good.
    Stopped,
}

/// The client without socket, timers and disk, which [`crate::Client`] puts around it.
#[derive(Debug)]
pub struct Machine {
    pub(crate) tuning: Tuning,
    pub(crate) start: Start,
    pub(crate) phase: Phase,
    pub(crate) me: Option<Me>,
    pub(crate) limits: Option<Limits>,
    pub(crate) timelines: BTreeMap<ConversationId, Timeline>,
    pub(crate) outbox: Outbox,
    pub(crate) calls: Calls,
    pub(crate) requests: Requests,
    /// Conversations whose known head is above what was handed out.
    pub(crate) lagging: BTreeSet<ConversationId>,
    /// Where the rest of the list begins.
    pub(crate) more: Option<ConversationId>,
    pub(crate) overdue_check: u64,
    pub(crate) goaway_ms: Option<u64>,
    /// The conversations that the last `session.start` named with a cursor.
    pub(crate) named: BTreeSet<ConversationId>,
    backoff: Backoff,
    heard: u64,
    pinged: bool,
    token_is_fresh: bool,
    /// What the last session was given for the next one.
    pub(crate) ticket: Option<String>,
    want_fresh_token: bool,
    /// The user knows that there is no session.
    told_down: bool,
    pub(crate) effects: Vec<Effect>,
}

impl Machine {
    /// Not connected; `saved` is what a journal kept.
    #[must_use]
    pub fn new(tuning: Tuning, start: Start, saved: Saved) -> Self {
        let rules = Rules {
            in_flight_max: tuning.sends_in_flight_max.max(1),
            old_ms: tuning.old_ms,
            kept_max: tuning.outbox_max,
        };
        let mut outbox = Outbox::new(rules);
        saved.sends.into_iter().for_each(|draft| outbox.add(0, draft, true));
        let timelines = saved.cursors.into_iter().map(|(id, seq)| (id, Timeline::after(seq)));
        Self {
            tuning,
            start,
            phase: Phase::Waiting { until: 0 },
            me: None,
            limits: None,
            timelines: timelines.collect(),
            outbox,
            calls: Calls::default(),
            requests: Requests::default(),
            lagging: BTreeSet::new(),
            more: None,
            overdue_check: 0,
            goaway_ms: None,
            named: BTreeSet::new(),
            backoff: Backoff::new(tuning.backoff_ms_min, tuning.backoff_ms_max),
            heard: 0,
            pinged: false,
            token_is_fresh: false,
            ticket: None,
            want_fresh_token: true,
            told_down: false,
            effects: Vec::new(),
        }
    }

    /// What to do, in order; the machine forgets it.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// How many sends have no outcome yet.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.outbox.len()
    }

    /// A send that the journal has.
    pub fn send(&mut self, now: u64, draft: Draft) {
        self.outbox.add(now, draft, false);
        self.pump(now);
    }

    /// Would [`Self::send`] take it? `Ok(false)`: it has it already.
    ///
    /// # Errors
    /// Why not.
    pub fn may_send(&self, draft: &Draft) -> Result<bool, SendError> {
        match self.outbox.get(draft.client_id) {
            Some(known)
                if known.content == draft.content
                    && known.conversation == draft.conversation
                    && known.reply_to == draft.reply_to =>
            {
                Ok(false)
            }
            Some(_) => Err(SendError::IdTaken),
            None if self.outbox.has_room() => Ok(true),
            None => Err(SendError::Full(self.outbox.len())),
        }
    }

    /// The last sequence of a conversation that was handed out: what a new send stands above.
    #[must_use]
    pub fn floor(&self, conversation: ConversationId) -> Seq {
        self.timelines.get(&conversation).and_then(Timeline::last).unwrap_or(0)
    }

    /// A caller's request.
    pub fn call(&mut self, now: u64, ticket: u64, call: Call) {
        let live = matches!(self.phase, Phase::Live { .. });
        if !live && matches!(call, Call::TypingSet(_)) {
            self.reply(ticket, Err(CallError::NotConnected));
            return;
        }
        self.calls.add(ticket, call, now + self.tuning.call_ms_max);
        self.pump(now);
    }

    /// The upgrade succeeded.
    pub fn opened(&mut self, now: u64) {
        self.phase = Phase::Starting { since: now };
        (self.heard, self.pinged, self.goaway_ms) = (now, false, None);
        let start = self.session_start();
        self.transmit(now, Purpose::Start, &Call::SessionStart(start));
    }

    /// No connection came about.
    pub fn failed(&mut self, now: u64, failure: Failure, roll: u64) {
        let never = self.me.is_none();
        let (why, at_least_ms) = match failure {
            Failure::BadUrl { url, problem } => return self.stop(Stopped::BadUrl { url, problem }),
            Failure::Status { status: 401, .. } if self.token_is_fresh => {
                return self.stop(Stopped::Unauthenticated("HTTP 401".to_owned()));
            }
            Failure::Status { status: 401, .. } => {
                self.want_fresh_token = true;
                (Why::Refused { status: 401 }, 0)
            }
            Failure::Status { status: 403, .. } => return self.stop(Stopped::Forbidden),
            Failure::Status { status, .. } if never && matches!(status, 400 | 404..=407 | 426) => {
                return self.stop(Stopped::NoService { status });
            }
            Failure::Status { status, retry_after_ms } => {
                (Why::Refused { status }, retry_after_ms.unwrap_or(0))
            }
            Failure::Network(text) => (Why::Unreachable(text), 0),
            Failure::Token { text, hopeless } if hopeless && never => {
                return self.stop(Stopped::Unauthenticated(text));
            }
            Failure::Token { text, .. } => {
                self.want_fresh_token = true;
                (Why::NoToken(text), 0)
            }
        };
        self.come_back(now, why, at_least_ms, roll);
    }

    /// The connection ended.
    pub fn closed(&mut self, now: u64, ended: Ended, roll: u64) {
        if matches!(self.phase, Phase::Live { since } if now >= since + GOOD_SESSION_MS) {
            self.backoff.reset();
        }
        let mut at_least_ms = 0;
        match &ended.0 {
            Why::Closed { code: 4001, .. } => self.want_fresh_token = true,
            Why::Closed { code: 1013, .. } => at_least_ms = 1_000,
            _ => {}
        }
        if let Some(ms) = self.goaway_ms.take() {
            self.backoff.reset();
            at_least_ms = at_least_ms.max(ms);
        }
        self.come_back(now, ended.0, at_least_ms, roll);
    }

    fn come_back(&mut self, now: u64, why: Why, at_least_ms: u64, roll: u64) {
        if self.phase == Phase::Stopped {
            return;
        }
        self.disconnected();
        let pause = self.backoff.next(roll).max(at_least_ms);
        self.phase = Phase::Waiting { until: now + pause };
        if !self.told_down {
            self.told_down = true;
            self.effects.push(Effect::Update(Update::Disconnected { why }));
        }
    }

    fn disconnected(&mut self) {
        self.requests.clear();
        self.outbox.disconnected();
        self.timelines.values_mut().for_each(Timeline::disconnected);
        self.more = None;
        for ticket in self.calls.disconnected() {
            self.reply(ticket, Err(CallError::NotConnected));
        }
    }

    /// The session is live: `incoming` has read the answer to `session.start`.
    pub(crate) fn live(&mut self, now: u64) {
        self.phase = Phase::Live { since: now };
        self.told_down = false;
        self.token_is_fresh = false;
    }

    /// `session.start` was refused.
    pub(crate) fn not_started(&mut self, error: &harkara_protocol::client::RpcError) {
        use harkara_protocol::client::ErrorWord;
        let retryable = error.data.as_ref().is_some_and(|data| data.retryable);
        match error.error_word() {
            Some(ErrorWord::Unauthenticated) if self.token_is_fresh => {
                self.stop(Stopped::Unauthenticated(error.message.clone()));
            }
            Some(ErrorWord::Unauthenticated) => {
                self.want_fresh_token = true;
                self.hang_up(Why::NotStarted(error.message.clone()));
            }
            _ if retryable => {
                self.goaway_ms = error.data.as_ref().and_then(|data| data.retry_after_ms);
                self.hang_up(Why::NotStarted(error.message.clone()));
            }
            _ => self.stop(Stopped::Session(error.message.clone())),
        }
    }

    /// Drops the connection; the task reports its end with [`Self::closed`].
    fn hang_up(&mut self, why: Why) {
        tracing::debug!(%why, "hanging up");
        if !self.told_down {
            self.told_down = true;
            self.effects.push(Effect::Update(Update::Disconnected { why }));
        }
        self.effects.push(Effect::Disconnect);
    }

    /// Ends for good.
    pub(crate) fn stop(&mut self, stopped: Stopped) {
        if self.phase == Phase::Stopped {
            return;
        }
        self.phase = Phase::Stopped;
        for ticket in self.calls.drain() {
            self.reply(ticket, Err(CallError::Stopped(stopped.clone())));
        }
        self.effects.push(Effect::Update(Update::Stopped(stopped.clone())));
        self.effects.push(Effect::Stop(stopped));
    }

    /// Is there a session?
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live { .. })
    }

    /// Something came over the connection.
    pub fn heard(&mut self, now: u64) {
        (self.heard, self.pinged) = (now, false);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: u64) {
        while let Some((deadline, ticket)) = self.calls.first_deadline() {
            if deadline > now {
                break;
            }
            self.calls.remove(ticket);
            self.reply(ticket, Err(CallError::Timeout));
        }
        match self.phase {
            Phase::Waiting { until } if until <= now => {
                self.phase = Phase::Connecting;
                let fresh_token = std::mem::take(&mut self.want_fresh_token);
                self.token_is_fresh |= fresh_token;
                self.effects.push(Effect::Connect { fresh_token });
            }
            Phase::Starting { since } if now >= since + self.tuning.connect_ms_max => {
                self.hang_up(Why::NotStarted("no answer to session.start".to_owned()));
            }
            Phase::Live { .. } => {
                self.check_silence(now);
                self.expire(now);
                self.pump(now);
            }
            _ => {}
        }
    }

    /// How long the server may say nothing.
    fn silence_ms_max(&self) -> u64 {
        let heartbeat = self.limits.as_ref().map_or(30_000, |limits| limits.heartbeat_ms);
        let idle = heartbeat.saturating_mul(2).saturating_add(5_000);
        if self.requests.len() > 0 { idle.min(BUSY_SILENCE_MS_MAX) } else { idle }
    }

    fn check_silence(&mut self, now: u64) {
        let silence = now.saturating_sub(self.heard);
        let limit = self.silence_ms_max();
        if silence >= limit {
            self.hang_up(Why::Silent);
        } else if silence >= limit / 2 && !self.pinged {
            self.pinged = true;
            self.effects.push(Effect::Ping);
        }
    }

    /// When [`Self::tick`] is due at the latest.
    #[must_use]
    pub fn wake_at(&self, now: u64) -> u64 {
        let mut at = self.calls.first_deadline().map_or(u64::MAX, |(deadline, _)| deadline);
        match self.phase {
            Phase::Waiting { until } => at = at.min(until),
            Phase::Starting { since } => at = at.min(since + self.tuning.connect_ms_max),
            Phase::Live { .. } => {
                let limit = self.silence_ms_max();
                at = at.min(self.heard + if self.pinged { limit } else { limit / 2 });
                at = at.min(self.outgoing_due(now).unwrap_or(u64::MAX));
            }
            Phase::Connecting | Phase::Stopped => {}
        }
        at
    }

    /// A request's frame goes out.
    pub(crate) fn transmit(&mut self, now: u64, purpose: Purpose, call: &Call) {
        let id = RequestId::number(self.requests.open(now, purpose));
        match json::encode_request(&id, call) {
            Ok(frame) => self.effects.push(Effect::Transmit(frame)),
            Err(error) => tracing::error!(%error, "request could not be encoded, dropped"),
        }
    }

    /// A caller gets the answer.
    pub(crate) fn reply(
        &mut self,
        ticket: u64,
        result: Result<Box<serde_json::value::RawValue>, CallError>,
    ) {
        self.effects.push(Effect::Reply { ticket, result });
    }
}
