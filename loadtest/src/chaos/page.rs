//! The report as one page that fetches nothing: what happened when, above what clients noticed, on
//! one axis of time; what each fault cost; the invariants. Drawn here, because faults are bars and
//! no curves.

use std::{collections::BTreeMap, fmt::Write as _};

use super::report::{Fault, Told};
use crate::page::{STYLE, escaped};

/// The picture's size and its margins, in units that browsers scale.
const WIDTH: f64 = 1000.0;
const LEFT: f64 = 130.0;
const ROW: f64 = 16.0;
const CURVE: f64 = 150.0;
const GAP: f64 = 34.0;

/// Seconds between two marks of the axis, one of these.
const STEPS: [f64; 6] = [10.0, 30.0, 60.0, 120.0, 300.0, 600.0];
const MARKS: f64 = 12.0;

/// Told apart by readers with any color vision (after Okabe and Ito).
const BLUE: &str = "#0072b2";
const RED: &str = "#d55e00";
const GREEN: &str = "#009e73";
const GREY: &str = "#888";

/// The page.
pub(super) fn html(told: &Told) -> String {
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">",
    );
    let title = format!("Harkara, broken on purpose: {}, seed {}", told.plan, told.seed);
    // Writing to a string can't fail, here and below.
    let _ = write!(page, "<title>{}</title><style>{STYLE}</style></head><body>", escaped(&title));
    let _ = write!(page, "<h1>{}</h1>\n<p>{}</p>", escaped(&title), escaped(&told.about));
    let _ = writeln!(page, "<pre>{}</pre>", escaped(&told.again));
    verdict(&mut page, told);
    let _ = writeln!(page, "<figure>{}</figure>", Picture::new(told).svg(told));
    counts(&mut page, told);
    invariants(&mut page, told);
    faults(&mut page, told);
    page.push_str("</body></html>\n");
    page
}

fn verdict(page: &mut String, told: &Told) {
    let counts = &told.counts;
    let (class, word) = if told.is_clean() { ("holds", "held") } else { ("missed", "BREACHED") };
    let _ = writeln!(
        page,
        "<p class=\"{class}\">{word}: {} sends accepted under {} faults, {} breaches, {} other \
         troubles</p>",
        counts.accepted,
        counts.faults,
        counts.breaches,
        told.troubles.len()
    );
    if !told.troubles.is_empty() {
        page.push_str("<ul>");
        told.troubles.iter().for_each(|it| item(page, "li", it));
        page.push_str("</ul>\n");
    }
}

fn item(page: &mut String, tag: &str, text: &str) {
    let _ = write!(page, "<{tag}>{}</{tag}>", escaped(text));
}

fn table(page: &mut String, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let cells = |page: &mut String, tag: &str, cells: &mut dyn Iterator<Item = &str>| {
        page.push_str("<tr>");
        cells.for_each(|cell| item(page, tag, cell));
        page.push_str("</tr>\n");
    };
    page.push_str("<table><thead>");
    cells(page, "th", &mut head.iter().copied());
    page.push_str("</thead><tbody>\n");
    rows.for_each(|row| cells(page, "td", &mut row.iter().map(String::as_str)));
    page.push_str("</tbody></table>\n");
}

fn counts(page: &mut String, told: &Told) {
    page.push_str("<h2>Counts</h2>\n");
    let counts = &told.counts;
    let errors = counts.errors.iter().map(|(code, count)| (format!("errors: {code}"), *count));
    let rows = [
        ("sends", counts.sends),
        ("accepted", counts.accepted),
        ("with an outcome", counts.outcomes),
        ("deliveries", counts.deliveries),
        ("sessions", counts.sessions),
        ("reconnects", counts.reconnects),
        ("requests repeated", counts.repeated_requests),
    ];
    let rows = rows.map(|(name, count)| (name.to_owned(), count)).into_iter().chain(errors);
    table(page, &["", "count"], rows.map(|(name, count)| vec![name, count.to_string()]));
}

fn invariants(page: &mut String, told: &Told) {
    page.push_str("<h2>Invariants</h2>\n");
    let rows = told.verdicts.iter().map(|it| {
        let name = format!("{} {}", it.rule, it.says);
        vec![name, format!("{} {}", it.checked, it.unit), it.breaches.to_string()]
    });
    table(page, &["invariant", "checked on", "breaches"], rows);
    for verdict in told.verdicts.iter().filter(|verdict| verdict.breaches > 0) {
        let _ = write!(page, "<p class=\"missed\">{}</p><ul>", escaped(verdict.rule));
        verdict.evidence.iter().for_each(|it| item(page, "li", it));
        page.push_str("</ul>\n");
    }
}

