//! Durations of one kind, taken in one round: percentiles as figures, and the distribution as a
//! line of a plot.

use std::time::Duration;

use crate::figures::{Axis, Figure, Line, Plot};

/// Points of a plotted line at most: more than a picture shows.
const POINTS: usize = 200;

/// Durations in rising order.
#[derive(Debug, Clone, Default)]
pub struct Sample(Vec<Duration>);

impl FromIterator<Duration> for Sample {
    fn from_iter<I: IntoIterator<Item = Duration>>(durations: I) -> Self {
        let mut sorted: Vec<_> = durations.into_iter().collect();
        sorted.sort_unstable();
        Self(sorted)
    }
}

impl Sample {
    /// The least duration that at least `percent` of all do not exceed; zero of nothing.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }

    /// Everything of several rounds.
    #[must_use]
    pub fn merged(rounds: &[Self]) -> Self {
        rounds.iter().flat_map(|round| round.0.iter().copied()).collect()
    }

    /// (milliseconds, percent that took no longer).
    #[must_use]
    pub fn distribution(&self, name: &str) -> Line {
        let points = counted(&self.0).into_iter();
        let all = number(self.0.len());
        let points = points.map(|(at, count)| (ms(at), 100.0 * number(count) / all)).collect();
        Line { name: name.to_owned(), points }
    }
}

/// Figures `key_p50_ms`, `key_p95_ms` and `key_p99_ms`, a value for each round.
#[must_use]
pub fn percentiles(key: &str, name: &str, rounds: &[Sample]) -> Vec<Figure> {
    let figure = |percent: usize| {
        let values = rounds.iter().map(|round| ms(round.percentile(percent))).collect();
        let (key, name) = (format!("{key}_p{percent}_ms"), format!("{name}, p{percent}"));
        Figure::new(&key, &name, "ms", values)
    };
    [50, 95, 99].map(figure).into()
}

/// A plot of distributions over a logarithmic time.
#[must_use]
pub fn distributions(title: &str, time: &str, lines: Vec<Line>) -> Plot {
    Plot {
        title: title.to_owned(),
        x: Axis { name: time.to_owned(), unit: "ms".to_owned(), logarithmic: true },
        y: Axis { name: "done".to_owned(), unit: "%".to_owned(), logarithmic: false },
        lines,
    }
}

/// How many things had happened by when: (seconds, count), of moments in rising order.
#[must_use]
pub fn arrivals(name: &str, moments: &[Duration]) -> Line {
    let points = counted(moments).into_iter();
    let points = points.map(|(at, count)| (at.as_secs_f64(), number(count))).collect();
    Line { name: name.to_owned(), points }
}

/// At most [`POINTS`] of the sorted moments, the last among them, each with how many are no later.
fn counted(sorted: &[Duration]) -> Vec<(Duration, usize)> {
    let step = sorted.len().div_ceil(POINTS).max(1);
    let mut points: Vec<_> = sorted.iter().copied().zip(1..).step_by(step).collect();
    if let Some(&last) = sorted.last()
        && points.last().is_some_and(|point| point.1 < sorted.len())
    {
        points.push((last, sorted.len()));
    }
    points
}

/// Milliseconds.
#[must_use]
pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// A count as a number to calculate with.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
pub fn number(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(values: impl IntoIterator<Item = u64>) -> Sample {
        values.into_iter().map(Duration::from_millis).collect()
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let hundred = sample((1..=100).rev());
        let of = |sample: &Sample, percent| sample.percentile(percent).as_millis();
        assert_eq!([0, 50, 95, 99, 100].map(|p| of(&hundred, p)), [1, 50, 95, 99, 100]);
        assert_eq!([50, 95, 99].map(|p| of(&sample([7, 5, 6]), p)), [6, 7, 7]);
        assert_eq!(of(&Sample::default(), 99), 0);
        let figures = percentiles("a.b", "b", &[hundred, sample([3])]);
        assert_eq!(figures[1].key, "a.b_p95_ms");
        assert_eq!(figures[1].rounds, [95.0, 3.0]);
    }

    #[test]
    fn a_distribution_rises_to_the_whole() {
        for n in [1, 2, 199, 200, 201, 1_000, 12_345] {
            let line = sample(1..=n).distribution("x");
            assert!(line.points.len() <= POINTS + 1, "{n}: {}", line.points.len());
            assert!(line.points.is_sorted());
            assert_eq!(line.points.last().map(|p| p.1), Some(100.0), "{n}");
        }
        assert!(Sample::default().distribution("x").points.is_empty());
        let line = arrivals("x", &[1, 2].map(Duration::from_secs));
        assert_eq!(line.points, [(1.0, 1.0), (2.0, 2.0)]);
    }
}
