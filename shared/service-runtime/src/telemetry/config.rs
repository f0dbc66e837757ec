//! Telemetry's settings (section `[telemetry]`).

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use crate::settings::Problem;

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Settings of logs, traces and metrics. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Form of log lines on standard error: `text` or `json`.
    pub log: LogFormat,
    /// What is logged: a level, or `target=level` pairs as in `info,harkara_gateway=debug`.
    pub filter: String,
    /// Where traces go, as OTLP over gRPC without TLS: `http://collector:4317`. Absent: nothing
    /// is sent anywhere.
    pub otlp_endpoint: Option<String>,
    /// Share of traces that are sent, 0 to 1, where the client did not decide it. A message is
    /// about ten spans of 500 bytes: 1,000 messages a second at 1.0 are 5 MB a second.
    pub trace_ratio: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            log: LogFormat::Text,
            filter: "warn,harkara=info".into(),
            otlp_endpoint: None,
            trace_ratio: 1.0,
        }
    }
}

impl Config {
    /// What this process could not work with; keys below `section`.
    #[must_use]
    pub fn problems(&self, section: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |key: &str, right: &str| {
            problems.push(Problem::new(format!("{section}.{key}"), right));
        };
        if EnvFilter::try_new(&self.filter).is_err() {
            wrong("filter", "expected a level (info) or target=level pairs");
        }
        if !(0.0..=1.0).contains(&self.trace_ratio) {
            wrong("trace_ratio", "expected a number from 0 to 1");
        }
        if self.otlp_endpoint.as_ref().is_some_and(|endpoint| !endpoint.starts_with("http://")) {
            wrong("otlp_endpoint", "expected http://HOST:PORT, without TLS");
        }
        problems
    }
}
