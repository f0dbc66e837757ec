//! When to connect again: doubling pauses with jitter, and what the server asked for. Pure.

/// Pauses between attempts to connect.
#[derive(Debug)]
pub(crate) struct Backoff {
    ms_min: u64,
    ms_max: u64,
    attempts: u32,
}

impl Backoff {
    pub(crate) fn new(ms_min: u64, ms_max: u64) -> Self {
        Self { ms_min: ms_min.max(1), ms_max: ms_max.max(ms_min), attempts: 0 }
    }

    /// The last connection was a good one.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }

    /// The next pause in milliseconds: half of it sure, half of it chance, so that clients that
    /// fell together don't come back together.
    pub(crate) fn next(&mut self, roll: u64) -> u64 {
        let doubled = self.ms_min.saturating_mul(1 << self.attempts.min(20));
        self.attempts += 1;
        let half = doubled.min(self.ms_max) / 2;
        (half + roll % (half + 1)).max(self.ms_min)
    }
}

#[cfg(test)]
mod tests {
    use super::Backoff;

    #[test]
    fn pauses_grow_to_the_limit_and_begin_again() {
        let mut backoff = Backoff::new(100, 10_000);
        let pauses: Vec<u64> = (0..9).map(|_| backoff.next(u64::MAX - 1)).collect();
        assert!(pauses.iter().all(|ms| (100..=10_000).contains(ms)), "{pauses:?}");
        assert!((5_000..=10_000).contains(&pauses[8]), "{pauses:?}");
        backoff.reset();
        assert_eq!(backoff.next(0), 100);
    }
}
