//! What a gateway counts. Names and meanings stand in `docs/operations.md`.

use harkara_service_runtime::{Step, Steps};
use opentelemetry::{
    KeyValue,
    metrics::{Counter, UpDownCounter},
};

use crate::load::Stage;

/// Instruments of all threads of a gateway.
#[derive(Debug, Clone)]
pub struct Metrics {
    sessions: UpDownCounter<i64>,
    accepted: Counter<u64>,
    delivered: Counter<u64>,
    errors: Counter<u64>,
    evicted: Counter<u64>,
    dropped: Counter<u64>,
    repaired: Counter<u64>,
    given_up: Counter<u64>,
    stage: UpDownCounter<i64>,
    steps: Steps,
}

impl Default for Metrics {
    fn default() -> Self {
        let meter = opentelemetry::global::meter("harkara");
        let metrics = Self {
            sessions: meter
                .i64_up_down_counter("harkara_sessions")
                .with_description("authenticated sessions")
                .build(),
            accepted: meter
                .u64_counter("harkara_messages_accepted")
                .with_description("sends that were answered `accepted`")
                .build(),
            delivered: meter
                .u64_counter("harkara_events_delivered")
                .with_description("events handed to sessions' sockets")
                .build(),
            errors: meter
                .u64_counter("harkara_requests_refused")
                .with_description("requests that were answered with an error, by code")
                .build(),
            evicted: meter
                .u64_counter("harkara_sessions_evicted")
                .with_description("sessions that were ended by the server, by reason")
                .build(),
            dropped: meter
                .u64_counter("harkara_notices_dropped")
                .with_description("typing notices not sent to sessions that read too slowly")
                .build(),
            repaired: meter
                .u64_counter("harkara_gaps_repaired")
                .with_description("times a hub read events from the store that its link had lost")
                .build(),
            given_up: meter
                .u64_counter("harkara_given_up")
                .with_description("what was not done for want of room, by what it was")
                .build(),
            stage: meter
                .i64_up_down_counter("harkara_overload_stage")
                .with_description("stages of overload, 0 to 5, summed over the threads")
                .build(),
            steps: Steps::default(),
        };
        // What never happened is 0, not absent: alerts compare numbers.
        metrics.sessions.add(0, &[]);
        metrics.accepted.add(0, &[]);
        metrics.delivered.add(0, &[]);
        metrics.dropped.add(0, &[]);
        metrics.repaired.add(0, &[]);
        metrics.stage.add(0, &[]);
        for what in Stage::ALL.into_iter().filter(|stage| *stage != Stage::Calm) {
            metrics.given_up.add(0, &[KeyValue::new("what", word(what))]);
        }
        metrics
    }
}

impl Metrics {
    pub(crate) fn session(&self, change: i64) {
        self.sessions.add(change, &[]);
    }

    pub(crate) fn accepted(&self) {
        self.accepted.add(1, &[]);
    }

    pub(crate) fn delivered(&self, n: u64) {
        self.delivered.add(n, &[]);
    }

    pub(crate) fn refused(&self, code: &'static str) {
        self.errors.add(1, &[KeyValue::new("code", code)]);
    }

    pub(crate) fn evicted(&self, reason: &'static str) {
        self.evicted.add(1, &[KeyValue::new("reason", reason)]);
    }

    pub(crate) fn dropped(&self) {
        self.dropped.add(1, &[]);
    }

    pub(crate) fn repaired(&self) {
        self.repaired.add(1, &[]);
    }

    pub(crate) fn given_up(&self, what: Stage) {
        self.given_up.add(1, &[KeyValue::new("what", word(what))]);
    }

    pub(crate) fn stage(&self, before: Stage, now: Stage) {
        let number = |stage: Stage| i64::try_from(stage.number()).unwrap_or(0);
        self.stage.add(number(now) - number(before), &[]);
    }

    pub(crate) fn step(&self, step: Step, nanos: u64) {
        self.steps.record(step, nanos);
    }
}

const fn word(what: Stage) -> &'static str {
    match what {
        Stage::Calm => "nothing",
        Stage::Typing => "typing",
        Stage::Receipts => "receipt",
        Stage::History => "history",
        Stage::Connects => "connect",
        Stage::Sends => "send",
    }
}
