//! The machine in words, as `/proc` knows it, and the day.

use std::fs;

use crate::times;

/// `2 cores of AMD EPYC 7763 64-Core Processor, 23 GiB of memory, Linux 6.1.0`.
#[must_use]
pub fn in_words() -> String {
    // What can't be read stays unsaid.
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    words(&read("/proc/cpuinfo"), &read("/proc/meminfo"), &read("/proc/sys/kernel/osrelease"))
}

fn words(processors: &str, memory: &str, kernel: &str) -> String {
    let field = |text: &str, name: &str| -> Option<String> {
        let of = |line: &str| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        };
        text.lines().find_map(of)
    };
    let cores = processors.lines().filter(|line| line.starts_with("processor")).count();
    let model = field(processors, "model name").unwrap_or_else(|| "an unknown model".to_owned());
    let kib: f64 = field(memory, "MemTotal")
        .and_then(|value| value.strip_suffix(" kB")?.trim().parse().ok())
        .unwrap_or_default();
    let gib = kib / f64::from(1 << 20);
    let many = if cores == 1 { "core" } else { "cores" };
    // What stands behind the number names whoever built it.
    let kernel = kernel.trim().split(['-', '+']).next().unwrap_or_default();
    format!("{cores} {many} of {model}, {gib:.0} GiB of memory, Linux {kernel}")
}

/// `2026-11-23`, as it is in Greenwich.
#[must_use]
pub fn today() -> String {
    let ms = i64::try_from(times::wall_ms()).unwrap_or(i64::MAX);
    // The clock stands between 1970 and the year 9999, or there is no day to tell.
    let now = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    now.strftime("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_told_in_a_line() {
        let processors = "processor\t: 0\nmodel name\t: A: fast one\n\nprocessor\t: 1\n";
        let words = words(processors, "MemTotal:       25165824 kB\n", "6.1.0-amd64\n");
        assert_eq!(words, "2 cores of A: fast one, 24 GiB of memory, Linux 6.1.0");
        assert!(today().starts_with("20"));
    }
}
