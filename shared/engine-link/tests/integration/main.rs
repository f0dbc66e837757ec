//! The link over real sockets: the contract, many processes' worth of ends, and bad neighbors.

#![expect(clippy::expect_used, clippy::panic, reason = "tests report so")]

mod bad_ends;
mod certificates;
mod cluster;
mod conformance;
mod cuts;
mod proxy;
mod support;
mod tls;
