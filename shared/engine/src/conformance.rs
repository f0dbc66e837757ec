//! One suite per trait; every engine passes it, the embedded one included.
//!
//! A suite is a plain async function over a factory, called from a test of the engine's crate. It
//! panics at the first promise that does not hold, with a sentence that names it. Engines of one
//! process and engines across machines run the same suites, so nothing in them looks at timing:
//! what may take a moment is polled up to [`DEADLINE`].

pub mod directory;
pub mod link;
pub mod log;
pub mod store;

use std::{fmt::Debug, future::Future, time::Duration};

/// How long anything may take: a cluster's slowest rebalance, and room to spare.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How often something that may take a moment is looked at.
const PAUSE: Duration = Duration::from_millis(5);

/// The value, or the end of the suite.
#[expect(clippy::panic, reason = "a suite reports by panicking, as tests do")]
pub(crate) fn must<T, E: Debug>(result: Result<T, E>, what: &str) -> T {
    match result {
        Ok(value) => value,
        Err(e) => panic!("{what}: {e:?}"),
    }
}

/// The future's output, or the end of the suite when it takes longer than [`DEADLINE`].
pub(crate) async fn soon<F: Future>(future: F, what: &str) -> F::Output {
    must(tokio::time::timeout(DEADLINE, future).await, what)
}

/// Looks until it is true, or ends the suite after [`DEADLINE`].
pub(crate) async fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let polled = async {
        while !is() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    soon(polled, what).await;
}
