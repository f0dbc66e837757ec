//! The real binary through real sockets: each test starts its own server on a directory of its
//! own and free ports, and kills it at its end. `support` has the server, a raw client that can
//! break every rule, and what waits; one file for each promise.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail like tests; the lint's exception covers test functions only"
)]

/// A server here is one process.
pub const CLUSTERED: bool = false;

mod again;
mod chat;
mod damage;
mod documents;
mod durability;
mod frames;
mod hostile;
mod lifecycle;
mod members;
mod moving;
#[cfg(feature = "cluster")]
mod moving_up;
mod overload;
mod races;
mod requests;
mod resume;
mod rights;
mod settings;
mod slow;
#[expect(dead_code, reason = "some of it is for the tests of a cluster")]
mod support;
mod telemetry;
mod terminal;
mod tls;
mod tokens;
mod upgrade;
