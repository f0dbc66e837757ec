//! The log and the directory on real brokers: their contracts, bad topics, faults, security.

#![expect(clippy::expect_used, clippy::panic, reason = "tests report so")]

mod conformance;
mod support;
