//! One round of steady load, as it was seen, and the arithmetic on it. What is told of several rounds
//! is in [`super::told`].

use std::time::Duration;

use anyhow::Context as _;

use super::{
    plan::Plan,
    tally::{Counts, Second},
};
use crate::honest::{self, Breath};

/// What was seen at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Since the round began.
    pub at: Duration,
    /// Processor time of all measured processes so far.
    pub cpu: Duration,
    /// Processor time of this process so far.
    pub generator: Duration,
    /// Resident bytes of all measured processes.
    pub resident: u64,
    /// Deliveries so far in this round.
    pub arrived: u64,
    /// Latency since the sample before, and what is under way.
    pub books: Second,
}

/// One round.
#[derive(Debug, Clone)]
pub struct Run {
    /// The system's name.
    pub system: String,
    /// What was asked of it.
    pub plan: Plan,
    /// Deliveries of each message.
    pub copies: usize,
    /// Latencies, and how many of what.
    pub counts: Counts,
    /// A sample at the begin and after each second of load, the warm-up's too.
    pub samples: Vec<Sample>,
    /// The seconds that count: from the end of the warm-up to the end of the load.
    pub window: Window,
}

/// Between two samples.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// How long.
    pub length: Duration,
    /// Deliveries that came within it, whenever they were sent.
    pub deliveries: u64,
    /// Processor time of all measured processes within it.
    pub cpu: Duration,
    /// Processor time of this process within it.
    pub generator: Duration,
    /// Resident bytes of all measured processes at its end.
    pub resident: u64,
}

/// A second of a round, for plots.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "each name says what it is")]
pub struct Point {
    pub at_s: f64,
    pub deliveries_per_s: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub resident_mib: f64,
    pub age_s: f64,
}

impl Run {
    /// # Errors
    /// When there are fewer samples than seconds.
    pub fn new(
        system: String,
        plan: Plan,
        copies: usize,
        counts: Counts,
        samples: Vec<Sample>,
    ) -> anyhow::Result<Self> {
        let begin = samples.get(plan.warm_up as usize).context("no sample after the warm-up")?;
        let window = Window::between(begin, samples.last().context("no sample")?);
        Ok(Self { system, plan, copies, counts, samples, window })
    }

    /// Processor time of a delivery in microseconds: what all measured processes took within the
    /// window through what was delivered within it.
    #[must_use]
    pub fn cpu_us(&self) -> f64 {
        self.window.cpu.as_secs_f64() * 1e6 / number(self.window.deliveries)
    }

    /// Deliveries a second within the window.
    #[must_use]
    pub fn deliveries_per_s(&self) -> f64 {
        number(self.window.deliveries) / self.window.length.as_secs_f64()
    }

    /// A quantile of send → deliver, milliseconds.
    #[must_use]
    pub fn deliver_ms(&self, quantile: f64) -> f64 {
        honest::quantile_ms(&self.counts.deliver, quantile)
    }

    /// A quantile of send → confirmed, milliseconds; 0 where nothing is confirmed.
    #[must_use]
    pub fn confirm_ms(&self, quantile: f64) -> f64 {
        honest::quantile_ms(&self.counts.confirm, quantile)
    }

    /// Deliveries that did not come, of messages that count.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.counts.expected.saturating_sub(self.counts.delivered)
    }

    /// Messages that the system did not take.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.counts.refused.values().sum()
    }

    /// Whether everything came, once, and everybody stayed.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.missing() == 0 && self.counts.surplus == 0 && self.counts.ended.0 == 0
    }

    /// How much breath the generator had; `pinned`: on how many cores the system was kept.
    #[must_use]
    pub fn breath(&self, pinned: Option<usize>) -> Breath {
        let Window { length, cpu, generator, .. } = self.window;
        Breath {
            generator: honest::share(generator, length),
            server: honest::share(cpu, length),
            late_ms: honest::quantile_ms(&self.counts.late, 0.99),
            pinned,
        }
    }

    /// The seconds that count.
    #[must_use]
    pub fn points(&self) -> Vec<Point> {
        let counting = self.samples.get(self.plan.warm_up as usize..).unwrap_or_default();
        let begin = counting.first().map_or(Duration::ZERO, |sample| sample.at);
        let point = |pair: &[Sample]| {
            let [before, after] = pair else { return None };
            let (p50, p99) = after.books.quantiles;
            Some(Point {
                at_s: (after.at - begin).as_secs_f64(),
                deliveries_per_s: number(after.arrived - before.arrived)
                    / (after.at - before.at).as_secs_f64(),
                p50_ms: number(p50) / 1000.0,
                p99_ms: number(p99) / 1000.0,
                resident_mib: mib(after.resident),
                age_s: after.books.age.as_secs_f64(),
            })
        };
        counting.windows(2).filter_map(point).collect()
    }
}

