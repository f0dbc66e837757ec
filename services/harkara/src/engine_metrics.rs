//! What the embedded engines count, as metrics. Read when somebody asks for `/metrics`.

use std::sync::{Arc, Weak};

use harkara_engine_embedded::{Counts, Embedded};
use opentelemetry::metrics::Meter;

/// Registers the metrics; they end with the engines.
pub fn register(engines: &Arc<Embedded>) {
    let meter = opentelemetry::global::meter("harkara");
    let queue = "harkara_log_queue_bytes";
    gauge(&meter, engines, queue, "records waiting for the log, bytes", |c| c.queued_bytes as u64);
    let queue = "harkara_store_queue_bytes";
    gauge(&meter, engines, queue, "writes waiting for the store, bytes", |c| c.store_bytes as u64);
    let name = "harkara_log_records_appended";
    counter(&meter, engines, name, "records appended to the log", |c| c.appended);
    let name = "harkara_store_writes";
    counter(&meter, engines, name, "writes of the store", |c| c.store_writes);
    let name = "harkara_engine_fsyncs";
    counter(&meter, engines, name, "batches that were forced to the disk", |c| c.fsyncs);
}

type Read = fn(Counts) -> u64;

fn gauge(
    meter: &Meter,
    engines: &Arc<Embedded>,
    name: &'static str,
    what: &'static str,
    read: Read,
) {
    let engines = Arc::downgrade(engines);
    let gauge = meter.u64_observable_gauge(name).with_description(what);
    let _registered =
        gauge.with_callback(move |g| observe(&engines, read, |n| g.observe(n, &[]))).build();
}

fn counter(
    meter: &Meter,
    engines: &Arc<Embedded>,
    name: &'static str,
    what: &'static str,
    read: Read,
) {
    let engines = Arc::downgrade(engines);
    let counter = meter.u64_observable_counter(name).with_description(what);
    let _registered =
        counter.with_callback(move |c| observe(&engines, read, |n| c.observe(n, &[]))).build();
}

fn observe(engines: &Weak<Embedded>, read: Read, tell: impl Fn(u64)) {
    if let Some(engines) = engines.upgrade() {
        tell(read(engines.counts()));
    }
}