fn faults(page: &mut String, told: &Told) {
    page.push_str("<h2>What each fault cost</h2>\n");
    page.push_str(
        "<p>Silence: the longest time since the fault began in which somebody who listens got \
         nothing. Faults that overlap share what they cost.</p>\n",
    );
    let rows = told.faults.iter().map(|fault| {
        let errors = fault.errors.iter().map(|(code, count)| format!("{count} {code}"));
        vec![
            format!("{} {}", fault.kind.name(), fault.target),
            fault.began.map_or("left out".to_owned(), |it| format!("{it:.1} s")),
            fault.began.map_or(String::new(), |it| format!("{:.1} s", fault.recovered - it)),
            format!("{:.1} s", fault.silent_seconds),
            fault.reconnects.to_string(),
            errors.collect::<Vec<_>>().join(", "),
        ]
    });
    let head = ["fault", "at", "recovered after", "silence", "reconnects", "errors"];
    table(page, &head, rows);
}

/// Where things are drawn.
struct Picture<'a> {
    seconds: f64,
    rows: BTreeMap<&'a str, f64>,
    height: f64,
}

impl<'a> Picture<'a> {
    fn new(told: &'a Told) -> Self {
        let last = told.seconds_seen.last().map_or(1.0, |second| second.at);
        let targets = told.faults.iter().map(|fault| (fault.target.as_str(), 0.0));
        let mut rows: BTreeMap<&str, f64> = targets.collect();
        let mut y = 8.0;
        for row in rows.values_mut() {
            *row = y;
            y += ROW;
        }
        Self { seconds: last.max(told.seconds).max(1.0), rows, height: y }
    }

    fn x(&self, at: f64) -> f64 {
        LEFT + at / self.seconds * (WIDTH - LEFT - 10.0)
    }

    fn svg(&self, told: &Told) -> String {
        let curves = [
            ("accepted/s", BLUE, curve(told, |it| Some(it.accepted_per_second))),
            ("deliveries/s", GREEN, curve(told, |it| Some(it.deliveries_per_second))),
            ("p99, ms", RED, curve(told, |it| it.p99_ms)),
        ];
        let mut svg = String::new();
        let mut y = self.height + GAP / 2.0;
        self.axis(&mut svg, y + 3.0 * (CURVE + GAP));
        told.faults.iter().for_each(|fault| self.fault(&mut svg, fault, y));
        for (target, row) in &self.rows {
            text(&mut svg, LEFT - 6.0, row + 11.0, "end", target);
        }
        for (name, color, points) in curves {
            self.curve(&mut svg, y, name, color, &points);
            y += CURVE + GAP;
        }
        let height = y + 20.0;
        format!(
            "<svg viewBox=\"0 0 {WIDTH:.0} {height:.0}\" font-family=\"sans-serif\" \
             font-size=\"11\">{svg}</svg>"
        )
    }

    fn axis(&self, svg: &mut String, bottom: f64) {
        let step = STEPS.into_iter().find(|step| self.seconds / step <= MARKS).unwrap_or(3600.0);
        let mut at = 0.0;
        while at <= self.seconds {
            let x = self.x(at);
            let _ = write!(
                svg,
                "<line x1=\"{x:.1}\" y1=\"0\" x2=\"{x:.1}\" y2=\"{bottom:.0}\" stroke=\"#eee\"/>"
            );
            text(svg, x, bottom + 12.0, "middle", &format!("{at:.0} s"));
            at += step;
        }
    }

