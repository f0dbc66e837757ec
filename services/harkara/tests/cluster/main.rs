//! The promises of the one process, kept by a cluster: the same tests on two gateways and two
//! workers as processes, over a real Kafka and a real Cassandra. Clients go to the gateways in turn,
//! and what is killed is a gateway and a worker while the others go on.
//!
//! Of clusters only are `workers` (that freeze and leave), `handover` (how long that takes), `engines`
//! (that are away), `mistakes` (what does not belong together), `rebuilds` (of a lost store from the
//! log), `rules` (two builds side by side) and `costs` (what a message is made of).
//!
//! Not here, since they are about one process: `damage`, `moving` (its data directory), `lifecycle`
//! (exit codes, locks, ports), `settings`, `telemetry`, `tls`, `documents`, `frames` and `upgrade`
//! (what happens before an engine is asked).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail like tests; the lint's exception covers test functions only"
)]

/// A server here is two gateways and two workers.
pub const CLUSTERED: bool = true;

#[path = "../e2e/again.rs"]
mod again;
#[path = "../e2e/chat.rs"]
mod chat;
mod costs;
#[path = "../e2e/durability.rs"]
mod durability;
mod engines;
mod handover;
#[path = "../e2e/members.rs"]
mod members;
mod mistakes;
#[path = "../e2e/races.rs"]
mod races;
mod rebuilds;
#[path = "../e2e/requests.rs"]
mod requests;
#[path = "../e2e/resume.rs"]
mod resume;
#[cfg(feature = "next-rules")]
mod rules;
#[path = "../e2e/slow.rs"]
mod slow;
#[path = "../e2e/support.rs"]
#[expect(dead_code, reason = "some of it is for the tests of one process")]
mod support;
#[path = "../e2e/terminal.rs"]
mod terminal;
mod workers;
