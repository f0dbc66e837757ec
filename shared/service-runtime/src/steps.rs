//! One histogram for the steps of the message path, so that a dashboard shows where time goes.

use opentelemetry::{KeyValue, metrics::Histogram};

/// A step of the message path (`docs/architecture.md` numbers them).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Step 3: from the request to the durable record.
    Append,
    /// Step 4: from the record's append time to its partition's actor.
    Consume,
    /// Step 5: loading a conversation that was cold.
    Load,
    /// Step 6: writing a batch of events, retries included.
    Store,
    /// Step 8: from the owner's push to the sessions' queues.
    Deliver,
    /// A request from its frame to its answer.
    Request,
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Consume => "consume",
            Self::Load => "load",
            Self::Store => "store",
            Self::Deliver => "deliver",
            Self::Request => "request",
        }
    }
}

/// The histogram `harkara_step_seconds`.
#[derive(Debug, Clone)]
pub struct Steps {
    seconds: Histogram<f64>,
}

impl Default for Steps {
    /// The histogram of the process's meter.
    fn default() -> Self {
        let seconds = opentelemetry::global::meter("harkara")
            .f64_histogram("harkara_step_seconds")
            .with_description("time spent in a step of the message path")
            .with_boundaries(vec![
                0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                0.5, 1.0, 2.5, 5.0, 10.0,
            ])
            .build();
        Self { seconds }
    }
}

impl Steps {
    /// One passage took so many nanoseconds.
    pub fn record(&self, step: Step, nanos: u64) {
        let seconds = std::time::Duration::from_nanos(nanos).as_secs_f64();
        self.seconds.record(seconds, &[KeyValue::new("step", step.name())]);
    }
}
