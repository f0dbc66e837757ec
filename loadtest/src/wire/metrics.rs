//! What all clients of a run count together.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
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
    /// `event_us` since somebody asked.
    recent_us: Mutex<Histogram<u64>>,
    errors: Mutex<BTreeMap<String, u64>>,
    silences: Mutex<Silences>,
}

/// A client that got nothing for longer than [`SILENCE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// Whose.
    pub client: u32,
    /// The last delivery before it.
    pub from: Instant,
    /// The first one after it; none has come if there is none.
    pub until: Option<Instant>,
}

/// Shorter ones are not remembered: conversations pause by themselves.
pub const SILENCE: Duration = Duration::from_millis(500);

/// Silences that are remembered; a run of an hour with two hundred clients and a fault every few
/// seconds has a tenth of that.
const SILENCES: usize = 1_000_000;

#[derive(Debug, Default)]
struct Silences {
    last: HashMap<u32, Instant>,
    over: Vec<Silence>,
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
        Ok(Self {
            count: Counters::default(),
            accept_us: histogram()?,
            event_us: histogram()?,
            recent_us: histogram()?,
            errors: Mutex::default(),
            silences: Mutex::default(),
        })
    }

    /// From the first transmission to `accepted`.
    pub fn accepted_after(&self, took: Duration) {
        record(&self.accept_us, took);
    }

    /// From the first transmission to the sender's own event.
    pub fn event_after(&self, took: Duration) {
        record(&self.event_us, took);
        record(&self.recent_us, took);
    }

    /// An event came to a client.
    pub fn delivered(&self, client: u32, now: Instant) {
        Counters::add(&self.count.deliveries);
        let mut silences = held(&self.silences);
        let Some(from) = silences.last.insert(client, now) else { return };
        if now.duration_since(from) >= SILENCE && silences.over.len() < SILENCES {
            silences.over.push(Silence { client, from, until: Some(now) });
        }
    }

    /// All silences so far, those that go on among them.
    #[must_use]
    pub fn silences(&self) -> Vec<Silence> {
        let silences = held(&self.silences);
        let open = silences.last.iter();
        let open = open.map(|(&client, &from)| Silence { client, from, until: None });
        silences.over.iter().copied().chain(open).collect()
    }

    /// A request was answered with an error.
    pub fn failed(&self, code: &str) {
        let mut errors = held(&self.errors);
        match errors.get_mut(code) {
            Some(count) => *count += 1,
            None => drop(errors.insert(code.to_owned(), 1)),
        }
    }

    /// Errors by code.
    #[must_use]
    pub fn errors(&self) -> BTreeMap<String, u64> {
        held(&self.errors).clone()
    }

    /// Send to own event, since this was last asked; nothing where nothing was sent.
    pub fn take_recent(&self) -> Option<Quantiles> {
        let told = quantiles(&self.recent_us);
        let mut recent = held(&self.recent_us);
        let any = !recent.is_empty();
        recent.reset();
        any.then_some(told)
    }

    /// Send to `accepted`, send to own event.
    #[must_use]
    pub fn quantiles(&self) -> (Quantiles, Quantiles) {
        (quantiles(&self.accept_us), quantiles(&self.event_us))
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn record(histogram: &Mutex<Histogram<u64>>, took: Duration) {
    let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    held(histogram).saturating_record(us);
}

fn quantiles(histogram: &Mutex<Histogram<u64>>) -> Quantiles {
    let histogram = held(histogram);
    #[expect(clippy::cast_precision_loss, reason = "microseconds below 2^53")]
    let ms = |us: u64| us as f64 / 1000.0;
    Quantiles {
        p50_ms: ms(histogram.value_at_quantile(0.5)),
        p99_ms: ms(histogram.value_at_quantile(0.99)),
        max_ms: ms(histogram.max()),
    }
}
