//! The report of a run: for the terminal, as JSON, and as a page (`super::page`).

use std::{
    collections::BTreeMap,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde::Serialize;

use super::{Args, Done, again, fault::Kind, judge::Cost, page, plan::Plan};
use crate::{check::Verdict, out, wire::metrics::Quantiles};

/// Everything.
#[derive(Debug, Serialize)]
pub struct Told {
    /// The plan's name.
    pub plan: String,
    /// What it is for.
    pub about: String,
    /// The seed.
    pub seed: u64,
    /// The command that does it again.
    pub again: String,
    /// From the load's beginning to its end, seconds.
    pub seconds: f64,
    /// What was counted.
    pub counts: Counts,
    /// How late messages were, over the whole run.
    pub send_to_event: Quantiles,
    /// What happened, by time.
    pub faults: Vec<Fault>,
    /// How it was afterwards.
    pub calm: Calm,
    /// Each second.
    pub seconds_seen: Vec<Second>,
    /// The invariants.
    pub verdicts: Vec<Verdict>,
    /// What should not have been, beside invariants.
    pub troubles: Vec<String>,
}

/// What was counted.
#[derive(Debug, Default, Serialize)]
#[expect(missing_docs, reason = "each name says what it is")]
pub struct Counts {
    pub sends: u64,
    pub accepted: u64,
    pub outcomes: u64,
    pub deliveries: u64,
    pub sessions: u64,
    pub reconnects: u64,
    pub repeated_requests: u64,
    pub faults: usize,
    pub faults_left_out: usize,
    pub breaches: u64,
    pub errors: BTreeMap<String, u64>,
}

/// A fault and what it cost. Times are seconds since the load began.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "each name says what it is")]
pub struct Fault {
    pub kind: Kind,
    pub target: String,
    pub for_seconds: f64,
    pub began: Option<f64>,
    pub recovered: f64,
    pub silent_seconds: f64,
    pub errors: BTreeMap<String, u64>,
    pub reconnects: u64,
}

/// See [`judge::Calm`]; seconds and milliseconds.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "each name says what it is")]
pub struct Calm {
    pub at_head_after_seconds: Option<f64>,
    pub latency_back_after_seconds: Option<f64>,
    pub p99_before_ms: f64,
}

/// A second of it.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "each name says what it is")]
pub struct Second {
    pub at: f64,
    pub accepted_per_second: f64,
    pub deliveries_per_second: f64,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub memory_mib: BTreeMap<String, u64>,
}

impl Told {
    pub(super) fn new(args: &Args, plan: &Plan, done: Done, verdicts: Vec<Verdict>) -> Self {
        let at = |time: Instant| time.duration_since(done.started).as_secs_f64();
        let (_, send_to_event) = done.metrics.quantiles();
        let mut told = Self {
            plan: args.plan.clone(),
            about: plan.about.clone(),
            seed: args.seed,
            again: again(args),
            seconds: done.took.as_secs_f64(),
            counts: counts(&done, &verdicts),
            send_to_event,
            faults: faults(&done, at),
            calm: Calm {
                at_head_after_seconds: done.calm.at_head.map(|it| it.as_secs_f64()),
                latency_back_after_seconds: done.calm.latency_back.map(|it| it.as_secs_f64()),
                p99_before_ms: done.calm.latency_before,
            },
            seconds_seen: seconds(&done, at),
            verdicts,
            troubles: done.seen.troubles,
        };
        told.troubles.extend(done.happened.into_iter().filter_map(|it| it.trouble));
        told
    }

    /// Was nothing breached, and did nothing else go wrong?
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.counts.breaches == 0 && self.troubles.is_empty() && self.counts.accepted > 0
    }

    /// Prints it, and writes what was asked for.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn tell(&self, args: &Args) -> anyhow::Result<()> {
        out::line(self.by_kind());
        out::line(self.table());
        self.troubles.iter().take(20).for_each(|trouble| out::line(format!("trouble: {trouble}")));
        out::line(format!("again: {}", self.again));
        let write = |path: &std::path::Path, text: String| {
            std::fs::write(path, text).with_context(|| format!("can't write {}", path.display()))
        };
        if let Some(path) = &args.json {
            write(path, serde_json::to_string_pretty(self)?)?;
        }
        if let Some(path) = &args.html {
            write(path, page::html(self))?;
        }
        Ok(())
    }

    /// What each kind of fault cost, at most and in the middle.
    fn by_kind(&self) -> String {
        let mut kinds: BTreeMap<String, Vec<&Fault>> = BTreeMap::new();
        for fault in self.faults.iter().filter(|fault| fault.began.is_some()) {
            let role = fault.target.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
            kinds.entry(format!("{} {role}", fault.kind.name())).or_default().push(fault);
        }
        let row = |(name, faults): (String, Vec<&Fault>)| {
            let mut silent: Vec<f64> = faults.iter().map(|it| it.silent_seconds).collect();
            silent.sort_by(f64::total_cmp);
            let errors: u64 = faults.iter().flat_map(|it| it.errors.values()).sum();
            vec![
                name,
                faults.len().to_string(),
                format!("{:.1} s", silent[silent.len() / 2]),
                format!("{:.1} s", silent.last().copied().unwrap_or(0.0)),
                errors.to_string(),
            ]
        };
        let rows: Vec<Vec<String>> = kinds.into_iter().map(row).collect();
        let head = ["fault", "times", "silence, median", "silence, most", "errors"];
        out::table(&head, &rows)
    }

    fn table(&self) -> String {
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let count = |name: &str, value: u64| row(name, value.to_string());
        let after = |took: Option<f64>| took.map_or("never".to_owned(), |it| format!("{it:.1} s"));
        let counts = &self.counts;
        let quantiles = self.send_to_event;
        let rows = [
            row("seed", self.seed.to_string()),
            row("duration", format!("{:.0} s", self.seconds)),
            row("faults", format!("{} ({} left out)", counts.faults, counts.faults_left_out)),
            count("sends", counts.sends),
            count("accepted", counts.accepted),
            count("with an outcome", counts.outcomes),
            count("deliveries", counts.deliveries),
            count("sessions", counts.sessions),
            count("reconnects", counts.reconnects),
            count("requests repeated", counts.repeated_requests),
            row(
                "send to own event, p50 / p99 / max",
                format!(
                    "{:.0} / {:.0} / {:.0} ms",
                    quantiles.p50_ms, quantiles.p99_ms, quantiles.max_ms
                ),
            ),
            row("all at the head after the last fault", after(self.calm.at_head_after_seconds)),
            row("latency back after it", after(self.calm.latency_back_after_seconds)),
            count("breaches", counts.breaches),
            count("troubles", self.troubles.len() as u64),
        ];
        out::table(&[self.plan.as_str(), ""], &rows)
    }
}

