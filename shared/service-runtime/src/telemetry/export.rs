//! The way of traces out of the process: batches, on a thread and a runtime of their own.
//!
//! Danger: the batch thread blocks on the exporter, whose connection needs a running Tokio
//! reactor. On the main runtime the flush at shutdown would wait for itself.

use std::time::Duration;

use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider,
};
use tokio::runtime::Runtime;

use super::TelemetryError;

/// Spans that wait to be sent: 8,192 × ~500 bytes = 4 MB. More are dropped and counted.
const QUEUE_SPANS_MAX: usize = 8_192;

/// Spans in one request: ~250 kB, far below the 4 MB that gRPC servers take.
const BATCH_SPANS_MAX: usize = 512;

/// Longest time of one request.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// A tracer provider that exports, with the runtime of its connection.
#[derive(Debug)]
pub(super) struct Traces {
    provider: SdkTracerProvider,
    runtime: Runtime,
}

impl Traces {
    /// Connects when the first batch is due, and again whenever the connection is lost.
    pub(super) fn start(endpoint: &str, ratio: f64) -> Result<Self, TelemetryError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp")
            .enable_all()
            .build()?;
        let _entered = runtime.enter();
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE_SPANS_MAX)
            .with_max_export_batch_size(BATCH_SPANS_MAX)
            .build();
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
            .with_resource(super::resource())
            .build();
        drop(_entered);
        Ok(Self { provider, runtime })
    }

    pub(super) const fn provider(&self) -> &SdkTracerProvider {
        &self.provider
    }

    /// Sends what is queued, or gives up after `timeout`.
    pub(super) fn stop(self, timeout: Duration) {
        if let Err(error) = self.provider.shutdown_with_timeout(timeout) {
            tracing::warn!(%error, "the last traces were not sent");
        }
        self.runtime.shutdown_background();
    }
}
