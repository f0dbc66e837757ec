//! What it cost, and the invariants that are about amounts and times: I10 and I11. The others are
//! `crate::check`'s.

use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};

use super::{
    inject::Happened,
    plan::Memory,
    watch::{EVERY, Sample},
};
use crate::{check::Verdict, wire::metrics::Silence};

/// I11: from the last recovery until every device is at the head.
pub const AT_HEAD: Duration = Duration::from_secs(10);

/// I11: from the last recovery until latency is back, and what that means.
pub const LATENCY_BACK: Duration = Duration::from_secs(30);
const BACK_IS: f64 = 1.5;

/// Looks whose median counts: one of them alone may be a collection of garbage in an engine.
const WINDOW: usize = 5;

/// A consequence may begin so long after the end of its cause.
const AFTER: Duration = Duration::from_secs(2);

/// What a fault cost. Faults that overlap share what they cost.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cost {
    /// The longest time from its beginning on in which somebody who listens got nothing, without
    /// their usual pauses.
    pub silence: Duration,
    /// Errors by code.
    pub errors: BTreeMap<String, u64>,
    /// Sessions that were lost.
    pub reconnects: u64,
}

/// What each fault cost.
#[must_use]
pub fn costs(
    happened: &[Happened],
    silences: &[Silence],
    crew: &HashSet<u32>,
    samples: &[Sample],
) -> Vec<Cost> {
    happened.iter().map(|it| cost(it, silences, crew, samples)).collect()
}

fn cost(
    happened: &Happened,
    silences: &[Silence],
    crew: &HashSet<u32>,
    samples: &[Sample],
) -> Cost {
    let Some(began) = happened.began else { return Cost::default() };
    let end = happened.recovered + AFTER;
    let last = samples.last().map_or(end, |sample| sample.at);
    let silences = silences.iter().filter(|it| crew.contains(&it.client));
    let overlapping = silences.filter_map(|silence| {
        let until = silence.until.unwrap_or(last);
        // What was silent before it began is what another one cost.
        (silence.from <= end && until >= began)
            .then(|| until.duration_since(silence.from.max(began)))
    });
    let silence = overlapping.max().unwrap_or_default();
    let before = samples.iter().rfind(|sample| sample.at <= began);
    let after = samples.iter().find(|sample| sample.at >= end).or(samples.last());
    let (Some(before), Some(after)) = (before, after) else {
        return Cost { silence, ..Cost::default() };
    };
    let new = |(code, count): (&String, &u64)| {
        let more = count - before.errors.get(code).copied().unwrap_or(0);
        (more > 0).then(|| (code.clone(), more))
    };
    let errors = after.errors.iter().filter_map(new).collect();
    Cost { silence, errors, reconnects: after.reconnects - before.reconnects }
}

/// I10, as far as it can be seen from outside: the memory of our processes.
#[must_use]
pub fn memory(samples: &[Sample], allowed: Memory, sessions: u64) -> Verdict {
    let says = "memory stays below what is planned for so many sessions";
    let mut verdict = Verdict::new("I10", says, "looks at processes");
    let more = allowed.growth_mib * 1024 * 1024 + sessions * allowed.session_kib * 1024;
    let engines = ["broker", "store"];
    for (name, base, now) in samples.iter().flat_map(|sample| &sample.memory) {
        if engines.iter().any(|engine| name.starts_with(engine)) {
            continue; // they have a limit of their own
        }
        verdict.expect(*now <= base + more, || {
            let mib = |bytes: u64| bytes / 1024 / 1024;
            format!("{name}: {} MiB, {} MiB when it was ready", mib(*now), mib(*base))
        });
    }
    verdict
}

/// When everything was well again after the last recovery.
#[derive(Debug, Clone, Copy, Default)]
pub struct Calm {
    /// Every device that listens was at the head; nothing if that never came.
    pub at_head: Option<Duration>,
    /// Latency was back.
    pub latency_back: Option<Duration>,
    /// What it was before, milliseconds.
    pub latency_before: f64,
}

/// I11, and that faults whose plan says so cost no more silence than that.
#[must_use]
pub fn liveness(calm: &Calm, happened: &[Happened], costs: &[Cost]) -> Verdict {
    let says = "at the head in 10 s after the last fault, latency back in 30 s, silence as planned";
    let mut verdict = Verdict::new("I11", says, "times");
    let within = |took: Option<Duration>, limit| took.is_some_and(|took| took <= limit);
    verdict.expect(within(calm.at_head, AT_HEAD), || {
        format!("all devices at the head after {:?}", calm.at_head)
    });
    verdict.expect(within(calm.latency_back, LATENCY_BACK), || {
        let Calm { latency_back, latency_before, .. } = calm;
        format!(
            "99th percentile {latency_before:.0} ms before; below {BACK_IS} times that after \
             {latency_back:?}"
        )
    });
    for (it, cost) in happened.iter().zip(costs) {
        let Some(most) = it.fault.silent_ms.map(Duration::from_millis) else { continue };
        verdict.expect(cost.silence <= most, || {
            format!("{}: silence of {:.1?}, {most:?} at most", it.fault, cost.silence)
        });
    }
    verdict
}

