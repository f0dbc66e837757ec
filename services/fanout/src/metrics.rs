//! What a fanout worker counts. Names and meanings stand in `docs/operations.md`.

use harkara_service_runtime::{Step, Steps};
use opentelemetry::{
    KeyValue,
    metrics::{Counter, UpDownCounter},
};

/// Instruments of all partitions of a process.
#[derive(Debug, Clone)]
pub struct Metrics {
    decided: Counter<u64>,
    quarantined: Counter<u64>,
    store_retries: Counter<u64>,
    hot: UpDownCounter<i64>,
    in_flight: UpDownCounter<i64>,
    set_aside: UpDownCounter<i64>,
    stopped: UpDownCounter<i64>,
    steps: Steps,
}

impl Default for Metrics {
    fn default() -> Self {
        let meter = opentelemetry::global::meter("harkara");
        let metrics = Self {
            decided: meter
                .u64_counter("harkara_records_decided")
                .with_description("records by what became of them")
                .build(),
            quarantined: meter
                .u64_counter("harkara_records_quarantined")
                .with_description("records that could not be decoded and were put aside")
                .build(),
            store_retries: meter
                .u64_counter("harkara_store_retries")
                .with_description("operations of the store that were done again")
                .build(),
            hot: meter
                .i64_up_down_counter("harkara_conversations_hot")
                .with_description("conversations in a worker's memory")
                .build(),
            in_flight: meter
                .i64_up_down_counter("harkara_records_in_flight")
                .with_description("records read from the log and not yet durable in the store")
                .build(),
            set_aside: meter
                .i64_up_down_counter("harkara_conversations_set_aside")
                .with_description("conversations that wait because they panic each time")
                .build(),
            stopped: meter
                .i64_up_down_counter("harkara_partitions_stopped")
                .with_description("partitions that stopped in front of a record")
                .build(),
            steps: Steps::default(),
        };
        // What never happened is 0, not absent: alerts compare numbers.
        metrics.hot.add(0, &[]);
        metrics.in_flight.add(0, &[]);
        metrics.set_aside.add(0, &[]);
        metrics.stopped.add(0, &[]);
        metrics.quarantined.add(0, &[]);
        metrics.store_retries.add(0, &[]);
        metrics
    }
}

impl Metrics {
    pub(crate) fn decided(&self, what: &'static str, n: u64) {
        self.decided.add(n, &[KeyValue::new("outcome", what)]);
    }

    pub(crate) fn quarantined(&self) {
        self.quarantined.add(1, &[]);
    }

    pub(crate) fn store_retry(&self) {
        self.store_retries.add(1, &[]);
    }

    pub(crate) fn hot(&self, change: i64) {
        self.hot.add(change, &[]);
    }

    pub(crate) fn in_flight(&self, change: i64) {
        self.in_flight.add(change, &[]);
    }

    pub(crate) fn set_aside(&self, change: i64) {
        self.set_aside.add(change, &[]);
    }

    pub(crate) fn stopped(&self, change: i64) {
        self.stopped.add(change, &[]);
    }

    pub(crate) fn step(&self, step: Step, nanos: u64) {
        self.steps.record(step, nanos);
    }
}
