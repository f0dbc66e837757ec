//! What the tests share: the server as a process, clients, and waiting with a deadline. Paths are
//! written out since two targets include this file.

#[path = "support/chain.rs"]
pub mod chain;
#[path = "support/client.rs"]
pub mod client;
#[path = "support/cluster.rs"]
pub mod cluster;
#[path = "support/http.rs"]
pub mod http;
#[path = "support/metrics.rs"]
pub mod metrics;
#[path = "support/process.rs"]
pub mod process;
#[path = "support/production.rs"]
pub mod production;
#[path = "support/server.rs"]
pub mod server;
#[path = "support/wait.rs"]
pub mod wait;

use std::{io::Write as _, sync::LazyLock};

use harkara_service_runtime::{
    clock::{SharedClock, SystemClock},
    entropy::{SharedEntropy, SystemEntropy},
};

pub use self::{
    client::Client,
    server::{Home, Server},
    wait::{SOON, Stopwatch, until},
};

static CLOCK: LazyLock<SharedClock> = LazyLock::new(SystemClock::shared);
static ENTROPY: LazyLock<SharedEntropy> = LazyLock::new(SystemEntropy::shared);

/// Says that a test did not test; on the process's own standard error, which the test runner does
/// not hold back.
pub fn skipped(why: &str) {
    let _closed = writeln!(std::io::stderr().lock(), "\nSKIPPED: {why}");
}

/// A new id for a request.
pub fn uuid() -> String {
    ENTROPY.uuid_v7(CLOCK.now_ms()).to_string()
}

/// A number below `bound`.
pub fn below(bound: u64) -> u64 {
    ENTROPY.below(bound)
}

/// Seconds since 1970.
pub fn now_secs() -> u64 {
    CLOCK.now_ms() / 1_000
}
