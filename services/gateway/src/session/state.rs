//! The pure part of a session: what phase it is in, how many requests run, how fast it sends.
//! Time comes in as nanoseconds of a clock that never goes back.

use harkara_protocol::client::{Call, ErrorWord, RpcError, rpc};

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nobody yet: only `session.start` runs.
    New,
    /// `session.start` runs; nothing else does.
    Starting,
    /// Authenticated.
    Live,
}

/// Sends a second and at once, or no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// On average.
    pub per_second: u32,
    /// At once.
    pub burst: u32,
}

const NANOS: u64 = 1_000_000_000;

/// The pure part of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    phase: Phase,
    in_flight: usize,
    in_flight_max: usize,
    rate: Option<Rate>,
    /// Sends that may be made now, in billionths.
    tokens: u64,
    filled_at: u64,
}

impl State {
    /// A session that just connected.
    #[must_use]
    pub fn new(in_flight_max: usize, rate: Option<Rate>, now: u64) -> Self {
        let tokens = rate.map_or(0, |r| u64::from(r.burst) * NANOS);
        let in_flight_max = in_flight_max.max(1);
        Self { phase: Phase::New, in_flight: 0, in_flight_max, rate, tokens, filled_at: now }
    }

    /// May this request run? If so it counts as running until [`State::answered`].
    ///
    /// # Errors
    /// What the client is answered instead.
    pub fn admit(&mut self, call: &Call, now: u64) -> Result<(), RpcError> {
        match (self.phase, call) {
            (Phase::New, Call::SessionStart(_)) => self.phase = Phase::Starting,
            (_, Call::SessionStart(_)) => {
                let message = "this session was started already";
                return Err(RpcError::rpc(rpc::INVALID_REQUEST, message));
            }
            (Phase::New | Phase::Starting, _) => {
                let message = "start the session first, and wait for its answer";
                return Err(RpcError::word(ErrorWord::Unauthenticated, message));
            }
            (Phase::Live, call) if appends(call) => self.take_token(now)?,
            (Phase::Live, _) => {}
        }
        self.in_flight += 1;
        Ok(())
    }

    /// A request was answered. True when reading may go on that had been stopped.
    pub fn answered(&mut self) -> bool {
        let was_full = self.is_full();
        self.in_flight = self.in_flight.saturating_sub(1);
        was_full && !self.is_full()
    }

    /// As many requests run as may: nothing more is read until one is answered.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.in_flight >= self.in_flight_max
    }

    /// `session.start` ended.
    pub fn started(&mut self, well: bool) {
        self.phase = if well { Phase::Live } else { Phase::New };
    }

    fn take_token(&mut self, now: u64) -> Result<(), RpcError> {
        let Some(rate) = self.rate else { return Ok(()) };
        let per_second = u64::from(rate.per_second.max(1));
        let gained = now.saturating_sub(self.filled_at).saturating_mul(per_second);
        self.tokens = (self.tokens.saturating_add(gained)).min(u64::from(rate.burst) * NANOS);
        self.filled_at = now;
        if self.tokens >= NANOS {
            self.tokens -= NANOS;
            return Ok(());
        }
        let wait_ms = (NANOS - self.tokens).div_ceil(per_second).div_ceil(1_000_000);
        let message = format!("more than {per_second} changes a second: wait {wait_ms} ms");
        Err(RpcError::word(ErrorWord::RateLimited, message).retry_after_ms(wait_ms))
    }
}

/// Does it write to the log? Those are what the rate is for: reading is bounded by the requests
/// in flight and by its answers' size.
const fn appends(call: &Call) -> bool {
    matches!(
        call,
        Call::MessageSend(_)
            | Call::ConversationCreate(_)
            | Call::ConversationUpdate(_)
            | Call::ConversationLeave(_)
            | Call::MembersAdd(_)
            | Call::MembersRemove(_)
            | Call::MembersSetRole(_)
    )
}

#[cfg(test)]
mod tests {
    use harkara_protocol::{client::requests, json};
    use proptest::prelude::*;

    use super::*;

    fn send() -> Call {
        let frame = r#"{"jsonrpc":"2.0","id":1,"method":"message.send","params":{
            "conversation":"0192f0c1-2345-7abc-8def-0123456789ab",
            "client_id":"0192f0c1-2345-7abc-8def-0123456789ac",
            "content":{"type":"text","text":"x"}}}"#;
        json::decode_request(frame).expect("a request").call
    }

    fn start() -> Call {
        Call::SessionStart(requests::SessionStart::default())
    }

    fn live(rate: Option<Rate>) -> State {
        let mut state = State::new(2, rate, 0);
        state.admit(&start(), 0).expect("first start");
        state.started(true);
        state.answered();
        state
    }

    #[test]
    fn nothing_runs_before_the_start_and_the_start_runs_once() {
        let mut state = State::new(8, None, 0);
        let word = |e: Result<(), RpcError>| e.err().and_then(|e| e.error_word());
        assert_eq!(word(state.admit(&send(), 0)), Some(ErrorWord::Unauthenticated));
        assert!(state.admit(&start(), 0).is_ok());
        assert_eq!(word(state.admit(&send(), 0)), Some(ErrorWord::Unauthenticated));
        assert_eq!(state.admit(&start(), 0).map_err(|e| e.code), Err(rpc::INVALID_REQUEST));
        state.started(false);
        assert!(state.admit(&start(), 0).is_ok(), "a refused token may be followed by a good one");
        state.started(true);
        assert!(state.admit(&send(), 0).is_ok());
    }

    #[test]
    fn reading_stops_at_the_limit_and_goes_on_below_it() {
        let mut state = live(None);
        assert!(state.admit(&send(), 0).is_ok() && !state.is_full());
        assert!(state.admit(&send(), 0).is_ok() && state.is_full());
        assert!(state.answered(), "reading goes on");
        assert!(!state.answered());
    }

    proptest! {
        /// Over any stretch of time no more than burst + rate × time sends pass, and whoever
        /// waits as told passes.
        #[test]
        fn the_rate_holds(gaps in prop::collection::vec(0u64..NANOS / 2, 1..300)) {
            let rate = Rate { per_second: 10, burst: 5 };
            let mut state = live(Some(rate));
            let (mut now, mut passed) = (0, 0u64);
            for gap in gaps {
                now += gap;
                match state.admit(&send(), now) {
                    Ok(()) => passed += 1,
                    Err(error) => {
                        let wait = error.data.and_then(|d| d.retry_after_ms).expect("a time");
                        let mut later = state.clone();
                        prop_assert!(later.admit(&send(), now + wait * 1_000_000).is_ok());
                    }
                }
                prop_assert!(passed <= 5 + now * 10 / NANOS + 1);
            }
        }
    }
}
