//! The clock and the source of chance of the load test, in one place so that the rest of the crate
//! can be read without wondering where time comes from.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use crate::ids::Id;

/// The monotonic clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the load test's one clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970, for the journals.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the load test's one clock")]
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A new id of version 7.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the load test's one source of chance")]
pub fn new_id() -> Id {
    Id(Uuid::now_v7())
}

/// The pause before the `attempt`th reconnect: doubling from 50 ms to 2 s, half of it chance, so
/// that clients that lost a server together do not come back together.
#[must_use]
pub fn backoff(attempt: u32) -> Duration {
    let full = 50_u64.saturating_mul(1 << attempt.min(6)).min(2_000);
    let chance = u64::from(new_id().0.as_bytes()[15]);
    Duration::from_millis(full / 2 + full / 2 * chance / 255)
}
