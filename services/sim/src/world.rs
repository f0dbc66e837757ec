//! What everything in a simulation shares: virtual time, chance, the weather and the trace.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use harkara_service_runtime::clock::Clock;
use tokio::time::Instant;

use crate::{chance::Dice, process::Proc, weather::Weather};

/// When the simulation begins, milliseconds since 1970: some day in 2027.
const BEGIN_MS: u64 = 1_800_000_000_000;

/// One simulation.
pub struct World {
    start: Instant,
    /// Latencies and fates.
    pub dice: Dice,
    weather: Mutex<Weather>,
    trace: Option<Mutex<Vec<String>>>,
}

impl World {
    /// A world in which nothing fails and nothing takes time.
    #[must_use]
    pub fn calm() -> Arc<Self> {
        Self::new(0, Weather::calm(), false)
    }

    /// A world whose time begins now.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the simulation's one place that reads the clock"
    )]
    pub fn new(seed: u64, weather: Weather, traced: bool) -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            dice: Dice::new(seed, "world"),
            weather: Mutex::new(weather),
            trace: traced.then(Mutex::default),
        })
    }

    /// Virtual time since the beginning.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// The same in milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// What a clock on the wall shows that is right.
    #[must_use]
    pub fn wall_ms(&self) -> u64 {
        BEGIN_MS + self.now_ms()
    }

    /// What fails now, and how slow things are.
    pub fn weather(&self) -> MutexGuard<'_, Weather> {
        self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a message between two processes takes now.
    #[must_use]
    pub fn latency(&self) -> Duration {
        let (low, high) = self.weather().latency_ms();
        Duration::from_millis(if high == 0 { 0 } else { self.dice.roll().between(low, high) })
    }

    /// True so many times in a thousand.
    #[must_use]
    pub fn happens(&self, permille: u64) -> bool {
        permille > 0 && self.dice.roll().permille(permille)
    }

    /// Notes what happened, where somebody wants to read it.
    pub fn note(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let now = self.now_ms();
            let line = format!("{:>4}.{:03} {}", now / 1_000, now % 1_000, line());
            trace.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }

    /// Is somebody going to read the notes?
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// The notes so far.
    #[must_use]
    pub fn take_trace(&self) -> Vec<String> {
        let trace = self.trace.as_ref();
        trace.map_or_else(Vec::new, |trace| {
            std::mem::take(&mut *trace.lock().unwrap_or_else(PoisonError::into_inner))
        })
    }
}

/// The clock of a process, which may be wrong.
pub struct ProcClock {
    /// Whose time it is.
    pub world: Arc<World>,
    /// Whose clock.
    pub proc: Arc<Proc>,
}

impl Clock for ProcClock {
    fn now_ms(&self) -> u64 {
        self.world.wall_ms().saturating_add_signed(self.proc.clock_is_off_by())
    }

    fn elapsed_ns(&self) -> u64 {
        u64::try_from(self.world.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
