//! One trace across the log: the appender's span travels as a W3C `traceparent`, and the span that
//! works on the record links to it (a batch has many parents, so it is a link and not a parent).

use std::collections::HashMap;

use opentelemetry::{global, trace::TraceContextExt as _};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

const HEADER: &str = "traceparent";

/// Links of one span: what collectors keep by default (OpenTelemetry specification, span limits).
const LINKS_MAX: usize = 128;

/// The current span as a `traceparent`; none where it is not recorded.
#[must_use]
pub fn current() -> Option<Box<str>> {
    let context = Span::current().context();
    if !context.span().span_context().is_sampled() {
        return None;
    }
    let mut headers = HashMap::new();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut headers));
    headers.remove(HEADER).map(String::into_boxed_str)
}

/// Links a span to those whose `traceparent` came with the records it works on. What is no
/// `traceparent` is ignored.
pub fn follows<'a>(span: &Span, parents: impl IntoIterator<Item = &'a str>) {
    for parent in parents.into_iter().take(LINKS_MAX) {
        let headers = HashMap::from([(HEADER.to_owned(), parent.to_owned())]);
        let context = global::get_text_map_propagator(|propagator| propagator.extract(&headers));
        let linked = context.span().span_context().clone();
        if linked.is_valid() {
            span.add_link(linked);
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn a_recorded_span_travels_and_is_linked() {
        global::set_text_map_propagator(TraceContextPropagator::new());
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("harkara"));
        let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        assert_eq!(current(), None, "no span, nothing to tell");
        let parent = tracing::info_span!("append").in_scope(current).unwrap();
        assert_eq!((parent.len(), parent.matches('-').count()), (55, 3), "{parent}");
        // What is no `traceparent` changes nothing and breaks nothing.
        follows(&tracing::info_span!("consume"), [&*parent, "nonsense", ""]);
    }
}
