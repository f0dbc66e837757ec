//! The simulator's own tests.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod conformance;
mod determinism;
mod seeds;
#[cfg(feature = "sabotage")]
mod variants;
