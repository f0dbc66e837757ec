//! Rounds beside their floors as figures, plots and notes.

use super::{
    Args, Round,
    accepts::Accepted,
    child::{Engine, Latency, MEDIAN, P99, STEPS, Times},
};
use crate::{
    figures::{Axis, Bound, Figure, Line, Measured, Plot},
    honest::LATE_MS,
    steady::{Run, told},
};

/// How a figure is read off a round.
type Reading = (&'static str, &'static str, &'static str, fn(&Round) -> f64);

const READINGS: [Reading; 13] = [
    ("floor.r5_deliver_p50_ms", "send → deliver, p50", "ms", |r| r.steady.deliver_ms(0.5)),
    ("floor.r5_deliver_p99_ms", "send → deliver, p99", "ms", |r| r.steady.deliver_ms(0.99)),
    ("floor.r5_confirm_p50_ms", "send → accepted, p50", "ms", |r| r.steady.confirm_ms(0.5)),
    ("floor.r5_confirm_p99_ms", "send → accepted, p99", "ms", |r| r.steady.confirm_ms(0.99)),
    ("floor.r5_engines_p50_ms", "engines alone, p50", "ms", |r| r.engines.both.ms(MEDIAN)),
    ("floor.r5_engines_p99_ms", "engines alone, p99", "ms", |r| r.engines.both.ms(P99)),
    ("floor.r5_append_p50_ms", "of it the append, p50", "ms", |r| r.engines.append.ms(MEDIAN)),
    ("floor.r5_append_p99_ms", "of it the append, p99", "ms", |r| r.engines.append.ms(P99)),
    ("floor.r5_insert_p50_ms", "of it the insert, p50", "ms", |r| r.engines.insert.ms(MEDIAN)),
    ("floor.r5_insert_p99_ms", "of it the insert, p99", "ms", |r| r.engines.insert.ms(P99)),
    ("floor.r11_accepted_per_s", "accepted sends", "1/s", |r| r.accepted.per_s()),
    ("floor.r11_bare_per_s", "bare producer", "1/s", |r| r.bare.per_s()),
    ("floor.r11_behind", "accepted, not delivered yet at the end", "", behind),
];

#[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
fn behind(round: &Round) -> f64 {
    round.accepted.behind as f64
}

/// Everything about the rounds.
#[must_use]
pub fn measured(args: &Args, rounds: &[Round]) -> Measured {
    let engines = match args.engines.engine {
        Engine::Embedded => "embedded",
        Engine::Cluster => "Kafka and CQL",
    };
    Measured {
        title: format!("beside the engines alone, {engines}"),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        figures: figures(rounds),
        plots: plots(rounds),
        notes: notes(args, rounds),
    }
}

/// Ratios with their targets, then what they are made of.
fn figures(rounds: &[Round]) -> Vec<Figure> {
    let figure = |(key, name, unit, read): Reading| {
        let values = rounds.iter().map(read).filter(|value| value.is_finite()).collect();
        Figure::new(key, name, unit, values)
    };
    let (least, most) = (|x| Bound::AtLeast(x), |x| Bound::AtMost(x));
    let p50 = figure(("floor.r5_p50_ratio", "send → deliver / engines alone, p50", "×", |r| {
        r.steady.deliver_ms(0.5) / r.engines.both.ms(MEDIAN)
    }));
    let p99 = figure(("floor.r5_p99_ratio", "send → deliver / engines alone, p99", "×", |r| {
        r.steady.deliver_ms(0.99) / r.engines.both.ms(P99)
    }));
    let sends = figure(("floor.r11_ratio", "accepted sends / bare producer", "×", |r| {
        r.accepted.per_s() / r.bare.per_s()
    }));
    let ratios = [
        p50.must("R5", most(1.5), Some(most(1.2))),
        p99.must("R5", most(2.0), Some(most(1.2))),
        sends.must("R11", least(0.7), Some(least(0.9))),
    ];
    ratios.into_iter().chain(READINGS.map(figure)).collect()
}

fn plots(rounds: &[Round]) -> Vec<Plot> {
    let axis = |name: &str, unit: &str, logarithmic| Axis {
        name: name.to_owned(),
        unit: unit.to_owned(),
        logarithmic,
    };
    let alone = |name: &str, read: fn(&Latency) -> &Times| {
        let times: Vec<&Times> = rounds.iter().map(|round| read(&round.engines)).collect();
        Line { name: name.to_owned(), points: longer(&times) }
    };
    let runs: Vec<Run> = rounds.iter().map(|round| round.steady.clone()).collect();
    // The first one of a steady load's own.
    let steady = told::plots(&[&runs]).into_iter().take(1).flat_map(|plot| plot.lines);
    let over_rounds = |name: &str, read: fn(&Round) -> f64| Line {
        name: name.to_owned(),
        points: (1..).map(f64::from).zip(rounds.iter().map(read)).collect(),
    };
    vec![
        Plot {
            title: "latency: the share that took longer".to_owned(),
            x: axis("time", "ms", true),
            y: axis("longer", "%", true),
            lines: steady
                .chain([
                    alone("engines alone", |engines| &engines.both),
                    alone("append", |engines| &engines.append),
                    alone("insert", |engines| &engines.insert),
                ])
                .collect(),
        },
        Plot {
            title: "appends a second, round by round".to_owned(),
            x: axis("round", "", false),
            y: axis("appends", "1/s", false),
            lines: vec![
                over_rounds("harkara", |round| round.accepted.per_s()),
                over_rounds("bare producer", |round| round.bare.per_s()),
            ],
        },
    ]
}

/// (milliseconds, percent that took longer) over all rounds, in which equally many were counted.
fn longer(rounds: &[&Times]) -> Vec<(f64, f64)> {
    let mut all: Vec<u64> = rounds.iter().flat_map(|times| &times.took_ns).copied().collect();
    all.sort_unstable();
    let last = all.len().saturating_sub(1);
    // Close together where a logarithmic axis has room.
    let places =
        [0, 100, 200, 300, 400, 500, 600, 700, 800, 850, 900, 950, 970, 980, 990, 995, 998];
    let point = |place: usize| {
        let ns = all.get(last * place / STEPS)?;
        Some((ms(*ns), percent(STEPS - place)))
    };
    let most = all.last().map(|&ns| (ms(ns), percent(1)));
    places.into_iter().filter_map(point).chain(most).collect()
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds below 2^53")]
fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "thousandths")]
fn percent(thousandths: usize) -> f64 {
    thousandths as f64 / 10.0
}

