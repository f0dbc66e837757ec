//! Engines in memory that fail as the weather says. With fair weather they keep every promise of
//! `harkara-engine`, which its suites prove (`tests/integration/conformance.rs`).
//!
//! The brokers, the tables and the wires belong to the world; what a process holds is a handle that
//! knows whose it is, so that a process can be cut off, frozen or killed while what it has sent is
//! under way.

pub mod directory;
pub mod link;
pub mod log;
pub mod store;