impl Window {
    fn between(begin: &Sample, end: &Sample) -> Self {
        Self {
            length: end.at.saturating_sub(begin.at),
            deliveries: end.arrived - begin.arrived,
            cpu: end.cpu.saturating_sub(begin.cpu),
            generator: end.generator.saturating_sub(begin.generator),
            resident: end.resident,
        }
    }
}

/// Bytes in MiB.
#[must_use]
pub fn mib(bytes: u64) -> f64 {
    number(bytes) / f64::from(1 << 20)
}

/// A count as a figure.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
pub fn number(count: u64) -> f64 {
    count as f64
}

/// Two seconds after one of warming up: 1,000 and 3,000 deliveries at 20 µs each.
#[cfg(test)]
pub(crate) fn made_up() -> Run {
    let shape = crate::system::Shape { sessions: 100, room: 10, bytes: 200 };
    let plan = Plan { shape, rate: 200.0, warm_up: 1, seconds: 2 };
    let mut deliver = hdrhistogram::Histogram::new_with_max(600_000_000, 3).unwrap();
    deliver.record_n(1_000, 3_960).unwrap();
    deliver.record_n(9_000, 39).unwrap();
    let confirm = hdrhistogram::Histogram::new_with_max(600_000_000, 3).unwrap();
    let counts = Counts {
        late: confirm.clone(),
        deliver,
        confirm,
        messages: 400,
        expected: 4_000,
        delivered: 3_999,
        nowhere: 0,
        rooms_missing: 1,
        surplus: 0,
        refused: std::collections::BTreeMap::new(),
        stray: 0,
        ended: (0, None),
        arrived: 5_999,
    };
    let sample = |second: u64, arrived, cpu| Sample {
        at: Duration::from_secs(second),
        cpu: Duration::from_millis(cpu),
        generator: Duration::from_millis(second * 500),
        resident: second << 20,
        arrived,
        books: Second { quantiles: (1_000, 9_000), age: Duration::from_millis(5) },
    };
    let samples = vec![
        sample(0, 0, 100),
        sample(1, 2_000, 150),
        sample(2, 3_000, 170),
        sample(3, 6_000, 230),
    ];
    Run::new("made up".into(), plan, 10, counts, samples).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warm_up_is_outside_the_window() {
        let run = made_up();
        assert!((run.cpu_us() - 20.0).abs() < 1e-9);
        assert!((run.deliveries_per_s() - 2_000.0).abs() < 1e-9);
        assert_eq!((run.missing(), run.is_whole()), (1, false));
        assert_eq!((run.deliver_ms(0.5).round(), run.deliver_ms(0.999).round()), (1.0, 9.0));
        let breath = run.breath(None);
        assert!((breath.generator - 0.5).abs() < 1e-9 && (breath.server - 0.04).abs() < 1e-9);
        let per_s: Vec<f64> = run.points().iter().map(|point| point.deliveries_per_s).collect();
        assert_eq!(per_s, [1_000.0, 3_000.0]);
        let last = *run.points().last().unwrap();
        assert_eq!((last.at_s, last.resident_mib, last.age_s), (2.0, 3.0, 0.005));
    }

    #[test]
    fn fewer_samples_than_seconds_are_no_run() {
        let run = made_up();
        let samples = run.samples[..1].to_vec();
        assert!(Run::new(run.system, run.plan, 10, run.counts, samples).is_err());
    }
}