fn counts(done: &Done, verdicts: &[Verdict]) -> Counts {
    let count = &done.metrics.count;
    let outcomes = [&count.own_events, &count.settled, &count.rejected, &count.refused];
    let left_out = done.happened.iter().filter(|it| it.began.is_none()).count();
    Counts {
        sends: count.intended.load(Relaxed),
        accepted: count.accepted.load(Relaxed),
        outcomes: outcomes.iter().map(|count| count.load(Relaxed)).sum(),
        deliveries: count.deliveries.load(Relaxed),
        sessions: count.sessions.load(Relaxed),
        reconnects: count.reconnects.load(Relaxed),
        repeated_requests: count.retried.load(Relaxed),
        faults: done.happened.len() - left_out,
        faults_left_out: left_out,
        breaches: verdicts.iter().map(|verdict| verdict.breaches).sum(),
        errors: done.metrics.errors(),
    }
}

fn faults(done: &Done, at: impl Fn(Instant) -> f64) -> Vec<Fault> {
    let fault = |(it, cost): (&super::Happened, &Cost)| Fault {
        kind: it.fault.kind,
        target: it.fault.target.to_string(),
        for_seconds: Duration::from_millis(it.fault.for_ms).as_secs_f64(),
        began: it.began.map(&at),
        recovered: at(it.recovered),
        silent_seconds: cost.silence.as_secs_f64(),
        errors: cost.errors.clone(),
        reconnects: cost.reconnects,
    };
    done.happened.iter().zip(&done.costs).map(fault).collect()
}

fn seconds(done: &Done, at: impl Fn(Instant) -> f64) -> Vec<Second> {
    let pairs = done.seen.samples.windows(2);
    let second = |pair: &[super::watch::Sample]| {
        let [before, after] = pair else { return None };
        let took = after.at.duration_since(before.at).as_secs_f64();
        let rate = |from: u64, to: u64| super::fault::f64_of(to - from) / took;
        let memory = after.memory.iter();
        Some(Second {
            at: at(after.at),
            accepted_per_second: rate(before.accepted, after.accepted),
            deliveries_per_second: rate(before.deliveries, after.deliveries),
            p50_ms: after.latency.map(|it| it.p50_ms),
            p99_ms: after.latency.map(|it| it.p99_ms),
            memory_mib: memory.map(|(name, _, now)| (name.clone(), now >> 20)).collect(),
        })
    };
    pairs.filter_map(second).collect()
}
