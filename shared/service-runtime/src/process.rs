//! The process itself: what was built, how much memory it holds, how many files it may open, what
//! becomes of panics.

use std::fs;

use opentelemetry::{KeyValue, global, metrics::Meter};
use rustix::process::{Resource, getrlimit, setrlimit};

/// What this binary was built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildInfo {
    /// The crate's version.
    pub version: &'static str,
    /// The commit, where the build was told it (`BUILD_GIT_HASH`), else `unknown`.
    pub git: &'static str,
    /// The compiler, as `rustc --version` prints it.
    pub rustc: &'static str,
    /// All of it in one line: `0.1.0 (4f2c1ab, rustc 1.95.0 (…))`.
    pub text: &'static str,
}

/// What this binary was built from.
#[must_use]
pub const fn build_info() -> BuildInfo {
    BuildInfo {
        version: env!("CARGO_PKG_VERSION"),
        git: env!("BUILD_GIT_HASH"),
        rustc: env!("BUILD_RUSTC"),
        text: concat!(
            env!("CARGO_PKG_VERSION"),
            " (",
            env!("BUILD_GIT_HASH"),
            ", ",
            env!("BUILD_RUSTC"),
            ")"
        ),
    }
}

/// Resident memory in bytes, as the kernel counts it (`VmRSS`); absent where `/proc` is.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    resident_of(&fs::read_to_string("/proc/self/status").ok()?)
}

fn resident_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Raises the limit on open files to what the system allows; returns what then holds. Each socket
/// is an open file.
#[must_use]
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let mut raised = limit;
    raised.current = limit.maximum;
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised,
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit on open files");
            limit
        }
    };
    now.current.unwrap_or(u64::MAX)
}

/// Registers `harkara_build_info` and `harkara_process_resident_bytes` with the global meter.
pub fn register_metrics() {
    let meter = global::meter("harkara");
    let build = build_info();
    let labels = [
        KeyValue::new("version", build.version),
        KeyValue::new("git", build.git),
        KeyValue::new("rustc", build.rustc),
    ];
    meter
        .u64_gauge("harkara_build_info")
        .with_description("What runs here; always 1")
        .build()
        .record(1, &labels);
    let _registered = meter
        .u64_observable_gauge("harkara_process_resident_bytes")
        .with_description("Resident memory of the process")
        .with_callback(|gauge| {
            if let Some(bytes) = resident_bytes() {
                gauge.observe(bytes, &[]);
            }
        })
        .build();
}

/// Counts panics, and has them stand in the log like everything else, in a span of their own inside
/// the one that they happened in. Called once, when logs and metrics are ready.
pub fn report_panics() {
    report_panics_to(&global::meter("harkara"));
}

pub(crate) fn report_panics_to(meter: &Meter) {
    let panics = meter.u64_counter("harkara_panics").with_description("Panics: bugs").build();
    // What never happened is 0, not absent: alerts compare numbers.
    panics.add(0, &[]);
    std::panic::set_hook(Box::new(move |panic| {
        panics.add(1, &[]);
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let message = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("?");
        let at = panic.location().map(tracing::field::display);
        let backtrace = std::backtrace::Backtrace::capture();
        let seen = backtrace.status() == std::backtrace::BacktraceStatus::Captured;
        let backtrace = seen.then(|| tracing::field::display(&backtrace));
        let span = tracing::error_span!("panic", otel.status_code = "ERROR");
        span.in_scope(|| tracing::error!(at, backtrace, "panicked: {message}"));
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_bytes() {
        assert_eq!(resident_of("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2_097_152));
        assert_eq!(resident_of("Name:\tx\n"), None);
        assert!(resident_bytes().unwrap() > 100_000);
    }

    #[test]
    fn the_limit_on_open_files_only_rises() {
        let before = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(raise_open_files() >= before);
        assert_eq!(raise_open_files(), raise_open_files());
    }

    #[test]
    fn the_build_names_its_compiler() {
        assert!(build_info().rustc.starts_with("rustc 1."), "{:?}", build_info());
    }
}
