//! What a measurement yields, in one form for the table on the terminal, the JSON file and the
//! page with plots. Every mode makes a [`Measured`]; `report` collects them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::out;

/// One measurement.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Measured {
    /// What was measured: a line.
    pub title: String,
    /// The command that measures it again.
    pub command: String,
    /// What came out.
    pub figures: Vec<Figure>,
    /// Plots of it.
    pub plots: Vec<Plot>,
    /// What a reader must know to believe it: what limited it, what was left out.
    pub notes: Vec<String>,
}

/// One figure, as often as it was taken.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figure {
    /// A name for programs that never changes: `idle.bytes_per_session`.
    pub key: String,
    /// A name for people.
    pub name: String,
    /// `µs`, `B`, `×`, `messages/s`.
    pub unit: String,
    /// A value for each round.
    pub rounds: Vec<f64>,
    /// What it must reach, if anything.
    pub target: Option<Target>,
}

/// What a figure must reach.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Target {
    /// Its number in the list of targets: `R1`.
    pub name: String,
    /// The bound that the median must keep.
    pub must: Bound,
    /// The bound that would be fine.
    pub stretch: Option<Bound>,
}

/// Inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Less is better.
    AtMost(f64),
    /// More is better.
    AtLeast(f64),
}

/// A plot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// What is drawn.
    pub lines: Vec<Line>,
}

/// An axis.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Axis {
    /// `time`, `latency`.
    pub name: String,
    /// `s`, `ms`.
    pub unit: String,
    /// Whether decades are equally far from each other.
    pub logarithmic: bool,
}

/// A line of a plot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// `harkara`, `nats-server`.
    pub name: String,
    /// (x, y), by x.
    pub points: Vec<(f64, f64)>,
}

impl Bound {
    /// Whether a value keeps it.
    #[must_use]
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(bound) => value <= bound,
            Self::AtLeast(bound) => value >= bound,
        }
    }
}

impl Figure {
    /// Without a target.
    #[must_use]
    pub fn new(key: &str, name: &str, unit: &str, rounds: Vec<f64>) -> Self {
        let [key, name, unit] = [key, name, unit].map(str::to_owned);
        Self { key, name, unit, rounds, target: None }
    }

    /// With a target.
    #[must_use]
    pub fn must(mut self, name: &str, must: Bound, stretch: Option<Bound>) -> Self {
        self.target = Some(Target { name: name.to_owned(), must, stretch });
        self
    }

    /// Its name with its unit, where it has one.
    #[must_use]
    pub fn label(&self) -> String {
        match self.unit.as_str() {
            "" => self.name.clone(),
            unit => format!("{}, {unit}", self.name),
        }
    }

    /// Least, median and most; nothing without rounds.
    #[must_use]
    pub fn spread(&self) -> Option<[f64; 3]> {
        let mut sorted = self.rounds.clone();
        sorted.sort_by(f64::total_cmp);
        Some([*sorted.first()?, sorted[sorted.len() / 2], *sorted.last()?])
    }

    /// Whether the median keeps what it must; nothing without a target or rounds.
    #[must_use]
    pub fn holds(&self) -> Option<bool> {
        Some(self.target.as_ref()?.must.holds(self.spread()?[1]))
    }
}

impl Measured {
    /// The table for the terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let rows: Vec<Vec<String>> = self.figures.iter().map(row).collect();
        out::table(&[self.title.as_str(), "median", "least", "most", "must", ""], &rows)
    }

    /// Prints the table and the notes; writes the JSON where asked.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn tell(&self, path: Option<&Path>) -> anyhow::Result<()> {
        out::line(self.table());
        self.notes.iter().for_each(|note| out::line(format!("- {note}")));
        if let Some(path) = path {
            std::fs::write(path, serde_json::to_string_pretty(self)?)?;
        }
        Ok(())
    }
}

fn row(figure: &Figure) -> Vec<String> {
    let name = figure.label();
    let spread = figure.spread();
    let [least, median, most] = [0, 1, 2].map(|i| spread.map_or_else(String::new, |s| short(s[i])));
    let must = figure.target.as_ref().map_or_else(String::new, |target| match target.must {
        Bound::AtMost(bound) => format!("{} ≤ {}", target.name, short(bound)),
        Bound::AtLeast(bound) => format!("{} ≥ {}", target.name, short(bound)),
    });
    let holds = figure.holds().map_or("", |holds| if holds { "holds" } else { "MISSED" });
    vec![name, median, least, most, must, holds.to_owned()]
}

/// Three significant digits, or all that stand before the point.
#[must_use]
pub fn short(value: f64) -> String {
    let digits = match value.abs() {
        x if x >= 100.0 => 0,
        x if x >= 10.0 => 1,
        x if x >= 1.0 => 2,
        x if x > 0.0 => 3,
        _ => 0,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_decides() {
        let figure = Figure::new("a.b", "a", "×", vec![3.0, 0.5, 1.1]);
        assert_eq!(figure.spread(), Some([0.5, 1.1, 3.0]));
        assert_eq!(figure.holds(), None);
        let strict = figure.clone().must("R1", Bound::AtMost(1.0), None);
        assert_eq!(strict.holds(), Some(false));
        assert_eq!(figure.must("R1", Bound::AtMost(1.1), None).holds(), Some(true));
    }

    #[test]
    fn figures_survive_their_file() {
        let figure =
            Figure::new("a.b", "a", "µs", vec![1.0]).must("R9", Bound::AtLeast(0.85), None);
        let measured = Measured { figures: vec![figure], ..Measured::default() };
        let text = serde_json::to_string(&measured).unwrap();
        assert!(text.contains(r#""must":{"at_least":0.85}"#), "{text}");
        let again: Measured = serde_json::from_str(&text).unwrap();
        assert_eq!(again.table(), measured.table());
    }
}