/// The usual 99th percentile, milliseconds: the median of those of each second before an instant.
#[must_use]
pub fn usual(samples: &[Sample], until: Instant) -> f64 {
    let samples = samples.iter().filter(|sample| sample.at <= until);
    median(samples.filter_map(|sample| Some(sample.latency?.p99_ms)).collect())
}

/// From an instant until latency was back to what it was, if it is.
#[must_use]
pub fn latency_back(samples: &[Sample], since: Instant, usual: f64) -> Option<Duration> {
    let after: Vec<&Sample> = samples.iter().filter(|sample| sample.at > since + EVERY).collect();
    let back = after.windows(WINDOW).find(|window| {
        // A second without a message is not a good one.
        let latency = window.iter().map(|it| it.latency.map_or(f64::MAX, |it| it.p99_ms));
        median(latency.collect()) <= usual * BACK_IS
    })?;
    Some(back[0].at.duration_since(since))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chaos::fault::{Fault, Kind, Role, Target},
        times,
        wire::metrics::Quantiles,
    };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A look each second; latency, errors and memory by the second.
    fn samples(start: Instant, of: impl Fn(u64) -> (Option<f64>, u64, u64)) -> Vec<Sample> {
        let sample = |second| {
            let (latency, errors, bytes) = of(second);
            let latency = latency.map(|ms| Quantiles { p50_ms: ms, p99_ms: ms, max_ms: ms });
            Sample {
                at: start + seconds(second),
                accepted: second,
                deliveries: second,
                reconnects: errors,
                errors: BTreeMap::from([("unavailable".to_owned(), errors)]),
                latency,
                memory: vec![("gateway-1".to_owned(), 100, bytes)],
            }
        };
        (0..60).map(sample).collect()
    }

    fn happened(start: Instant, from: u64, until: u64) -> Happened {
        let target = Target::Process(Role::Worker, 1);
        let fault =
            Fault { number: 0, kind: Kind::Kill, target, at_ms: 0, for_ms: 0, silent_ms: None };
        let (began, recovered) = (Some(start + seconds(from)), start + seconds(until));
        Happened { fault, began, recovered, trouble: None }
    }

    #[test]
    fn a_fault_costs_what_happened_during_it() {
        let start = times::now();
        let samples = samples(start, |second| (Some(1.0), second.clamp(20, 25) - 20, 0));
        let silence = |client, from, until| Silence {
            client,
            from: start + seconds(from),
            until: Some(start + seconds(until)),
        };
        let silences = [silence(1, 21, 27), silence(1, 40, 50), silence(9, 20, 59)];
        let crew = HashSet::from([1]);
        let all = [happened(start, 20, 24), happened(start, 33, 35), happened(start, 45, 47)];
        let costs = costs(&all, &silences, &crew, &samples);
        assert_eq!(costs[0].silence, seconds(6), "the one of a stranger doesn't count");
        assert_eq!(costs[0].errors, BTreeMap::from([("unavailable".to_owned(), 5)]));
        assert_eq!((costs[0].reconnects, &costs[1]), (5, &Cost::default()));
        assert_eq!(costs[2].silence, seconds(5), "it was silent before that");
    }

    #[test]
    fn memory_beyond_the_plan_is_a_breach() {
        let allowed = Memory { growth_mib: 1, session_kib: 1 };
        let limit = 100 + 1024 * 1024 + 10 * 1024;
        for (bytes, breaches) in [(limit, 0), (limit + 1, 60)] {
            let samples = samples(times::now(), |_| (None, 0, bytes));
            assert_eq!(memory(&samples, allowed, 10).breaches, breaches);
        }
    }

    #[test]
    fn latency_that_stays_high_is_a_breach_and_so_are_devices_that_stay_behind() {
        let start = times::now();
        let until = |end: u64| {
            samples(start, move |second| {
                let is_bad = (20..end).contains(&second);
                (Some(if is_bad { 500.0 } else { 10.0 }), 0, 0)
            })
        };
        let samples = until(30);
        let before = usual(&samples, start + seconds(19));
        assert!((before - 10.0).abs() < 0.1);
        let back = latency_back(&samples, start + seconds(20), before);
        assert!(back.is_some_and(|it| it >= seconds(6) && it <= seconds(10)), "{back:?}");
        assert_eq!(latency_back(&until(60), start + seconds(20), before), None);
        let calm = |at_head, latency_back| Calm { at_head, latency_back, latency_before: 10.0 };
        let judged = |calm: Calm| liveness(&calm, &[], &[]).breaches;
        assert_eq!(judged(calm(Some(seconds(10)), Some(seconds(30)))), 0);
        assert_eq!(judged(calm(Some(seconds(11)), None)), 2);
        assert_eq!(judged(calm(None, Some(seconds(1)))), 1);
    }
    #[test]
    fn more_silence_than_planned_is_a_breach() {
        let calm =
            Calm { at_head: Some(seconds(1)), latency_back: Some(seconds(1)), latency_before: 1.0 };
        let mut limited = happened(times::now(), 20, 24);
        limited.fault.silent_ms = Some(8_000);
        let cost = |silent| Cost { silence: seconds(silent), ..Cost::default() };
        for (silent, breaches) in [(8, 0), (9, 1)] {
            let all = [limited.clone(), happened(times::now(), 20, 24)];
            let verdict = liveness(&calm, &all, &[cost(silent), cost(100)]);
            assert_eq!(verdict.breaches, breaches, "{verdict:?}");
        }
    }
}
