//! `/metrics`: what a process counts, and what the operators' page says that it counts.

use std::net::SocketAddr;

use super::http;

/// Which processes have a metric.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Everywhere,
    Cluster,
}

/// The metrics in the table of the operators' page.
pub fn documented(part: Part) -> Vec<&'static str> {
    let page = include_str!("../../../../../docs/operations.md");
    let rows = page.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("| `")?.split_once('`')?;
        let is_cluster = rest.ends_with("(cluster) |");
        (name.starts_with("harkara_") && is_cluster == (part == Part::Cluster)).then_some(name)
    });
    let names: Vec<_> = rows.collect();
    assert!(names.len() > 10, "the page has changed its form");
    names
}

/// `/metrics` of one process.
pub fn metrics_of(admin: SocketAddr) -> String {
    let (status, text) = http::get(admin, "/metrics").expect("metrics");
    assert_eq!(status, 200);
    text
}

/// The text of `/metrics`.
pub struct Metrics(pub String);

impl Metrics {
    /// The sum over all series of a name whose labels contain `label`.
    pub fn sum(&self, name: &str, label: &str) -> f64 {
        let series = self.0.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(label))
        });
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Is there a series of this name, or a histogram?
    pub fn has(&self, name: &str) -> bool {
        self.0.lines().filter_map(|line| line.strip_prefix(name)).any(|rest| {
            let rest = rest.strip_prefix("_count").unwrap_or(rest);
            rest.starts_with(['{', ' '])
        })
    }
}
