//! What every measurement owes its reader: whether the generator itself was what limited it. A
//! figure that was taken by a program without breath says more about that program.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Share of one core from which on the generator, which has one thread, is the bottleneck.
pub const BUSY: f64 = 0.9;

/// Share of a core, or of all of them, from which on nothing is left.
const FULL: f64 = 0.95;

/// Lateness of the sender, 99th percentile, from which on it distorts what it measures. Milliseconds.
pub const LATE_MS: f64 = 2.0;

/// Processor seconds a second; 0 of no time.
#[must_use]
pub fn share(cpu: Duration, wall: Duration) -> f64 {
    if wall.is_zero() { 0.0 } else { cpu.as_secs_f64() / wall.as_secs_f64() }
}

/// What a round used: processor seconds a second, and how late its sender was.
#[derive(Debug, Clone, Copy)]
pub struct Breath {
    /// Of the generator.
    pub generator: f64,
    /// Of the measured processes.
    pub server: f64,
    /// Lateness of sends against the time they were intended for, 99th percentile, milliseconds.
    pub late_ms: f64,
    /// The cores that the measured processes may use, if they are kept on some.
    pub pinned: Option<usize>,
}

impl Breath {
    /// Loud sentences, if there is something to be loud about.
    #[must_use]
    pub fn notes(self, cores: usize) -> Vec<String> {
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        let mut notes = Vec::new();
        if self.generator > BUSY {
            notes.push(format!(
                "THE GENERATOR IS THE BOTTLENECK: it took {} of its core; latency and throughput are \
                 its own, processor time of the server per delivery holds",
                percent(self.generator)
            ));
        }
        if self.late_ms > LATE_MS {
            notes.push(format!(
                "THE SENDER WAS LATE: 99 % of the sends left within {:.1} ms of their time; latency \
                 counts from the intended time and contains that",
                self.late_ms
            ));
        }
        let pinned = self.pinned.is_some_and(|cores| self.server > FULL * number(cores));
        if pinned || self.server + self.generator > FULL * number(cores) {
            notes.push(format!(
                "NO PROCESSOR TIME WAS LEFT: the server took {} of a core, the generator {}; latency \
                 is waiting for a processor",
                percent(self.server),
                percent(self.generator)
            ));
        }
        notes
    }
}

#[expect(clippy::cast_precision_loss, reason = "cores below 2^53")]
fn number(cores: usize) -> f64 {
    cores as f64
}

/// A quantile of a histogram of microseconds, in milliseconds.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "microseconds below 2^53")]
pub fn quantile_ms(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Breath = Breath { generator: 0.5, server: 0.9, late_ms: 0.1, pinned: None };

    #[test]
    fn only_a_generator_out_of_breath_is_loud() {
        assert!(CALM.notes(2).is_empty());
        let loud = |breath: Breath, word: &str| {
            let notes = breath.notes(2);
            assert!(notes.len() == 1 && notes[0].contains(word), "{notes:?}");
        };
        loud(Breath { generator: 0.91, ..CALM }, "GENERATOR");
        loud(Breath { late_ms: 2.1, ..CALM }, "LATE");
        loud(Breath { server: 1.45, ..CALM }, "PROCESSOR");
        loud(Breath { server: 0.96, pinned: Some(1), ..CALM }, "PROCESSOR");
    }

    #[test]
    fn shares_are_of_a_core() {
        assert!(share(Duration::from_secs(1), Duration::from_secs(2)) == 0.5);
        assert!(share(Duration::from_secs(1), Duration::ZERO) == 0.0);
    }
}
