//! Tests of the fanout: the conversation's state machine by itself, then partitions on the
//! embedded engines.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod histories;
mod ownership;
#[cfg(feature = "sabotage")]
mod panics;
mod partition;
mod rules;
mod support;
