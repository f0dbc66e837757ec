//! The parts of `harkara-loadtest`: a client of its own for the public protocol, the replay, the
//! checker, and two measurements. Nothing here knows the servers' crates or the SDK: what this
//! crate believes about the protocol it read in the protocol's description, so that a mistake made
//! there is not repeated here.
//!
//! ```text
//! logs ─▶ replay::parse ─▶ replay::day ─▶ wire::Client ─▶ server
//!                                            │
//!                                         journal ─▶ check ◀─ check::fetch ◀─ server
//! raw ─▶ broadcast, idle
//! ```

pub mod broadcast;
pub mod check;
pub mod figures;
pub mod idle;
pub mod ids;
pub mod journal;
pub mod out;
pub mod peer;
pub mod process;
pub mod raw;
pub mod replay;
pub mod system;
pub mod times;
pub mod wire;
