//! Everything that was measured as one page of HTML: tables and plots, readable from a file, without
//! script and without anything that would be fetched. The plots are SVG ([`plot`]), which stand
//! as files of their own, too, where documents show them (`report/docs.rs`).

use std::fmt::Write as _;

use crate::{
    figures::{Figure, Measured},
    report::{Entry, Report, cells},
};

pub mod plot;
pub mod scale;

/// How every page of this program looks.
pub(crate) const STYLE: &str = "
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; width: 100%; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #ddd;
  font-variant-numeric: tabular-nums; vertical-align: top;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; }
thead th { border-bottom: 2px solid #888; }
.missed { color: #b00020; font-weight: bold; }
.holds { color: #00692f; }
pre { background: #f5f5f5; padding: .6rem; white-space: pre-wrap; }
svg { max-width: 100%; height: auto; }
h2 { margin-top: 3rem; border-top: 1px solid #ddd; padding-top: 1rem; }
";

/// The page.
///
/// # Errors
/// When a plot can't be drawn.
pub fn html(report: &Report) -> anyhow::Result<String> {
    let mut page =
        String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width\">");
    let _ = write!(page, "<title>Harkara, measured</title><style>{STYLE}</style></head><body>");
    page.push_str("<h1>Harkara, measured</h1>\n");
    report.places().iter().for_each(|place| element(&mut page, "p", place));
    let targets = report.targets();
    if !targets.is_empty() {
        page.push_str("<h2>Targets</h2>\n");
        table(&mut page, &targets);
    }
    for entry in &report.entries {
        section(&mut page, entry)?;
    }
    page.push_str("</body></html>\n");
    Ok(page)
}

fn section(page: &mut String, entry: &Entry) -> anyhow::Result<()> {
    let Measured { title, command, figures, plots, notes } = &entry.measured;
    element(page, "h2", title);
    element(page, "pre", command);
    if let Some(why) = &entry.failed {
        let _ = writeln!(page, "<p class=\"missed\">FAILED: {}</p>", escaped(why));
    }
    if !figures.is_empty() {
        table(page, &figures.iter().map(|figure| ("", figure)).collect::<Vec<_>>());
    }
    if !notes.is_empty() {
        page.push_str("<ul>\n");
        notes.iter().for_each(|note| element(page, "li", note));
        page.push_str("</ul>\n");
    }
    for plot in plots {
        let _ = writeln!(page, "<figure>{}</figure>", plot::svg(plot)?);
    }
    Ok(())
}

/// Figures, each behind the name of its measurement where that is not said above the table.
fn table(page: &mut String, figures: &[(&str, &Figure)]) {
    page.push_str("<table><thead><tr>");
    for name in ["", "median", "least", "most", "must", "stretch", ""] {
        let _ = write!(page, "<th>{name}</th>");
    }
    page.push_str("</tr></thead><tbody>\n");
    for (by, figure) in figures {
        page.push_str("<tr>");
        let mut cells = cells(figure);
        if !by.is_empty() {
            cells[0] = format!("{by}: {}", cells[0]);
        }
        for cell in cells {
            let class = match cell.as_str() {
                "MISSED" => " class=\"missed\"",
                "holds" => " class=\"holds\"",
                _ => "",
            };
            let _ = write!(page, "<td{class}>{}</td>", escaped(&cell));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table>\n");
}

fn element(page: &mut String, tag: &str, text: &str) {
    let _ = writeln!(page, "<{tag}>{}</{tag}>", escaped(text));
}

/// Text as HTML shows it as it is.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{Axis, Bound, Line, Plot};

    #[test]
    fn nothing_measured_becomes_markup_or_is_fetched() {
        let evil = "</td><script src=\"https://a.example\">&'";
        let axis = || Axis { name: evil.to_owned(), unit: String::new(), logarithmic: false };
        let line = Line { name: evil.to_owned(), points: vec![(0.0, 1.0), (1.0, 2.0)] };
        let figure = Figure::new("a.b", evil, evil, vec![2.0]).must(evil, Bound::AtMost(1.0), None);
        let measured = Measured {
            title: evil.to_owned(),
            command: evil.to_owned(),
            figures: vec![figure],
            plots: vec![Plot { title: evil.to_owned(), x: axis(), y: axis(), lines: vec![line] }],
            notes: vec![evil.to_owned()],
        };
        let entry = Entry { measured, failed: Some(evil.to_owned()), ..Entry::default() };
        let page = html(&Report { entries: vec![entry] }).expect("a page");
        assert!(!page.contains("<script") && !page.contains("src=\""), "{page}");
        assert!(page.contains("class=\"missed\">MISSED") && page.contains("FAILED: &lt;/td&gt;"));
        assert_eq!(page.matches("<svg").count(), 1);
    }
}
