//! What the engines of a cluster count, as metrics. Read when somebody asks for `/metrics`; names
//! and meanings stand in `docs/operations.md`.

use std::sync::{Arc, Weak};

use harkara_engine_kafka::KafkaLog;
use harkara_engine_link::TcpLink;
use harkara_engine_scylla::ScyllaStore;
use opentelemetry::metrics::{AsyncInstrument, Meter};

/// Registers the metrics; they end with the engines.
pub fn register(log: &Arc<KafkaLog>, store: &Arc<ScyllaStore>, link: &Arc<TcpLink>) {
    let meter = opentelemetry::global::meter("harkara");
    log_metrics(&meter, log);
    store_metrics(&meter, store);
    link_metrics(&meter, link);
}

/// Reads one count; nothing once the engine is gone.
fn reads<E: Send + Sync + 'static>(
    engine: &Arc<E>,
    read: fn(&E) -> u64,
) -> impl Fn(&dyn AsyncInstrument<u64>) + Send + Sync + use<E> {
    let engine: Weak<E> = Arc::downgrade(engine);
    move |instrument| {
        if let Some(engine) = engine.upgrade() {
            instrument.observe(read(&engine), &[]);
        }
    }
}

fn log_metrics(meter: &Meter, log: &Arc<KafkaLog>) {
    let _kept = meter
        .u64_observable_gauge("harkara_log_queue_bytes")
        .with_description("records waiting for the log")
        .with_callback(reads(log, |log| log.counts().queued_bytes as u64))
        .build();
    let _kept = meter
        .u64_observable_gauge("harkara_log_partitions")
        .with_description("partitions of the log that are this worker's")
        .with_callback(reads(log, |log| log.counts().assigned as u64))
        .build();
    let _kept = meter
        .u64_observable_counter("harkara_log_records_appended")
        .with_description("records appended to the log")
        .with_callback(reads(log, |log| log.counts().appended))
        .build();
    let _kept = meter
        .u64_observable_counter("harkara_log_bytes_appended")
        .with_description("bytes of those records")
        .with_callback(reads(log, |log| log.counts().appended_bytes))
        .build();
    let _kept = meter
        .u64_observable_counter("harkara_log_unconfirmed")
        .with_description("records of which it is unknown whether they are in the log")
        .with_callback(reads(log, |log| log.counts().unconfirmed))
        .build();
    let _kept = meter
        .u64_observable_counter("harkara_log_refused")
        .with_description("appends refused because the log's queue was full")
        .with_callback(reads(log, |log| log.counts().refused))
        .build();
    more_log_metrics(meter, log);
}

fn more_log_metrics(meter: &Meter, log: &Arc<KafkaLog>) {
    let _kept = meter
        .u64_observable_counter("harkara_log_records_consumed")
        .with_description("records read from the log")
        .with_callback(reads(log, |log| log.counts().consumed))
        .build();
    let _kept = meter
        .u64_observable_counter("harkara_log_commits")
        .with_description("commits of progress that the group confirmed")
        .with_callback(reads(log, |log| log.counts().commits))
        .build();
    let _kept = meter
        .u64_observable_counter("harkara_log_commits_failed")
        .with_description("commits of progress that failed and are made again")
        .with_callback(reads(log, |log| log.counts().commits_failed))
        .build();
    let _kept = meter
        .u64_observable_counter("harkara_log_rebalances")
        .with_description("times that partitions came or went")
        .with_callback(reads(log, |log| log.counts().rebalances))
        .build();
    let _kept = meter
        .u64_observable_counter("harkara_log_lost")
        .with_description("partitions taken away without time to finish")
        .with_callback(reads(log, |log| log.counts().lost))
        .build();
    let _kept = meter
        .u64_observable_counter("harkara_log_stalls")
        .with_description("partitions that stood still and were fetched anew")
        .with_callback(reads(log, |log| log.counts().stalls))
        .build();
    let _kept = meter
        .u64_observable_counter("harkara_log_rejoins")
        .with_description("times that the log's consumer was made anew")
        .with_callback(reads(log, |log| log.counts().rejoins))
        .build();
}

fn store_metrics(meter: &Meter, store: &Arc<ScyllaStore>) {
    let _kept = meter
        .u64_observable_counter("harkara_store_writes")
        .with_description("writes of the store")
        .with_callback(reads(store, |store| store.counts().writes))
        .build();
    let _kept = meter
        .u64_observable_counter("harkara_store_rows_written")
        .with_description("rows written to the store")
        .with_callback(reads(store, |store| store.counts().rows_written))
        .build();
    let _kept = meter
        .u64_observable_counter("harkara_store_reads")
        .with_description("reads of the store")
        .with_callback(reads(store, |store| store.counts().reads))
        .build();
    let _kept = meter
        .u64_observable_counter("harkara_store_rows_read")
        .with_description("rows read from the store")
        .with_callback(reads(store, |store| store.counts().rows_read))
        .build();
    let _kept = meter
        .u64_observable_counter("harkara_store_unanswered")
        .with_description("statements whose outcome is unknown; callers repeat them")
        .with_callback(reads(store, |store| store.counts().unanswered))
        .build();
    let _kept = meter
        .u64_observable_counter("harkara_store_refused")
        .with_description("statements refused, and rows that can't be read")
        .with_callback(reads(store, |store| store.counts().refused))
        .build();
}

fn link_metrics(meter: &Meter, link: &Arc<TcpLink>) {
    let _kept = meter
        .u64_observable_gauge("harkara_link_gateways")
        .with_description("gateways connected with this worker")
        .with_callback(reads(link, |link| link.counts().gateways as u64))
        .build();
    let _kept = meter
        .u64_observable_gauge("harkara_link_workers")
        .with_description("workers this gateway is connected with")
        .with_callback(reads(link, |link| link.counts().workers as u64))
        .build();
    let _kept = meter
        .u64_observable_counter("harkara_link_frames_in")
        .with_description("frames read from the link")
        .with_callback(reads(link, |link| link.counts().frames_in))
        .build();
    let _kept = meter
        .u64_observable_counter("harkara_link_frames_out")
        .with_description("frames written to the link")
        .with_callback(reads(link, |link| link.counts().frames_out))
        .build();
    let _kept = meter
        .u64_observable_counter("harkara_link_dropped")
        .with_description("pushes that an endpoint did not get for want of room")
        .with_callback(reads(link, |link| link.counts().dropped))
        .build();
    let _kept = meter
        .u64_observable_counter("harkara_link_reconnects")
        .with_description("connections of the link that ended and are tried again")
        .with_callback(reads(link, |link| link.counts().reconnects))
        .build();
    let _kept = meter
        .u64_observable_counter("harkara_link_refused")
        .with_description("connections of the link that one end did not want")
        .with_callback(reads(link, |link| link.counts().refused))
        .build();
}
