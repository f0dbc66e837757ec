//! Errors of the SDK, one enum per operation: what callers do differently about.

use harkara_protocol::{
    client::{ErrorWord, RpcError},
    content::ContentError,
};

/// Why the SDK has stopped for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// The client was closed by its owner.
    #[error("the client was closed")]
    Closed,
    /// A fresh token was refused: get another one and connect again.
    #[error("the server refuses the token ({0}); get a new one and connect again")]
    Unauthenticated(String),
    /// The server refuses this user or origin.
    #[error("the server refuses this client (HTTP 403)")]
    Forbidden,
    /// There is no such service at the address.
    #[error("there is no harkara server at this address (HTTP {status}); check the URL")]
    NoService {
        /// The HTTP status of the upgrade.
        status: u16,
    },
    /// The URL can't be one.
    #[error("bad URL {url:?}: {problem}")]
    BadUrl {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The server refuses to start a session.
    #[error("the server refuses the session: {0}")]
    Session(String),
}

/// Why a send was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The content can't be one.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// Too many sends wait for their outcome.
    #[error("{0} sends wait for their outcome already; try again when some are settled")]
    Full(usize),
    /// The client id belongs to another send that still waits.
    #[error("this client id is taken by another send that waits for its outcome")]
    IdTaken,
    /// The journal could not keep it.
    #[error("the send can't be kept on disk: {0}; free space or check the directory")]
    Journal(#[from] std::io::Error),
    /// The SDK has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a request has no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The server refused it.
    #[error("{0}")]
    Refused(RpcError),
    /// No answer by the deadline. Whether it took effect is open: a repeat with the same client
    /// id is safe.
    #[error("no answer in time; try again when the connection is back")]
    Timeout,
    /// Not sent, because there is no connection and the request makes no sense later.
    #[error("not connected")]
    NotConnected,
    /// Larger than a frame.
    #[error("the request has {0} bytes, the server takes {1}")]
    TooLarge(usize, u64),
    /// The answer is not what the protocol says.
    #[error("the server's answer makes no sense: {0}")]
    BadAnswer(String),
    /// The SDK does that itself, or has a method of its own for it.
    #[error("{0} is the client's own business")]
    NotHere(&'static str),
    /// The SDK has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl CallError {
    /// The word of a refusal, where there is one.
    #[must_use]
    pub fn word(&self) -> Option<ErrorWord> {
        match self {
            Self::Refused(error) => error.error_word(),
            _ => None,
        }
    }
}
