//! The measured inputs of the capacity model: each is a figure of the report with a key, or is
//! given by a flag in its place.

use anyhow::bail;

use crate::{figures::Figure, report::Report};

/// What takes the place of measured figures.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Given {
    /// Resident bytes of an idle session
    #[arg(long)]
    pub session_bytes: Option<f64>,
    /// Processor time of an idle session, microseconds a second
    #[arg(long)]
    pub session_us: Option<f64>,
    /// Processor time of a delivery, everything counted, microseconds
    #[arg(long)]
    pub delivery_us: Option<f64>,
    /// Processor time of a connect, milliseconds
    #[arg(long)]
    pub connect_ms: Option<f64>,
    /// Processor time of the workers for a message, microseconds
    #[arg(long)]
    pub worker_us: Option<f64>,
    /// Processor time of one broker for a message, microseconds
    #[arg(long)]
    pub broker_us: Option<f64>,
    /// Processor time of one store node for a message, microseconds
    #[arg(long)]
    pub store_us: Option<f64>,
    /// Bytes stored for a message with a text of 200 bytes, one copy, after compaction
    #[arg(long)]
    pub stored_bytes: Option<f64>,
}

/// The inputs by name.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "as in `Given`")]
pub struct Measured {
    pub session_bytes: f64,
    pub session_us: f64,
    pub delivery_us: f64,
    pub connect_ms: f64,
    pub worker_us: f64,
    pub broker_us: f64,
    pub store_us: f64,
    pub stored_bytes: f64,
}

/// An input and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// For people.
    pub name: &'static str,
    /// `B`, `µs`, `ms`.
    pub unit: &'static str,
    /// Its value.
    pub value: f64,
    /// `measured: KEY` or `given: --FLAG`.
    pub from: String,
}

/// Flag, key of the figure, name, unit.
type Source = (&'static str, &'static str, &'static str, &'static str);

/// In the order of [`Given`] and [`Measured`].
const SOURCES: [Source; 8] = [
    ("session-bytes", "idle.bytes_per_session", "memory of a session", "B"),
    ("session-us", "idle.cpu_us_per_session_second", "processor time of a session a second", "µs"),
    ("delivery-us", "steady.cpu_us_per_delivery", "processor time of a delivery", "µs"),
    ("connect-ms", "ramp.cpu_ms_per_connect", "processor time of a connect", "ms"),
    ("worker-us", "cluster.worker_us_per_message", "processor time of a message, workers", "µs"),
    ("broker-us", "cluster.log_us_per_message", "processor time of a message, one broker", "µs"),
    (
        "store-us",
        "cluster.store_us_per_message",
        "processor time of a message, one store node",
        "µs",
    ),
    ("stored-bytes", "stored.bytes_per_message", "bytes stored for a message, one copy", "B"),
];

impl Given {
    fn values(&self) -> [Option<f64>; 8] {
        [
            self.session_bytes,
            self.session_us,
            self.delivery_us,
            self.connect_ms,
            self.worker_us,
            self.broker_us,
            self.store_us,
            self.stored_bytes,
        ]
    }
}

impl Measured {
    /// The values of [`all`].
    #[must_use]
    pub fn of(inputs: &[Input; 8]) -> Self {
        let [session_bytes, session_us, delivery_us, connect_ms, ..] = inputs.each_ref().map(value);
        let [.., worker_us, broker_us, store_us, stored_bytes] = inputs.each_ref().map(value);
        Self {
            session_bytes,
            session_us,
            delivery_us,
            connect_ms,
            worker_us,
            broker_us,
            store_us,
            stored_bytes,
        }
    }
}

fn value(input: &Input) -> f64 {
    input.value
}

/// Every input, given or the median of what was measured.
///
/// # Errors
/// When some are neither: all of them are named.
pub fn all(given: &Given, report: &Report) -> anyhow::Result<[Input; 8]> {
    let values = given.values();
    let mut missing = Vec::new();
    let inputs = std::array::from_fn(|i| {
        let (flag, key, name, unit) = SOURCES[i];
        let found = match values[i] {
            Some(value) => Some((value, format!("given: `--{flag}`"))),
            None => median(report, key).map(|value| (value, format!("measured: `{key}`"))),
        };
        if found.is_none() {
            missing.push(format!("{key} (or --{flag})"));
        }
        let (value, from) = found.unwrap_or_default();
        Input { name, unit, value, from }
    });
    if !missing.is_empty() {
        bail!("the figures lack {}: measure them with `report`, or give them", missing.join(", "));
    }
    Ok(inputs)
}

fn median(report: &Report, key: &str) -> Option<f64> {
    let mut figures = report.entries.iter().flat_map(|entry| &entry.measured.figures);
    figures.find(|figure| figure.key == key).and_then(Figure::spread).map(|spread| spread[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{figures, report::Entry};

    fn report(keys: &[&str]) -> Report {
        let figures = keys.iter().map(|key| Figure::new(key, "", "", vec![9.0, 7.0, 8.0]));
        let measured = figures::Measured { figures: figures.collect(), ..Default::default() };
        Report { entries: vec![Entry { measured, ..Entry::default() }] }
    }

    #[test]
    fn what_is_given_wins_and_what_is_missing_is_named() {
        let keys = SOURCES.map(|(_, key, ..)| key);
        let given = Given { store_us: Some(3.0), ..Given::default() };
        let inputs = all(&given, &report(&keys)).expect("all are there");
        let measured = Measured::of(&inputs);
        assert_eq!(
            (measured.store_us, measured.broker_us, measured.session_bytes),
            (3.0, 8.0, 8.0)
        );
        assert_eq!(inputs[6].from, "given: `--store-us`");
        assert_eq!(inputs[0].from, "measured: `idle.bytes_per_session`");
        let error = all(&given, &report(&keys[2..])).expect_err("two are missing").to_string();
        assert!(
            error.contains("idle.bytes_per_session (or --session-bytes), idle.cpu_us"),
            "{error}"
        );
        assert!(!error.contains("store_us") && !error.contains("steady"), "{error}");
    }

    #[test]
    fn every_input_reaches_its_name() {
        let given = Given {
            session_bytes: Some(1.0),
            session_us: Some(2.0),
            delivery_us: Some(3.0),
            connect_ms: Some(4.0),
            worker_us: Some(5.0),
            broker_us: Some(6.0),
            store_us: Some(7.0),
            stored_bytes: Some(8.0),
        };
        let measured = Measured::of(&all(&given, &Report::default()).expect("all are given"));
        let expected = Measured {
            session_bytes: 1.0,
            session_us: 2.0,
            delivery_us: 3.0,
            connect_ms: 4.0,
            worker_us: 5.0,
            broker_us: 6.0,
            store_us: 7.0,
            stored_bytes: 8.0,
        };
        assert_eq!(measured, expected);
    }
}
