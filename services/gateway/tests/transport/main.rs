//! The client port through real sockets: handshake, frames, fragments, closing and flow control,
//! against a session that echoes. `server` is the server under test, `client` a client that can
//! break every rule; `over_tls` runs everything once more over TLS.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail like tests; the lint's exception covers test functions only"
)]

mod client;
mod closing;
mod flow;
mod fragments;
mod framing;
mod handshake;
mod headers;
mod log;
mod over_tls;
mod proxy;
mod rfc6455;
mod server;
mod stopping;
mod tls;
mod tls_files;
