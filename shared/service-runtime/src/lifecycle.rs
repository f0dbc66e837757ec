//! How a process ends: the first SIGTERM or SIGINT asks it to drain, a second one ends it at once;
//! each reason to stop has an exit code of its own.
//!
//! Signals are awaited on a thread of their own, so that a busy main thread cannot miss them.

use std::{
    fmt::Display,
    io::{self, Write as _},
    process::ExitCode,
    thread,
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Why the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Asked to, and drained.
    Done,
    /// Anything that has no code of its own.
    Failed,
    /// A bad setting or flag.
    Settings,
    /// The data directory: not writable, in use, full, corrupt.
    Data,
    /// The address to listen on is in use or not ours.
    Listen,
    /// Drained too slowly: what was left was cut off.
    Drain,
}

impl Exit {
    /// The code that the caller of the process sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Settings => 2,
            Self::Data => 3,
            Self::Listen => 4,
            Self::Drain => 5,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Prints one sentence on standard error and returns the code to leave `main` with.
#[must_use]
pub fn fatal(exit: Exit, message: &dyn Display) -> ExitCode {
    // Nobody is left to tell if standard error is closed.
    let _ = writeln!(io::stderr().lock(), "harkara: {message}");
    exit.into()
}

/// Asks every part of the process to drain, and knows when they have.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    drain: CancellationToken,
    tasks: TaskTracker,
}

impl Lifecycle {
    /// Starts to listen for SIGTERM and SIGINT.
    ///
    /// # Errors
    ///
    /// No thread or no signal handler could be had.
    pub fn start() -> io::Result<Self> {
        let lifecycle = Self::default();
        let drain = lifecycle.drain.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut signals = {
            let _entered = runtime.enter();
            Signals::new()?
        };
        thread::Builder::new().name("signals".into()).spawn(move || {
            runtime.block_on(async {
                let (name, _) = signals.next().await;
                tracing::info!(signal = name, "draining; a second signal ends at once");
                drain.cancel();
                let (name, number) = signals.next().await;
                tracing::warn!(signal = name, "ended at once");
                std::process::exit(128 + number);
            });
        })?;
        Ok(lifecycle)
    }

    /// Is cancelled when the process shall drain.
    #[must_use]
    pub const fn drain(&self) -> &CancellationToken {
        &self.drain
    }

    /// Tasks that the process waits for before it ends.
    #[must_use]
    pub const fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Waits for all tracked tasks; false where `limit` passed first.
    pub async fn drained(&self, limit: Duration) -> bool {
        self.tasks.close();
        tokio::time::timeout(limit, self.tasks.wait()).await.is_ok()
    }
}

struct Signals {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    /// Name and number of the next one.
    async fn next(&mut self) -> (&'static str, i32) {
        tokio::select! {
            _ = self.term.recv() => ("SIGTERM", SignalKind::terminate().as_raw_value()),
            _ = self.int.recv() => ("SIGINT", SignalKind::interrupt().as_raw_value()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn the_first_signal_asks_to_drain_and_tasks_are_waited_for() {
        let lifecycle = Lifecycle::start().unwrap();
        let drain = lifecycle.drain().clone();
        lifecycle.tasks().spawn(async move { drain.cancelled().await });
        assert!(!lifecycle.drain().is_cancelled());
        kill_process(getpid(), Signal::TERM).unwrap();
        tokio::time::timeout(Duration::from_secs(5), lifecycle.drain().cancelled()).await.unwrap();
        assert!(lifecycle.drained(Duration::from_secs(5)).await);
    }

    #[tokio::test]
    async fn a_task_that_does_not_end_is_not_waited_for_longer_than_the_limit() {
        let lifecycle = Lifecycle::default();
        lifecycle.tasks().spawn(std::future::pending::<()>());
        assert!(!lifecycle.drained(Duration::from_millis(10)).await);
    }

    #[test]
    fn codes_are_distinct() {
        let all = [Exit::Done, Exit::Failed, Exit::Settings, Exit::Data, Exit::Listen, Exit::Drain];
        assert_eq!(all.map(Exit::code), [0, 1, 2, 3, 4, 5]);
    }
}
