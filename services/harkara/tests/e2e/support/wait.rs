//! Waiting: until something is so, with a deadline and never longer than needed.

use std::{thread, time::Duration};

use super::CLOCK;

/// Nothing takes longer unless it hangs: machines that run tests are slow at times.
/// Where a worker is killed, others wait for its session to end.
pub const SOON: Duration = Duration::from_secs(if crate::CLUSTERED { 60 } else { 30 });

/// Between two looks.
pub const LOOK: Duration = Duration::from_millis(10);

/// How long something took.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(u64);

impl Stopwatch {
    pub fn start() -> Self {
        Self(CLOCK.elapsed_ns())
    }

    pub fn elapsed(self) -> Duration {
        Duration::from_nanos(CLOCK.elapsed_ns() - self.0)
    }
}

/// Looks until there is something; blocks the thread.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let watch = Stopwatch::start();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(watch.elapsed() < SOON, "not in time: {what}");
        thread::sleep(LOOK);
    }
}
