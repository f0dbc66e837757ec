//! The simulator's own tests.

mod conformance;
mod determinism;
mod seeds;
#[cfg(feature = "sabotage")]
mod variants;
