//! What a process tells about itself: log lines on standard error, traces by OTLP where an
//! endpoint is set (nothing is sent otherwise), metrics as Prometheus text.
//!
//! Components take their instruments from `opentelemetry::global::meter("harkara")` after
//! [`Telemetry::start`], and log and span through `tracing`.

mod config;
mod export;
#[cfg(test)]
mod tests;
pub mod trace;

use std::{io::IsTerminal as _, time::Duration};

use opentelemetry::{global, trace::TracerProvider as _};
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider, propagation::TraceContextPropagator};
use prometheus::{Encoder as _, TextEncoder};
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry, filter::Targets, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

pub use self::config::{Config, LogFormat};
use self::export::Traces;

/// Longest time that the last traces may take at shutdown. An endpoint that does not answer must
/// not hold the process back.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter has the wrong form.
    #[error("telemetry.filter: {0}; use a level (info) or target=level pairs")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The exporter refused its endpoint.
    #[error("telemetry.otlp_endpoint: {0}; use http://HOST:PORT, without TLS")]
    Endpoint(#[from] opentelemetry_otlp::ExporterBuildError),
    /// No thread for the exporter.
    #[error("cannot start the thread that exports traces: {0}")]
    Thread(#[from] std::io::Error),
    /// The meter could not be set up.
    #[error("cannot set up metrics: {0}")]
    Metrics(#[from] opentelemetry_sdk::error::OTelSdkError),
    /// A second call in one process.
    #[error("telemetry was started twice: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// The process's telemetry. Lives as long as the process.
#[derive(Debug)]
pub struct Telemetry {
    metrics: Metrics,
    traces: Option<Traces>,
}

impl Telemetry {
    /// Sets up the global subscriber, propagator and meter provider. Once per process.
    ///
    /// # Errors
    ///
    /// A setting cannot be used, or telemetry runs already.
    pub fn start(config: &Config) -> Result<Self, TelemetryError> {
        let filter = EnvFilter::try_new(&config.filter)?;
        let metrics = Metrics::new()?;
        let traces = config
            .otlp_endpoint
            .as_deref()
            .map(|endpoint| Traces::start(endpoint, config.trace_ratio))
            .transpose()?;
        let log = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        let log = match config.log {
            LogFormat::Text => log.with_target(false).with_filter(filter).boxed(),
            LogFormat::Json => log.json().flatten_event(true).with_filter(filter).boxed(),
        };
        // Only our own spans: the exporter's connection would otherwise trace itself.
        let spans = traces.as_ref().map(|traces| {
            tracing_opentelemetry::layer()
                .with_tracer(traces.provider().tracer("harkara"))
                .with_filter(Targets::new().with_target("harkara", tracing::Level::DEBUG))
        });
        Registry::default().with(log).with(spans).try_init()?;
        global::set_text_map_propagator(TraceContextPropagator::new());
        global::set_meter_provider(metrics.provider.clone());
        Ok(Self { metrics, traces })
    }

    /// All metrics in Prometheus text format 0.0.4.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        self.metrics.text()
    }

    /// A handle that renders the metrics, for the admin server's threads.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// Sends what is left, for at most two seconds. Blocks.
    pub fn shutdown(self) {
        if let Some(traces) = self.traces {
            traces.stop(FLUSH_TIMEOUT);
        }
    }
}

/// Renders the metrics. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: prometheus::Registry,
    provider: SdkMeterProvider,
}

impl Metrics {
    /// A meter provider read by its own Prometheus registry, not yet global.
    fn new() -> Result<Self, TelemetryError> {
        let registry = prometheus::Registry::new();
        let reader = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            // Otherwise every series carries three otel_scope_* labels.
            .scope_info_enabled(false)
            .without_target_info()
            .build()?;
        let provider =
            SdkMeterProvider::builder().with_reader(reader).with_resource(resource()).build();
        Ok(Self { registry, provider })
    }

    /// All metrics in Prometheus text format 0.0.4.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut out) {
            tracing::warn!(%error, "cannot render metrics");
        }
        String::from_utf8(out).unwrap_or_default()
    }
}

/// Who sends: every trace says so.
fn resource() -> Resource {
    let build = crate::process::build_info();
    Resource::builder()
        .with_service_name("harkara")
        .with_attribute(opentelemetry::KeyValue::new("service.version", build.version))
        .build()
}