fn notes(args: &Args, rounds: &[Round]) -> Vec<String> {
    let mut notes = vec![
        format!(
            "engines alone: one append and then one insert for each message, at the same {} a second, \
             with the engines' own settings and durability, a fresh place to write to and nothing \
             else; the heads of the programs say what is in and what is left out",
            args.rate
        ),
        match args.engines.engine {
            Engine::Embedded => {
                "an append is in the journal after an fsync for all that wait at that moment, an \
                 insert is given to the operating system, as the server does it"
            }
            Engine::Cluster => {
                "both programs run at the same time; the sum of append and insert is the distribution \
                 of a sum of two that do not depend on each other"
            }
        }
        .to_owned(),
        format!(
            "throughput: {} sessions, each in a room of its own, with {} sends without an answer; the \
             bare producer has {} records under way and stores nothing, while the server stores and \
             delivers each",
            args.senders,
            args.window,
            args.in_flight()
        ),
    ];
    let runs: Vec<Run> = rounds.iter().map(|round| round.steady.clone()).collect();
    notes.extend(told::notes(&runs, args.server.pinned()));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for (number, round) in (1..).zip(rounds) {
        let wrongs = wrongs(&round.accepted).into_iter().chain(round.accepted.breath.notes(cores));
        notes.extend(wrongs.map(|wrong| format!("throughput, round {number}: {wrong}")));
        let doubts = doubts(&round.engines, round.steady.deliver_ms(0.5));
        notes.extend(
            doubts.into_iter().map(|doubt| format!("engines alone, round {number}: {doubt}")),
        );
    }
    notes
}

/// Why a round's ratios of latency may say nothing.
fn doubts(engines: &Latency, deliver_ms: f64) -> Vec<String> {
    let (late, alone) = (engines.late_ms, engines.both.ms(MEDIAN));
    let late = (late > LATE_MS).then(|| {
        format!("THE PROGRAM WAS LATE: 99 % were begun within {late:.1} ms of their time")
    });
    let slower = (alone > deliver_ms).then(|| {
        format!(
            "THEY WERE SLOWER ({alone:.2} ms) THAN THE SERVER ON TOP OF THEM ({deliver_ms:.2} ms): \
             something else used the machine, or it was too small for the rate; the ratio says nothing"
        )
    });
    late.into_iter().chain(slower).collect()
}

fn wrongs(accepted: &Accepted) -> Vec<String> {
    let refused = accepted.refused.iter().map(|(why, n)| format!("{n} sends not taken: {why}"));
    let missing = accepted.missing;
    let missing = (missing > 0).then(|| format!("{missing} ACCEPTED SENDS WERE NEVER DELIVERED"));
    let ended = accepted.ended;
    let ended = (ended > 0).then(|| format!("{ended} SESSIONS ENDED"));
    refused.chain(missing).chain(ended).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::honest::Breath;

    fn times(count: u64, ns: u64) -> Times {
        Times { count, seconds: 2.0, took_ns: vec![ns; STEPS + 1] }
    }

    #[test]
    fn rounds_are_put_together() {
        let points = longer(&[&times(5, 1_000_000), &times(5, 3_000_000)]);
        assert_eq!((points[0], points.last().copied()), ((1.0, 100.0), Some((3.0, 0.1))));
        assert!(points.is_sorted_by(|a, b| a.0 <= b.0 && a.1 >= b.1), "{points:?}");
        let half = points.iter().filter(|point| point.1 > 50.0);
        assert!(half.clone().all(|point| point.0 < 2.0) && half.count() == 5);
    }

    #[test]
    fn a_floor_above_the_house_is_told() {
        let [append, insert, both] = [1, 1, 3].map(|ms| times(5, ms * 1_000_000));
        let engines = Latency { append, insert, both, late_ms: 0.1 };
        assert!(doubts(&engines, 3.5).is_empty());
        assert!(doubts(&engines, 2.5)[0].contains("SLOWER (3.00 ms)"));
        assert!(doubts(&Latency { late_ms: 2.5, ..engines }, 3.5)[0].contains("LATE"));
    }

    #[test]
    fn what_went_wrong_is_told() {
        let breath = Breath { generator: 0.1, server: 0.1, late_ms: 0.0, pinned: None };
        let (accepted, behind, missing, ended) = (5, 3, 2, 1);
        let refused = BTreeMap::from([("unavailable".to_owned(), 4)]);
        let round = Accepted { accepted, seconds: 2.0, behind, missing, refused, ended, breath };
        assert!((round.per_s() - 2.5).abs() < 1e-9 && !round.is_whole());
        let told = wrongs(&round).join("; ");
        for part in ["4 sends not taken: unavailable", "2 ACCEPTED", "1 SESSIONS ENDED"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}
