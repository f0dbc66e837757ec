//! The metrics in the code are the metrics in `docs/operations.md`.

use std::collections::BTreeSet;

use super::{none, scan, tree};

/// A metric as Prometheus sees it, and its type.
type Metric = (String, &'static str);

/// What builds an instrument, the type it has on `/metrics`, and what is added to its name.
const BUILDERS: [(&str, &str, &str); 9] = [
    ("u64_counter(", "counter", "_total"),
    ("f64_counter(", "counter", "_total"),
    ("u64_observable_counter(", "counter", "_total"),
    ("i64_up_down_counter(", "gauge", ""),
    ("u64_gauge(", "gauge", ""),
    ("i64_gauge(", "gauge", ""),
    ("u64_observable_gauge(", "gauge", ""),
    ("f64_histogram(", "histogram", ""),
    ("u64_histogram(", "histogram", ""),
];

#[test]
fn every_metric_is_documented() {
    let (created, documented) = (created(), documented());
    assert!(created.len() > 10, "only {} metrics found in the code", created.len());
    let show = |(name, kind): &Metric, why: &str| format!("{name} ({kind}) {why}");
    let mut breaches: Vec<String> =
        created.difference(&documented).map(|m| show(m, "is not documented like this")).collect();
    breaches.extend(documented.difference(&created).map(|m| show(m, "is in the page only")));
    none("docs/operations.md lists the metrics of the code", &breaches);
}

fn created() -> BTreeSet<Metric> {
    let mut found = BTreeSet::new();
    for file in tree::ending(".rs") {
        // The load test is a client, and tests make instruments of their own.
        if file.path.starts_with("loadtest/")
            || !file.path.contains("/src/")
            || file.path.contains("/tests")
        {
            continue;
        }
        let code = scan::without_comments(&file.text);
        let code = code.split("#[cfg(test)]").next().unwrap_or_default();
        for (call, kind, suffix) in BUILDERS {
            for rest in code.split(&format!(".{call}")).skip(1) {
                let name = rest.trim_start().strip_prefix('"').and_then(|r| r.split('"').next());
                let at = &file.path;
                let name = name.unwrap_or_else(|| panic!("{at}: {call} needs a name in place"));
                found.insert((format!("{name}{suffix}"), kind));
            }
        }
    }
    found
}

fn documented() -> BTreeSet<Metric> {
    let page = tree::read("docs/operations.md");
    let rows = page.lines().filter(|line| line.starts_with("| `harkara_"));
    rows.map(|row| {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let name = cells.next().unwrap_or_default().trim_matches('`').to_owned();
        let kind = cells.next().unwrap_or_default();
        let known = ["counter", "gauge", "histogram"].into_iter().find(|known| *known == kind);
        (name, known.unwrap_or_else(|| panic!("docs/operations.md: no such type: {row}")))
    })
    .collect()
}
