//! The client as a pure state machine: what happens goes in with the time, what is to be done
//! comes out as effects. `task` is the thin shell around it.
//!
//! - [`state`]: phases of a connection, when to come back, what ends it for good.
//! - [`incoming`]: a server's frames.  [`outgoing`]: what to ask next, and what was not answered.
//! - [`timeline`]: each event once, in order.  [`outbox`]: each send one outcome.
//! - [`requests`]: what waits for an answer.  [`backoff`]: pauses between attempts.

pub(crate) mod backoff;
pub(crate) mod incoming;
pub(crate) mod outbox;
pub(crate) mod outgoing;
pub(crate) mod requests;
pub(crate) mod state;
pub(crate) mod timeline;

#[cfg(test)]
mod tests;

use serde_json::value::RawValue;

use crate::{
    error::{CallError, Stopped},
    journal::Entry,
    update::{Update, Why},
};

pub use self::state::Machine;

/// What the task has to do.
#[derive(Debug)]
pub enum Effect {
    /// Connect, with a new token if so.
    Connect {
        /// The old one was refused, or there is none yet.
        fresh_token: bool,
    },
    /// Send a text frame.
    Transmit(String),
    /// Send a ping.
    Ping,
    /// Drop the connection: it is of no use any more.
    Disconnect,
    /// Tell the client's user.
    Update(Update),
    /// Answer a caller.
    Reply {
        /// The caller's.
        ticket: u64,
        /// What it gets.
        result: Result<Box<RawValue>, CallError>,
    },
    /// Keep in the journal.
    Note(Entry),
    /// End, for good.
    Stop(Stopped),
}

/// Why a connection did not come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The upgrade was answered with this status.
    Status {
        /// HTTP status.
        status: u16,
        /// What the server asks for.
        retry_after_ms: Option<u64>,
    },
    /// Anything before that.
    Network(String),
    /// The token source had none; `hopeless` says that it will not have one later either.
    Token {
        /// Why.
        text: String,
        /// Waiting does not help.
        hopeless: bool,
    },
    /// The URL is none.
    BadUrl {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended(pub Why);