    /// A bar in the row of what was hit, and a faint one behind the curves.
    fn fault(&self, svg: &mut String, fault: &Fault, below: f64) {
        let (Some(began), Some(row)) = (fault.began, self.rows.get(fault.target.as_str())) else {
            return;
        };
        let x = self.x(began);
        let width = (self.x(fault.recovered) - x).max(1.5);
        let hit = (fault.for_seconds / self.seconds * (WIDTH - LEFT)).clamp(1.5, width);
        let said = format!(
            "{} {} at {began:.1} s, recovered at {:.1} s, silence {:.1} s",
            fault.kind.name(),
            fault.target,
            fault.recovered,
            fault.silent_seconds
        );
        let bottom = 3.0 * (CURVE + GAP) - GAP;
        let _ = write!(
            svg,
            "<g><title>{}</title><rect x=\"{x:.1}\" y=\"{row:.0}\" width=\"{width:.1}\" \
             height=\"12\" fill=\"#f3c9a9\"/><rect x=\"{x:.1}\" y=\"{row:.0}\" \
             width=\"{hit:.1}\" height=\"12\" fill=\"{RED}\"/><rect x=\"{x:.1}\" \
             y=\"{below:.0}\" width=\"{width:.1}\" height=\"{bottom:.0}\" fill=\"{RED}\" \
             opacity=\"0.06\"/></g>",
            escaped(&said)
        );
        text(svg, x + 2.0, row + 10.0, "start", fault.kind.name());
    }

    fn curve(&self, svg: &mut String, y: f64, name: &str, color: &str, points: &[(f64, f64)]) {
        let most = points.iter().map(|(_, value)| *value).fold(1.0, f64::max);
        let bottom = y + CURVE;
        let _ = write!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{bottom:.0}\" x2=\"{WIDTH}\" y2=\"{bottom:.0}\" \
             stroke=\"{GREY}\"/>"
        );
        text(svg, LEFT - 6.0, y + 10.0, "end", &format!("{name}: {most:.0}"));
        text(svg, LEFT - 6.0, bottom, "end", "0");
        let place = |(at, value): &(f64, f64)| {
            format!("{:.1},{:.1}", self.x(*at), bottom - value / most * CURVE)
        };
        let points: Vec<String> = points.iter().map(place).collect();
        let points = points.join(" ");
        let _ = write!(svg, "<polyline fill=\"none\" stroke=\"{color}\" points=\"{points}\"/>");
    }
}

fn curve(told: &Told, of: impl Fn(&super::report::Second) -> Option<f64>) -> Vec<(f64, f64)> {
    told.seconds_seen.iter().filter_map(|second| Some((second.at, of(second)?))).collect()
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let text = escaped(text);
    let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chaos::{
            fault::Kind,
            report::{Calm, Counts, Second},
        },
        check::Verdict,
        wire::metrics::Quantiles,
    };

    fn told(evil: &str) -> Told {
        let second = |at: f64| Second {
            at,
            accepted_per_second: 5.0,
            deliveries_per_second: at,
            p50_ms: None,
            p99_ms: (at < 5.0).then_some(at),
            memory_mib: BTreeMap::new(),
        };
        let mut verdict = Verdict::new("I1", "nothing is lost", "requests");
        verdict.breach(|| evil.to_owned());
        Told {
            plan: evil.to_owned(),
            about: evil.to_owned(),
            seed: 7,
            again: evil.to_owned(),
            seconds: 20.0,
            counts: Counts { breaches: 1, accepted: 9, ..Counts::default() },
            send_to_event: Quantiles { p50_ms: 1.0, p99_ms: 1.0, max_ms: 1.0 },
            faults: vec![Fault {
                kind: Kind::Freeze,
                target: evil.to_owned(),
                for_seconds: 2.0,
                began: Some(3.0),
                recovered: 500.0,
                silent_seconds: 4.5,
                errors: BTreeMap::from([(evil.to_owned(), 2)]),
                reconnects: 1,
            }],
            calm: Calm {
                at_head_after_seconds: None,
                latency_back_after_seconds: None,
                p99_before_ms: 1.0,
            },
            seconds_seen: (0..20).map(|at| second(f64::from(at))).collect(),
            verdicts: vec![verdict],
            troubles: vec![evil.to_owned()],
        }
    }

    #[test]
    fn nothing_that_was_seen_becomes_markup_and_a_breach_is_red() {
        let page = html(&told("</td><script src=\"https://a.example\">&'"));
        assert!(!page.contains("<script") && !page.contains("src=\""), "{page}");
        assert!(page.contains("class=\"missed\">BREACHED: 9 sends accepted"));
        assert!(page.contains("4.5 s") && page.contains("<polyline") && page.contains("freeze"));
    }

    #[test]
    fn a_run_without_a_breach_but_with_trouble_is_not_clean() {
        let mut told = told("x");
        told.counts.breaches = 0;
        assert!(!told.is_clean());
        told.troubles.clear();
        assert!(told.is_clean() && html(&told).contains("class=\"holds\">held"));
        told.counts.accepted = 0;
        assert!(!told.is_clean(), "nothing was shown");
    }
}
