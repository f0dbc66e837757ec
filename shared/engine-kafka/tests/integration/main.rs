//! The log and the directory on real brokers: their contracts, bad topics, faults, security.

#![expect(clippy::expect_used, clippy::panic, reason = "tests report so")]

mod conformance;
mod faults;
mod group;
mod records;
mod security;
mod support;
mod topics;
