//! What a stretch of a measurement cost the server and the load test itself; `honest` says what is
//! too much.

use std::time::{Duration, Instant};

use crate::{
    honest::{self, BUSY},
    process, times,
};

/// Readings at the beginning of a stretch.
#[derive(Debug)]
pub struct Effort<'a> {
    pids: &'a [u32],
    server: Duration,
    own: Duration,
    start: Instant,
}

/// What a stretch took.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    /// Processor time of the server's processes.
    pub server: Duration,
    /// Processor time of this process.
    pub own: Duration,
    /// By the clock.
    pub wall: Duration,
}

impl<'a> Effort<'a> {
    /// Begins to count for these processes of the server.
    ///
    /// # Errors
    /// When one doesn't exist.
    pub fn begin(pids: &'a [u32]) -> anyhow::Result<Self> {
        let (server, own) = (process::cpu_of(pids)?, process::cpu(std::process::id())?);
        Ok(Self { pids, server, own, start: times::now() })
    }

    /// When it began.
    #[must_use]
    pub fn start(&self) -> Instant {
        self.start
    }

    /// What was spent since. May be asked more than once.
    ///
    /// # Errors
    /// When a process has ended.
    pub fn spent(&self) -> anyhow::Result<Spent> {
        let wall = self.start.elapsed();
        let own = process::cpu(std::process::id())?.saturating_sub(self.own);
        Ok(Spent { server: process::cpu_of(self.pids)?.saturating_sub(self.server), own, wall })
    }
}

impl Spent {
    /// The part of one core that the load test took.
    #[must_use]
    pub fn share(&self) -> f64 {
        honest::share(self.own, self.wall)
    }
}

/// A sentence about the load test's own share in `what`, the median of all rounds.
#[must_use]
pub fn share_note(what: &str, rounds: &[Spent]) -> String {
    let mut shares: Vec<f64> = rounds.iter().map(Spent::share).collect();
    shares.sort_by(f64::total_cmp);
    let share = shares.get(shares.len() / 2).copied().unwrap_or_default();
    let percent = share * 100.0;
    if share >= BUSY {
        format!(
            "{what}: the load test itself was the bottleneck, its one thread was busy for \
             {percent:.0} % of the time; rates and latencies are its own, not the server's"
        )
    } else {
        format!("{what}: the load test's thread was busy for {percent:.0} % of the time")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(own: u64) -> Spent {
        let [own, wall] = [own, 1_000].map(Duration::from_millis);
        Spent { server: Duration::ZERO, own, wall }
    }

    #[test]
    fn a_busy_load_test_says_so() {
        assert!(!share_note("a", &[spent(100), spent(990), spent(300)]).contains("bottleneck"));
        assert!(share_note("a", &[spent(100), spent(990), spent(950)]).contains("bottleneck"));
        assert_eq!(
            share_note("a", &[spent(250)]),
            "a: the load test's thread was busy for 25 % of the time"
        );
    }

    #[test]
    fn what_is_counted_is_this_process() {
        let own = [std::process::id()];
        let effort = Effort::begin(&own).expect("this process");
        while effort.spent().expect("times").server < Duration::from_millis(2) {}
        let spent = effort.spent().expect("times");
        assert!(spent.own >= Duration::from_millis(1) && spent.share() > 0.0);
        assert!(Effort::begin(&[u32::MAX]).is_err());
    }
}
