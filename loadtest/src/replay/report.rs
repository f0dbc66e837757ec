//! The figures of a replay, as a table and as JSON.

use std::{collections::HashSet, sync::atomic::Ordering::Relaxed, time::Duration};

use serde::Serialize;

use super::parse::{Day, Step};
use crate::{
    figures::{Bound, Figure, Measured},
    out,
    wire::{Metrics, metrics::Quantiles},
};

/// What the logs ask for.
#[derive(Debug, Clone, Default, Serialize)]
#[expect(missing_docs, reason = "each name says what it is")]
pub struct Totals {
    pub files: u64,
    pub users: u64,
    pub messages: u64,
    pub empty_lines: u64,
    pub skipped_lines: u64,
}

impl Totals {
    /// Counts.
    #[must_use]
    pub fn of(days: &[Day]) -> Self {
        let mut nicks = HashSet::new();
        let mut totals = Self { files: days.len() as u64, ..Self::default() };
        for day in days {
            totals.messages += day.messages() as u64;
            totals.empty_lines += day.empty;
            totals.skipped_lines += day.skipped;
            nicks.extend(day.lines.iter().map(|line| match &line.step {
                Step::Join(nick) | Step::Leave(nick) | Step::Kick(nick) => nick,
                Step::Rename(_, nick) | Step::Say { nick, .. } => nick,
            }));
        }
        totals.users = nicks.len() as u64;
        totals
    }
}

/// The figures.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "each name says what it is")]
pub struct Report {
    pub logs: Totals,
    pub intended: u64,
    pub accepted: u64,
    pub own_events: u64,
    pub settled_as_repeats: u64,
    pub rejected: u64,
    pub refused: u64,
    pub given_up: u64,
    pub deliveries: u64,
    pub sessions: u64,
    pub reconnects: u64,
    pub retried_requests: u64,
    pub overdue_outcomes: u64,
    pub strange_frames: u64,
    pub seconds: f64,
    pub messages_per_second: f64,
    pub deliveries_per_second: f64,
    pub send_to_accepted: Quantiles,
    pub send_to_own_event: Quantiles,
    pub troubles: Vec<String>,
}

impl Report {
    /// Reads the counters.
    #[must_use]
    pub fn new(logs: Totals, metrics: &Metrics, took: Duration, troubles: Vec<String>) -> Self {
        let count = &metrics.count;
        let seconds = took.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
        let rate = |count: u64| count as f64 / seconds;
        let (send_to_accepted, send_to_own_event) = metrics.quantiles();
        Self {
            logs,
            intended: count.intended.load(Relaxed),
            accepted: count.accepted.load(Relaxed),
            own_events: count.own_events.load(Relaxed),
            settled_as_repeats: count.settled.load(Relaxed),
            rejected: count.rejected.load(Relaxed),
            refused: count.refused.load(Relaxed),
            given_up: count.given_up.load(Relaxed),
            deliveries: count.deliveries.load(Relaxed),
            sessions: count.sessions.load(Relaxed),
            reconnects: count.reconnects.load(Relaxed),
            retried_requests: count.retried.load(Relaxed),
            overdue_outcomes: count.nudged.load(Relaxed),
            strange_frames: count.strange_frames.load(Relaxed),
            seconds,
            messages_per_second: rate(count.accepted.load(Relaxed)),
            deliveries_per_second: rate(count.deliveries.load(Relaxed)),
            send_to_accepted,
            send_to_own_event,
            troubles,
        }
    }

    /// Did every message of the logs get into its conversation?
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.troubles.is_empty()
            && self.strange_frames == 0
            && self.intended == self.logs.messages
            && self.own_events + self.settled_as_repeats == self.intended
    }

    /// As every mode tells it; `breaches` of the invariants, where they were checked.
    #[must_use]
    pub fn measured(&self, command: String, breaches: Option<u64>) -> Measured {
        #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
        let count = |key: &str, name: &str, value: u64| one(key, name, "", value as f64);
        let quantiles = |key: &str, name: &str, of: Quantiles| {
            let figure = |part: &str, quantile: &str, value: f64| {
                one(&format!("replay.{key}_{part}_ms"), &format!("{name}, {quantile}"), "ms", value)
            };
            [figure("p50", "median", of.p50_ms), figure("p99", "99th percentile", of.p99_ms)]
        };
        let rate = |key: &str, name: &str, value: f64| one(key, name, &format!("{name}/s"), value);
        let mut figures = vec![
            count("replay.messages", "messages accepted", self.accepted),
            count("replay.deliveries", "deliveries", self.deliveries),
            rate("replay.messages_per_second", "messages", self.messages_per_second),
            rate("replay.deliveries_per_second", "deliveries", self.deliveries_per_second),
        ];
        figures.extend(quantiles("accepted", "send to accepted", self.send_to_accepted));
        figures.extend(quantiles(
            "event",
            "send to the sender's own event",
            self.send_to_own_event,
        ));
        figures.push(count("replay.reconnects", "reconnects", self.reconnects));
        if let Some(breaches) = breaches {
            let figure = count("replay.breaches", "breaches of an invariant", breaches);
            figures.push(figure.must("I1–I9", Bound::AtMost(0.0), None));
        }
        let Totals { files, users, .. } = self.logs;
        let title = format!("replay of {files} chat logs with {users} users");
        let limits =
            "the generator, which parses and logs every delivery, runs on the same machine";
        Measured { title, command, figures, plots: Vec::new(), notes: vec![limits.to_owned()] }
    }

    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let count = |name: &str, value: u64| row(name, value.to_string());
        let quantiles = |name: &str, q: Quantiles| {
            let text = format!("{:.1} / {:.1} / {:.1} ms", q.p50_ms, q.p99_ms, q.max_ms);
            row(&format!("{name}, p50 / p99 / max"), text)
        };
        let rows = [
            count("files", self.logs.files),
            count("users", self.logs.users),
            count("messages in the logs", self.logs.messages),
            count("chat lines without text, left out", self.logs.empty_lines),
            count("messages intended", self.intended),
            count("accepted", self.accepted),
            count("outcome: own event", self.own_events),
            count("outcome: settled (a repeat)", self.settled_as_repeats),
            count("outcome: rejected", self.rejected),
            count("answered with an error", self.refused),
            count("given up", self.given_up),
            count("deliveries", self.deliveries),
            row("duration", format!("{:.1} s", self.seconds)),
            row("messages a second", format!("{:.0}", self.messages_per_second)),
            row("deliveries a second", format!("{:.0}", self.deliveries_per_second)),
            quantiles("send to accepted", self.send_to_accepted),
            quantiles("send to own event", self.send_to_own_event),
            count("sessions", self.sessions),
            count("reconnects", self.reconnects),
            count("requests repeated", self.retried_requests),
            count("outcomes overdue after 10 s", self.overdue_outcomes),
        ];
        out::table(&["replay", ""], &rows)
    }
}

fn one(key: &str, name: &str, unit: &str, value: f64) -> Figure {
    Figure::new(key, name, unit, vec![value])
}
