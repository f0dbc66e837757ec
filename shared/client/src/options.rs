//! How a client is set up: where to, as whom, and the limits of its queues and waits.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use crate::{
    chance::{Chance, SystemChance},
    journal::{Journal, MemoryJournal},
    tls::Tls,
};

/// What a token callback gives back.
pub type TokenFuture = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Where bearer tokens come from.
#[derive(Clone)]
pub enum TokenSource {
    /// Always the same one: the client stops when it is refused.
    Fixed(String),
    /// `POST /v1/dev/token` of a server in development mode.
    Dev {
        /// The user's name.
        user: String,
        /// The device's name; the server's default if absent.
        device: Option<String>,
    },
    /// Asked at first and whenever a token was refused or has expired. An error is tried again.
    Ask(Arc<dyn Fn() -> TokenFuture + Send + Sync>),
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(_) => f.write_str("Fixed(..)"),
            Self::Dev { user, device } => {
                f.debug_struct("Dev").field("user", user).field("device", device).finish()
            }
            Self::Ask(_) => f.write_str("Ask(..)"),
        }
    }
}

/// Where the events of a conversation begin that this client has no cursor of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// With what comes next; history is read with `timeline_read`.
    #[default]
    Head,
    /// With the first event this member may see.
    Beginning,
}

/// Waits and limits. The defaults suit a person's client.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    /// Shortest pause before connecting again, milliseconds.
    pub backoff_ms_min: u64,
    /// Longest pause before connecting again, milliseconds.
    pub backoff_ms_max: u64,
    /// Longest time for connecting, the upgrade and `session.start`, each, milliseconds.
    pub connect_ms_max: u64,
    /// A request without an answer for this long is asked again, milliseconds.
    pub answer_ms_max: u64,
    /// A send without an outcome for this long on a live session is sent again, milliseconds.
    pub outcome_ms_max: u64,
    /// A send older than this is looked for in the timeline before it is sent again,
    /// milliseconds.
    pub old_ms: u64,
    /// A call without a result for this long fails, milliseconds.
    pub call_ms_max: u64,
    /// Sends of one conversation without an answer at one time. With 1 their order is strict even
    /// where the server refuses one of them for a while.
    pub sends_in_flight_max: usize,
    /// Requests without an answer at one time; the server's own limit counts where it is lower.
    pub requests_in_flight_max: usize,
    /// Sends without an outcome that are kept: 4,096 of 1 KiB are 4 MiB.
    pub outbox_max: usize,
    /// Updates that wait for the client's user. Beyond that the socket is no longer read.
    pub updates_max: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            backoff_ms_min: 100,
            backoff_ms_max: 10_000,
            connect_ms_max: 10_000,
            answer_ms_max: 15_000,
            outcome_ms_max: 15_000,
            old_ms: 60_000,
            call_ms_max: 30_000,
            sends_in_flight_max: 16,
            requests_in_flight_max: 64,
            outbox_max: 4_096,
            updates_max: 1_024,
        }
    }
}

/// Everything a client needs.
pub struct Options {
    /// `ws://host:port` or `wss://host:port`, with or without `/v1/ws`.
    pub url: String,
    /// Whose servers are believed, for `wss://`; by default those of the system's authorities.
    pub tls: Option<Tls>,
    /// Where bearer tokens come from.
    pub token: TokenSource,
    /// Where unknown conversations begin.
    pub start: Start,
    /// Waits and limits.
    pub tuning: Tuning,
    /// What outlives the process.
    pub journal: Box<dyn Journal>,
    /// Time and chance.
    pub chance: Arc<dyn Chance>,
}

impl Options {
    /// Everything as usual: no journal, the machine's clock.
    #[must_use]
    pub fn new(url: impl Into<String>, token: TokenSource) -> Self {
        Self {
            url: url.into(),
            tls: None,
            token,
            start: Start::default(),
            tuning: Tuning::default(),
            journal: Box::new(MemoryJournal),
            chance: SystemChance::shared(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("url", &self.url)
            .field("token", &self.token)
            .field("start", &self.start)
            .field("tuning", &self.tuning)
            .finish_non_exhaustive()
    }
}
