//! The parts of `harkara-loadtest`: a client of its own for the public protocol, the replay, the
//! checker, and measurements. Nothing here knows the servers' crates or the SDK: what this
//! crate believes about the protocol it read in the protocol's description, so that a mistake made
//! there is not repeated here.
//!
//! ```text
//! logs ─▶ replay::parse ─▶ replay::day ─▶ wire::Client ─▶ server
//!                                            │
//!                                         journal ─▶ check ◀─ check::fetch ◀─ server
//! raw ─▶ broadcast, idle
//! raw, system ─▶ steady ─▶ growth, peer
//! ```

pub mod broadcast;
pub mod check;
pub mod figures;
pub mod growth;
pub mod honest;
pub mod idle;
pub mod ids;
pub mod journal;
pub mod out;
pub mod peer;
pub mod process;
pub mod raw;
pub mod replay;
pub mod steady;
pub mod system;
pub mod times;
pub mod wire;
