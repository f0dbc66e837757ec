//! The parts of `harkara-loadtest`: a client of its own for the public protocol, the replay, the
//! checker, and measurements. Nothing here knows the servers' crates or the SDK: what this
//! crate believes about the protocol it read in the protocol's description, so that a mistake made
//! there is not repeated here.
//!
//! ```text
//! logs ─▶ replay::parse ─▶ replay::day ─▶ wire::Client ─▶ server
//!                                            │
//!                                         journal ─▶ check ◀─ check::fetch ◀─ server
//! raw, rooms ─▶ broadcast, idle, ramp, sync ─▶ figures
//! report ─▶ (each mode as a child) ─▶ figures ─▶ page, docs, capacity
//! plan, seed ─▶ chaos ─▶ (processes, proxies, replay's clients) ─▶ check
//! raw, system ─▶ steady ─▶ overload, growth, ready, peer, floor ◀─ bare loops over the engines' libraries
//! ```

pub mod broadcast;
pub mod capacity;
pub mod chaos;
pub mod check;
pub mod effort;
pub mod figures;
pub mod floor;
pub mod growth;
pub mod honest;
pub mod idle;
pub mod ids;
pub mod journal;
pub mod out;
pub mod overload;
pub mod page;
pub mod peer;
pub mod pin;
pub mod process;
pub mod ramp;
pub mod raw;
pub mod ready;
pub mod replay;
pub mod report;
pub mod rooms;
pub mod sample;
pub mod steady;
pub mod sync;
pub mod system;
pub mod times;
pub mod wire;
