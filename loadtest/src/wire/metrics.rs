//! What all clients of a run count together.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use hdrhistogram::{CreationError, Histogram};

/// Counters of a run. All of them only grow.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "each name says what is counted")]
pub struct Counters {
    pub intended: AtomicU64,
    pub accepted: AtomicU64,
    pub rejected: AtomicU64,
    pub settled: AtomicU64,
    pub own_events: AtomicU64,
    pub refused: AtomicU64,
    pub given_up: AtomicU64,
    pub retried: AtomicU64,
    pub nudged: AtomicU64,
    pub deliveries: AtomicU64,
    pub sessions: AtomicU64,
    pub reconnects: AtomicU64,
    pub strange_frames: AtomicU64,
}

/// The counters and how long things took.
#[derive(Debug)]
pub struct Metrics {
    /// How often.
    pub count: Counters,
    accept_us: Mutex<Histogram<u64>>,
    event_us: Mutex<Histogram<u64>>,
}

/// Three digits, up to ten minutes.
fn histogram() -> Result<Mutex<Histogram<u64>>, CreationError> {
    Histogram::new_with_max(600_000_000, 3).map(Mutex::new)
}

/// 50th and 99th percentile and the largest, in milliseconds.
#[derive(Debug, Clone, Copy, serde::Serialize)]
#[expect(missing_docs, reason = "each name says what it is")]
pub struct Quantiles {
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

impl Counters {
    /// Adds one to a counter.
    pub fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }
}

impl Metrics {
    /// Nothing counted yet.
    ///
    /// # Errors
    /// When the histograms can't be made.
    pub fn new() -> Result<Self, CreationError> {
        Ok(Self { count: Counters::default(), accept_us: histogram()?, event_us: histogram()? })
    }

    /// From the first transmission to `accepted`.
    pub fn accepted_after(&self, took: Duration) {
        record(&self.accept_us, took);
    }

    /// From the first transmission to the sender's own event.
    pub fn event_after(&self, took: Duration) {
        record(&self.event_us, took);
    }

    /// Send to `accepted`, send to own event.
    #[must_use]
    pub fn quantiles(&self) -> (Quantiles, Quantiles) {
        (quantiles(&self.accept_us), quantiles(&self.event_us))
    }
}

fn record(histogram: &Mutex<Histogram<u64>>, took: Duration) {
    let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    histogram.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(us);
}

fn quantiles(histogram: &Mutex<Histogram<u64>>) -> Quantiles {
    let histogram = histogram.lock().unwrap_or_else(PoisonError::into_inner);
    #[expect(clippy::cast_precision_loss, reason = "microseconds below 2^53")]
    let ms = |us: u64| us as f64 / 1000.0;
    Quantiles {
        p50_ms: ms(histogram.value_at_quantile(0.5)),
        p99_ms: ms(histogram.value_at_quantile(0.99)),
        max_ms: ms(histogram.max()),
    }
}
