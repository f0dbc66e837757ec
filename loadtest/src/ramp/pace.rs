//! When each session is started: at its place in a constant rate, or when one before is done.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::sample::number;

/// How starts follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many a second, whether or not those before are done: an open loop.
    Rate(f64),
    /// So many under way at one time.
    AtOnce(usize),
}

impl Pace {
    /// When the `number`th is to start, counted from the beginning; nothing if that hangs on the
    /// others.
    #[must_use]
    pub fn intended(self, place: usize) -> Option<Duration> {
        match self {
            Self::Rate(rate) => Some(Duration::from_secs_f64(number(place) / rate)),
            Self::AtOnce(_) => None,
        }
    }
}

/// When one was due and done, counted from the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// When it was to start: what its latency counts from.
    pub due: Duration,
    /// When it was done.
    pub done: Duration,
}

/// One that is done.
#[derive(Debug)]
pub struct Done<T> {
    /// When.
    pub time: Time,
    /// What came of it.
    pub value: T,
}

/// Starts `count`; gives what came of them, in their order.
///
/// # Errors
/// The first one's that fails.
pub async fn drive<T>(
    pace: Pace,
    start: Instant,
    count: usize,
    begin: impl AsyncFn(usize) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<Done<T>>> {
    let at_once = match pace {
        Pace::AtOnce(at_once) => at_once,
        // Nobody waits for another: as many places as there are sessions.
        Pace::Rate(_) => count,
    };
    let begin = &begin;
    let work = (0..count).map(|place| async move {
        let due = match pace.intended(place) {
            Some(due) => {
                tokio::time::sleep_until((start + due).into()).await;
                due
            }
            None => start.elapsed(),
        };
        let value = begin(place).await?;
        anyhow::Ok((place, Done { time: Time { due, done: start.elapsed() }, value }))
    });
    // Unordered, or one that is slow would keep its place and those of all that are done after it.
    let work = stream::iter(work).buffer_unordered(at_once.max(1));
    let mut done: Vec<_> = work.try_collect().await?;
    done.sort_unstable_by_key(|(place, _)| *place);
    Ok(done.into_iter().map(|(_, done)| done).collect())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::sync::Barrier;

    use super::*;
    use crate::times;

    #[tokio::test]
    async fn a_rate_waits_for_nobody() {
        // Nobody is done before all have started.
        let all = Barrier::new(100);
        let begin = async |place: usize| {
            all.wait().await;
            anyhow::Ok(place)
        };
        let done = drive(Pace::Rate(20_000.0), times::now(), 100, begin).await.expect("all");
        for (place, done) in (0..).zip(&done) {
            assert_eq!(done.value, place);
            assert_eq!(done.time.due, Duration::from_micros(50) * u32::try_from(place).unwrap());
            assert!(done.time.done >= Duration::from_micros(50) * 99);
        }
    }

    #[tokio::test]
    async fn no_more_than_so_many_at_once() {
        let (now, most) = (Cell::new(0), Cell::new(0));
        let begin = async |place: usize| {
            now.set(now.get() + 1);
            most.set(most.get().max(now.get()));
            // The first is the slowest.
            for _ in place..9 {
                tokio::task::yield_now().await;
            }
            now.set(now.get() - 1);
            anyhow::Ok(place)
        };
        let done = drive(Pace::AtOnce(3), times::now(), 9, begin).await.expect("all");
        assert_eq!(most.get(), 3);
        assert!(done.iter().map(|done| done.value).eq(0..9), "in their order");
    }

    #[tokio::test]
    async fn a_failure_ends_it() {
        let begin = async |place: usize| match place {
            3 => Err(anyhow::anyhow!("no")),
            _ => Ok(place),
        };
        assert!(drive(Pace::AtOnce(2), times::now(), 5, begin).await.is_err());
    }
}
