//! What the embedded engines count, as metrics. Read when somebody asks for `/metrics`.

use std::sync::Arc;

use harkara_engine_embedded::{Counts, Embedded};
use opentelemetry::metrics::AsyncInstrument;

/// Registers the metrics; they end with the engines.
pub fn register(engines: &Arc<Embedded>) {
    let meter = opentelemetry::global::meter("harkara");
    let _records_waiting = meter
        .u64_observable_gauge("harkara_log_queue_bytes")
        .with_description("records waiting for the log")
        .with_callback(reads(engines, |counts| counts.queued_bytes as u64))
        .build();
    let _writes_waiting = meter
        .u64_observable_gauge("harkara_store_queue_bytes")
        .with_description("writes waiting for the store")
        .with_callback(reads(engines, |counts| counts.store_bytes as u64))
        .build();
    let _records = meter
        .u64_observable_counter("harkara_log_records_appended")
        .with_description("records appended to the log")
        .with_callback(reads(engines, |counts| counts.appended))
        .build();
    let _writes = meter
        .u64_observable_counter("harkara_store_writes")
        .with_description("writes of the store")
        .with_callback(reads(engines, |counts| counts.store_writes))
        .build();
    let _fsyncs = meter
        .u64_observable_counter("harkara_engine_fsyncs")
        .with_description("batches of the embedded engines that were forced to the disk")
        .with_callback(reads(engines, |counts| counts.fsyncs))
        .build();
}

/// Reads one count; nothing once the engines are closed.
fn reads(
    engines: &Arc<Embedded>,
    read: fn(Counts) -> u64,
) -> impl Fn(&dyn AsyncInstrument<u64>) + Send + Sync + use<> {
    let engines = Arc::downgrade(engines);
    move |instrument| {
        if let Some(engines) = engines.upgrade() {
            instrument.observe(read(engines.counts()), &[]);
        }
    }
}
