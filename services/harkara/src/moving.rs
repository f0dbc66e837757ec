//! Moving up: `harkara export` writes a stopped standalone's data as an archive, `harkara import`
//! writes an archive into a store, `harkara rebuild` brings a store forward by its log, `harkara
//! verify` proves that a store and a log agree. All of them know engines by their traits only, so
//! they work between any two of them; [`local`] gives them a data directory. Beside serving:
//! nothing of the message path comes through here.
//!
//! What is carried: events as they are (ids, sequences, times, hash chain), each conversation's
//! state, lists, read cursors, profiles. What is not: the log (its records are events already).
//!
//! Danger: a worker keeps states in memory. Nobody may serve from the target while it is written.

pub mod archive;
pub mod export;
pub mod import;
pub mod local;
mod progress;
pub mod rebuild;
mod settle;
#[cfg(test)]
mod tests;
pub mod verify;

use std::{future::Future, time::Duration};

use harkara_engine::{LogError, StoreError};

pub use self::progress::Progress;

/// Conversations that are worked on at once: enough to keep a cluster with a round trip of a
/// millisecond busy, and 32 pages of 1,024 × ~400 bytes are 13 MB.
pub const AT_ONCE: usize = 32;

/// Events read at a time: 1,024 × ~400 bytes = 400 KiB.
pub const PAGE: usize = 1_024;

/// Pauses between tries of something that failed in passing: 0.1 + 0.2 + … + 12.8 = 25.5 s beside
/// what the tries themselves take. A node that restarts is back by then; else an operator looks.
const RETRIES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// What a failure of an engine means here.
pub trait Passing: std::fmt::Display {
    /// Worth another try?
    fn passes(&self) -> bool;
}

impl Passing for StoreError {
    fn passes(&self) -> bool {
        matches!(self, Self::Retry(_))
    }
}

impl Passing for LogError {
    fn passes(&self) -> bool {
        !matches!(self, Self::Stop(_))
    }
}

/// Calls an engine until it answers, for about half a minute.
///
/// # Errors
/// What it said last, and what to do.
pub async fn patiently<T, E: Passing, F: Future<Output = Result<T, E>>>(
    what: &str,
    mut call: impl FnMut() -> F,
) -> anyhow::Result<T> {
    let mut pause = FIRST_PAUSE;
    for _ in 0..RETRIES {
        match call().await {
            Ok(done) => return Ok(done),
            Err(error) if error.passes() => {
                tracing::warn!(what, %error, "will be done again");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            Err(error) => anyhow::bail!("{what}: {error}"),
        }
    }
    call().await.map_err(|error| {
        anyhow::anyhow!("{what}: {error}; run the same command again when that is mended")
    })
}
