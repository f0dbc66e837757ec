//! Rounds of steady load as figures, plots and notes.

use std::collections::BTreeMap;

use super::run::{Point, Run, mib, number};
use crate::figures::{Axis, Figure, Line, Measured, Plot};

/// Quantiles of a plotted distribution.
const QUANTILES: [f64; 22] = [
    0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998,
    0.999, 0.9995, 0.9998, 0.9999, 1.0,
];

/// How a figure is read off a round.
type Reading = (&'static str, &'static str, &'static str, fn(&Run) -> f64);

/// What is read off each second, and what to call it behind the system's name.
type Curve = (&'static str, fn(&Point) -> f64);

const READINGS: [Reading; 11] = [
    ("cpu_us_per_delivery", "processor time per delivery", "µs", Run::cpu_us),
    ("deliveries_per_s", "deliveries", "1/s", Run::deliveries_per_s),
    ("deliver_p50_ms", "send → deliver, p50", "ms", |run| run.deliver_ms(0.5)),
    ("deliver_p99_ms", "send → deliver, p99", "ms", |run| run.deliver_ms(0.99)),
    ("deliver_p999_ms", "send → deliver, p99.9", "ms", |run| run.deliver_ms(0.999)),
    ("missing", "missing", "deliveries", |run| number(run.missing())),
    ("refused", "not taken", "messages", |run| number(run.refused())),
    ("resident_mib", "resident memory at the end", "MiB", |run| mib(run.window.resident)),
    ("server_cores", "processor time of the system", "cores", |run| run.breath(None).server),
    ("generator_cores", "processor time of the generator", "cores", |run| {
        run.breath(None).generator
    }),
    ("late_p99_ms", "sends behind their time, p99", "ms", |run| run.breath(None).late_ms),
];

const CONFIRMED: [Reading; 2] = [
    ("confirm_p50_ms", "send → confirmed, p50", "ms", |run| run.confirm_ms(0.5)),
    ("confirm_p99_ms", "send → confirmed, p99", "ms", |run| run.confirm_ms(0.99)),
];

/// The figures of a system's rounds; the keys begin with `prefix`.
#[must_use]
pub fn figures(prefix: &str, runs: &[Run]) -> Vec<Figure> {
    let confirms = runs.iter().any(|run| !run.counts.confirm.is_empty());
    let confirmed = CONFIRMED.iter().filter(|_| confirms);
    let figure = |(key, name, unit, read): &Reading| {
        let rounds = runs.iter().map(read).filter(|value| value.is_finite()).collect();
        Figure::new(&format!("{prefix}.{key}"), name, unit, rounds)
    };
    READINGS.iter().chain(confirmed).map(figure).collect()
}

/// What a reader must know of these rounds: what was offered, and all [`warnings`].
#[must_use]
pub fn notes(runs: &[Run], pinned: Option<usize>) -> Vec<String> {
    let Some(first) = runs.first() else { return vec!["no rounds".to_owned()] };
    let (plan, system) = (first.plan, &first.system);
    let mut notes = vec![format!(
        "{system}: {} sessions in rooms of {}, {} messages/s of {} bytes offered for {} s after {} s \
         of warm-up, whatever the answers; each message is {} deliveries; latency counts from the \
         time a message was to be sent",
        plan.shape.sessions,
        plan.shape.room,
        plan.rate,
        plan.shape.bytes,
        plan.seconds,
        plan.warm_up,
        first.copies,
    )];
    notes.extend(warnings(runs, pinned));
    notes
}

/// What went wrong, and what limited the rounds; `pinned`: on how many cores the system was kept.
#[must_use]
pub fn warnings(runs: &[Run], pinned: Option<usize>) -> Vec<String> {
    let system = runs.first().map_or("", |run| &run.system);
    let mut notes: Vec<_> =
        wrongs(runs).into_iter().map(|wrong| format!("{system}: {wrong}")).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for (round, run) in (1..).zip(runs) {
        let loud = run.breath(pinned).notes(cores);
        notes.extend(loud.into_iter().map(|note| format!("{system}, round {round}: {note}")));
    }
    notes
}

fn wrongs(runs: &[Run]) -> Vec<String> {
    let mut wrongs = Vec::new();
    let mut told = |count: u64, what: String| {
        if count > 0 {
            wrongs.push(format!("{count} {what}"));
        }
    };
    let sum = |read: fn(&Run) -> u64| runs.iter().map(read).sum::<u64>();
    let expected = sum(|run| run.counts.expected);
    let (nowhere, rooms) = (sum(|run| run.counts.nowhere), sum(|run| run.counts.rooms_missing));
    let missing = format!(
        "OF {expected} DELIVERIES DID NOT COME: of messages not taken, of {nowhere} others that came to \
         nobody, and of some that came to some; in {rooms} rooms, counted for each round"
    );
    told(sum(Run::missing), missing);
    told(sum(|run| run.counts.surplus), "DELIVERIES TOO MANY".to_owned());
    let mut refused: BTreeMap<&str, u64> = BTreeMap::new();
    for (why, count) in runs.iter().flat_map(|run| &run.counts.refused) {
        *refused.entry(why).or_default() += count;
    }
    refused.into_iter().for_each(|(why, count)| told(count, format!("messages not taken: {why}")));
    let why = runs.iter().find_map(|run| run.counts.ended.1.as_deref()).unwrap_or_default();
    told(sum(|run| run.counts.ended.0), format!("SESSIONS ENDED, the first one: {why}"));
    told(sum(|run| run.counts.stray), "deliveries came after their round had ended".to_owned());
    wrongs
}

/// Plots of the rounds of one or more systems.
#[must_use]
pub fn plots(systems: &[&[Run]]) -> Vec<Plot> {
    let time = |title: &str, name: &str, unit: &str, reads: &[Curve]| Plot {
        title: title.to_owned(),
        x: axis("time", "s", false),
        y: axis(name, unit, false),
        lines: systems.iter().flat_map(|runs| over_time(runs, reads)).collect(),
    };
    vec![
        Plot {
            title: "latency: the share of deliveries that took longer".to_owned(),
            x: axis("send → deliver", "ms", true),
            y: axis("longer", "%", true),
            lines: systems.iter().filter_map(|runs| distribution(runs)).collect(),
        },
        time("throughput", "deliveries", "1/s", &[("", |point| point.deliveries_per_s)]),
        time(
            "latency over time",
            "send → deliver",
            "ms",
            &[(" p50", |point| point.p50_ms), (" p99", |point| point.p99_ms)],
        ),
        time("age of the oldest undelivered message", "age", "s", &[("", |point| point.age_s)]),
        time("resident memory", "memory", "MiB", &[("", |point| point.resident_mib)]),
    ]
}

fn axis(name: &str, unit: &str, logarithmic: bool) -> Axis {
    Axis { name: name.to_owned(), unit: unit.to_owned(), logarithmic }
}

/// All rounds, one after the other.
fn over_time(runs: &[Run], reads: &[Curve]) -> Vec<Line> {
    let line = |(name, read): &Curve| {
        let (mut points, mut begin) = (Vec::new(), 0.0);
        for run in runs {
            points.extend(run.points().iter().map(|point| (begin + point.at_s, read(point))));
            begin += run.window.length.as_secs_f64();
        }
        let system = runs.first().map_or("", |run| &run.system);
        Line { name: format!("{system}{name}"), points }
    };
    reads.iter().map(line).collect()
}

/// (latency, percent that took longer) over all rounds.
fn distribution(runs: &[Run]) -> Option<Line> {
    let mut all = runs.first()?.counts.deliver.clone();
    for run in &runs[1..] {
        all.add(&run.counts.deliver).ok()?;
    }
    // The largest took longer than all others: its place is half of one delivery.
    let least = 0.5 / number(all.len().max(1));
    let point = |quantile: f64| {
        let ms = number(all.value_at_quantile(quantile)) / 1000.0;
        (ms, (1.0 - quantile).max(least) * 100.0)
    };
    let name = runs.first()?.system.clone();
    Some(Line { name, points: QUANTILES.into_iter().map(point).collect() })
}

/// Everything about the rounds of one system.
#[must_use]
pub fn measured(prefix: &str, title: &str, runs: &[Run], pinned: Option<usize>) -> Measured {
    Measured {
        title: title.to_owned(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        figures: figures(prefix, runs),
        plots: plots(&[runs]),
        notes: notes(runs, pinned),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::run::made_up, *};

    #[test]
    fn what_went_wrong_is_told() {
        let mut bad = made_up();
        bad.counts.refused.insert("unavailable".into(), 3);
        bad.counts.ended = (2, Some("reset".into()));
        let measured = measured("steady", "a title", &[made_up(), bad], Some(1));
        let figure = |key: &str| measured.figures.iter().find(|f| f.key == key).unwrap();
        assert_eq!(figure("steady.missing").rounds, [1.0, 1.0]);
        assert_eq!(figure("steady.refused").rounds, [0.0, 3.0]);
        assert!((figure("steady.cpu_us_per_delivery").rounds[0] - 20.0).abs() < 1e-9);
        assert!(!measured.figures.iter().any(|f| f.key.contains("confirm")), "nothing confirms");
        let notes = measured.notes.join("\n");
        for part in
            ["2 OF 8000 DELIVERIES", "3 messages not taken: unavailable", "2 SESSIONS ENDED"]
        {
            assert!(notes.contains(part), "{part}: {notes}");
        }
    }

    #[test]
    fn plots_have_all_rounds() {
        let runs = [made_up(), made_up()];
        let plots = plots(&[&runs, &runs]);
        let throughput = &plots[1].lines[1];
        let times: Vec<f64> = throughput.points.iter().map(|point| point.0).collect();
        assert_eq!(times, [1.0, 2.0, 3.0, 4.0]);
        let distribution = &plots[0].lines[0].points;
        assert!(distribution.iter().all(|&(ms, percent)| ms > 0.0 && percent > 0.0));
        assert!(distribution.is_sorted_by(|a, b| a.0 <= b.0 && a.1 >= b.1));
    }
}
