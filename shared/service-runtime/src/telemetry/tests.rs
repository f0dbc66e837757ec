//! Metrics as text; traces that go out only where an endpoint is set.

use std::{
    io::{Read as _, Write},
    net::TcpListener,
    sync::{
        Arc, Mutex,
        mpsc::{RecvTimeoutError, sync_channel},
    },
    thread,
};

use opentelemetry::{
    KeyValue,
    metrics::MeterProvider as _,
    trace::{Span as _, Tracer as _},
};

use super::*;

/// A server that reports the first bytes of the first connection.
fn collector() -> (String, std::sync::mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (seen, first) = sync_channel(1);
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut bytes = [0; 24];
        socket.read_exact(&mut bytes).unwrap();
        seen.send(bytes.to_vec()).unwrap();
    });
    (endpoint, first)
}

#[test]
fn counters_and_histograms_are_rendered_without_scope_labels() {
    let metrics = Metrics::new().unwrap();
    let meter = metrics.provider.meter("harkara");
    let rejected = meter.u64_counter("harkara_rejected").with_description("Refusals").build();
    rejected.add(2, &[KeyValue::new("code", "too_large")]);
    rejected.add(1, &[KeyValue::new("code", "too_large")]);
    meter
        .f64_histogram("harkara_step_seconds")
        .with_boundaries(vec![0.1])
        .build()
        .record(0.05, &[]);
    let text = metrics.text();
    assert!(text.contains("# TYPE harkara_rejected_total counter\n"), "{text}");
    assert!(text.contains("harkara_rejected_total{code=\"too_large\"} 3\n"), "{text}");
    assert!(text.contains("harkara_step_seconds_bucket{le=\"0.1\"} 1\n"), "{text}");
    assert!(!text.contains("otel_scope"), "{text}");
}

#[test]
fn traces_reach_the_endpoint_over_http2() {
    let (endpoint, first) = collector();
    let traces = Traces::start(&endpoint, 1.0).unwrap();
    traces.provider().tracer("harkara").start("send").end();
    // The collector never answers, so the flush gives up; the bytes came all the same.
    traces.stop(Duration::from_millis(200));
    let bytes = first.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!(bytes, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
}

#[test]
fn nothing_is_sent_where_no_endpoint_is_set() {
    let (_, first) = collector();
    let telemetry = Telemetry::start(&Config::default()).unwrap();
    assert!(telemetry.traces.is_none(), "no exporter, no thread, no socket");
    tracing::info_span!(target: "harkara", "send").in_scope(|| tracing::info!("sent"));
    global::meter("harkara").u64_counter("harkara_accepted").build().add(1, &[]);
    assert!(telemetry.metrics_text().contains("harkara_accepted_total 1\n"));
    telemetry.shutdown();
    assert_eq!(first.recv_timeout(Duration::from_millis(50)), Err(RecvTimeoutError::Timeout));
}

#[test]
fn settings_are_checked_before_anything_starts() {
    let config = Config {
        filter: "harkara=loud".into(),
        otlp_endpoint: Some("https://collector:4317".into()),
        trace_ratio: 2.0,
        ..Config::default()
    };
    let keys: Vec<_> =
        config.problems("telemetry").into_iter().map(|problem| problem.key).collect();
    assert_eq!(keys, ["telemetry.filter", "telemetry.trace_ratio", "telemetry.otlp_endpoint"]);
    assert!(Config::default().problems("telemetry").is_empty());
}

/// Lines of a log, kept.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_is_counted_and_told_in_its_span() {
    let (metrics, lines) = (Metrics::new().unwrap(), Lines::default());
    crate::process::report_panics_to(&metrics.provider.meter("harkara"));
    assert!(metrics.text().contains("harkara_panics_total 0\n"), "{}", metrics.text());
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(move || writer.clone())
        .finish();
    let ended = tracing::subscriber::with_default(subscriber, || {
        let _request = tracing::info_span!("request", method = "message.send").entered();
        std::panic::catch_unwind(|| -> () { panic!("planted") })
    });
    drop(std::panic::take_hook());
    assert!(ended.is_err(), "it goes on to whoever catches it");
    let text = String::from_utf8(lines.0.lock().unwrap().clone());
    let text = text.unwrap();
    assert!(text.contains("panicked: planted") && text.contains("telemetry/tests.rs"), "{text}");
    assert!(text.contains("message.send") && text.contains(r#""name":"panic""#), "{text}");
    assert!(metrics.text().contains("harkara_panics_total 1\n"), "{}", metrics.text());
}
