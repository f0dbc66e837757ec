//! How far it is, on standard error: one line that changes on a terminal, a line now and then
//! elsewhere. Standard output stays free for results.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::{Mutex, PoisonError},
};

use harkara_service_runtime::clock::SharedClock;

/// Between two lines: as fast as one can read on a terminal, not to fill a file elsewhere.
const ON_TERMINAL_NS: u64 = 200_000_000;
const ELSEWHERE_NS: u64 = 5_000_000_000;

/// Rows and bytes that went through, told now and then.
pub struct Progress {
    clock: SharedClock,
    to: To,
    counted: Mutex<Counted>,
}

/// Where the lines go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    /// Somebody looks.
    Terminal,
    /// A file, or somebody else's pipe.
    Elsewhere,
    /// A test.
    #[cfg(test)]
    Nobody,
}

#[derive(Default)]
struct Counted {
    what: &'static str,
    parts: u64,
    of: u64,
    rows: u64,
    bytes: u64,
    begun: u64,
    told: u64,
}

impl Progress {
    /// Nothing yet.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        let to = if std::io::stderr().is_terminal() { To::Terminal } else { To::Elsewhere };
        Self { clock, to, counted: Mutex::default() }
    }

    /// Counts and says nothing.
    #[cfg(test)]
    pub fn silent() -> Self {
        let clock = harkara_service_runtime::clock::SystemClock::shared();
        Self { clock, to: To::Nobody, counted: Mutex::default() }
    }

    /// Something begins that has so many parts, `done` of which were there before.
    pub fn begin(&self, what: &'static str, done: u64, of: u64) {
        let now = self.clock.elapsed_ns();
        let counted =
            Counted { what, parts: done, of, begun: now, told: now, ..Counted::default() };
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = counted;
    }

    /// Parts, rows and bytes that went through since the last call.
    pub fn add(&self, parts: u64, rows: u64, bytes: u64) {
        let now = self.clock.elapsed_ns();
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.parts += parts;
        counted.rows += rows;
        counted.bytes += bytes;
        let pause = if self.to == To::Terminal { ON_TERMINAL_NS } else { ELSEWHERE_NS };
        if now.saturating_sub(counted.told) >= pause {
            counted.told = now;
            self.write(&counted.line(now), false);
        }
    }

    /// The last line of what began.
    pub fn end(&self) {
        let now = self.clock.elapsed_ns();
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(&counted.line(now), true);
    }

    /// A sentence of its own.
    pub fn say(&self, sentence: &str) {
        self.write(sentence, true);
    }

    /// Nobody reads it: the work goes on. A line that stays begins a new one on a terminal.
    fn write(&self, line: &str, stays: bool) {
        let end = if stays { "\n" } else { "" };
        let mut to = std::io::stderr().lock();
        let _closed = match self.to {
            To::Terminal => write!(to, "\r\x1b[K{line}{end}").and_then(|()| to.flush()),
            To::Elsewhere => writeln!(to, "{line}"),
            #[cfg(test)]
            To::Nobody => Ok(()),
        };
    }
}

impl Counted {
    fn line(&self, now: u64) -> String {
        let Self { what, parts, of, rows, bytes, .. } = self;
        let percent = (parts * 100).checked_div(*of).unwrap_or(100);
        let millis = (now.saturating_sub(self.begun) / 1_000_000).max(1);
        let mib = bytes >> 20;
        format!("{what}: {percent} %, {rows} rows, {mib} MiB, {} rows/s", rows * 1_000 / millis)
    }
}
