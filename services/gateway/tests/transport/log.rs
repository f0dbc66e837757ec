//! Log lines of the whole test process: servers run on threads of their own.

use std::{
    io,
    sync::{Mutex, Once, PoisonError},
    time::Duration,
};

use harkara_service_runtime::clock::SystemClock;

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// From now on lines are kept.
pub fn collect() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(|| Lines);
        let lines = lines.with_env_filter("warn,harkara_gateway=debug").finish();
        tracing::subscriber::set_global_default(lines).unwrap();
    });
}

/// Is there a line with both?
pub fn has(one: &str, other: &str) -> bool {
    let bytes = LINES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().any(|line| line.contains(one) && line.contains(other))
}

/// Waits for a line with both, at most 10 s.
pub fn says(one: &str, other: &str) {
    let clock = SystemClock::shared();
    let end = clock.elapsed_ns() + 10_000_000_000;
    while !has(one, other) {
        assert!(clock.elapsed_ns() < end, "no line with {one:?} and {other:?}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

struct Lines;

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
