//! The generated part of a document: a table of the figures with a target, a section for each
//! measurement with its command, all its figures and what limits them, and its plots, which lie
//! as files in a folder that has the document's name.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};

use super::{Entry, Report, cells};
use crate::{
    figures::{Figure, short},
    page::plot,
};

/// What stands around the generated part.
pub const BEGIN: &str = "<!-- figures: begin -->";
/// See [`BEGIN`].
pub const END: &str = "<!-- figures: end -->";

/// The file with the figures of a document, in the folder of its name.
const RECORDED: &str = "figures.json";

/// Reads what a document shows now; nothing if it shows nothing.
///
/// # Errors
/// When its figures can't be read.
pub fn recorded(path: &Path) -> anyhow::Result<Report> {
    let file = path.with_extension("").join(RECORDED);
    if file.exists() { Report::read(&file) } else { Ok(Report::default()) }
}

/// Makes a document's generated part, its plots and its figures' file anew.
///
/// # Errors
/// When something can't be read or written, or the document has no such part.
pub fn write(path: &Path, report: &Report) -> anyhow::Result<()> {
    let page =
        fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
    let folder = path.with_extension("");
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let page = replaced(&page, [BEGIN, END], &generated(report, &name))
        .with_context(|| format!("in {}", path.display()))?;
    let write = |path: PathBuf, text: &str| {
        fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))
    };
    fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    forget(&folder)?;
    for entry in &report.entries {
        for (number, plot) in entry.measured.plots.iter().enumerate() {
            write(folder.join(picture(entry, number)), &plot::svg(plot)?)?;
        }
    }
    write(folder.join(RECORDED), &report.compact()?)?;
    write(path.to_owned(), &page)
}

/// Removes the plots of an earlier time, which may have been more. Flame graphs are no plots of ours.
fn forget(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".svg") && !name.starts_with("flame-") {
            fs::remove_file(&path).with_context(|| format!("can't remove {}", path.display()))?;
        }
    }
    Ok(())
}

fn picture(entry: &Entry, number: usize) -> String {
    let name: String = entry.name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    format!("{name}-{}.svg", number + 1)
}

/// The page with another text between two lines that mark its place.
///
/// # Errors
/// When the page doesn't have both, in this order.
pub fn replaced(page: &str, marks: [&str; 2], text: &str) -> anyhow::Result<String> {
    let place = || {
        let begin = page.find(marks[0])? + marks[0].len();
        let end = begin + page.get(begin..)?.find(marks[1])?;
        Some((page.get(..begin)?, page.get(end..)?))
    };
    let (before, after) =
        place().ok_or_else(|| anyhow!("no {} with {} behind it", marks[0], marks[1]))?;
    Ok(format!("{before}\n{}\n{after}", text.trim_end()))
}

/// The generated part.
#[must_use]
pub fn generated(report: &Report, folder: &str) -> String {
    let mut text = String::from("\n");
    let places = report.places();
    for place in &places {
        let _ = writeln!(text, "{}{}.\n", if places.len() > 1 { "- " } else { "" }, plain(place));
    }
    let with_target = report.targets();
    if !with_target.is_empty() {
        text.push_str("### Targets\n\n");
        targets(&mut text, &with_target);
    }
    for entry in &report.entries {
        section(&mut text, entry, folder);
    }
    text
}

fn section(text: &mut String, entry: &Entry, folder: &str) {
    let measured = &entry.measured;
    let _ =
        writeln!(text, "### {}\n\n```text\n{}\n```\n", plain(&measured.title), measured.command);
    if let Some(why) = &entry.failed {
        let _ = writeln!(text, "**FAILED:** {}\n", plain(why));
    }
    if !measured.figures.is_empty() {
        table(text, &measured.figures);
    }
    for note in &measured.notes {
        let _ = writeln!(text, "- {}", plain(note));
    }
    if !measured.notes.is_empty() {
        text.push('\n');
    }
    for (number, plot) in measured.plots.iter().enumerate() {
        let _ = writeln!(text, "![{}]({folder}/{})\n", plain(&plot.title), picture(entry, number));
    }
}

/// All figures of a measurement.
fn table(text: &mut String, figures: &[Figure]) {
    let has_target = figures.iter().any(|figure| figure.target.is_some());
    let mut head = vec!["What", "Median (least to most)"];
    if has_target {
        head.extend(["Must", ""]);
    }
    let row = |figure: &Figure| {
        let [name, _, _, _, must, _, holds] = cells(figure);
        let mut row = vec![name, spread(figure)];
        if has_target {
            row.extend([must, loud(holds)]);
        }
        row
    };
    text.push_str(&markdown(&head, &figures.iter().map(row).collect::<Vec<_>>()));
}

/// The figures of all measurements that have a target.
fn targets(text: &mut String, figures: &[(&str, &Figure)]) {
    let head = ["What", "Measured by", "Median (least to most)", "Must", "Stretch", ""];
    let row = |(by, figure): &(&str, &Figure)| {
        let [name, _, _, _, must, stretch, holds] = cells(figure);
        vec![name, (*by).to_owned(), spread(figure), must, stretch, loud(holds)]
    };
    text.push_str(&markdown(&head, &figures.iter().map(row).collect::<Vec<_>>()));
}

fn loud(holds: String) -> String {
    if holds == "MISSED" { "**MISSED**".to_owned() } else { holds }
}

/// A table with an empty line behind it.
#[must_use]
pub fn markdown(head: &[impl AsRef<str>], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head.iter().map(|cell| plain(cell.as_ref())).collect());
    let _ = writeln!(text, "|{}", "---|".repeat(head.len()));
    for row in rows {
        text.push_str(&line(row.iter().map(|cell| plain(cell)).collect()));
    }
    text.push('\n');
    text
}

fn spread(figure: &Figure) -> String {
    match figure.spread() {
        Some([least, median, most]) if figure.rounds.len() > 1 => {
            format!("{} ({} to {})", short(median), short(least), short(most))
        }
        Some([_, median, _]) => short(median),
        None => String::new(),
    }
}

/// In one line, and nothing that would end a cell or begin a tag or a link.
fn plain(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace('|', "\\|").replace('<', "&lt;").replace('[', "\\[")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{Axis, Bound, Line, Measured, Plot};

    fn report() -> Report {
        let axis = || Axis { name: "time".to_owned(), unit: "s".to_owned(), logarithmic: false };
        let line = Line { name: "a".to_owned(), points: vec![(0.0, 1.0), (1.0, 2.0)] };
        let plot = Plot { title: "p".to_owned(), x: axis(), y: axis(), lines: vec![line] };
        let figure = Figure::new("a.b", "a|b", "µs", vec![3.0, 1.0, 2.0]);
        let figure = figure.must("R1", Bound::AtMost(1.5), None);
        let measured = Measured {
            title: "some thing".to_owned(),
            command: "harkara-loadtest idle".to_owned(),
            figures: vec![figure],
            plots: vec![plot],
            notes: vec!["two\nlines".to_owned()],
        };
        let name = "some.thing".to_owned();
        Report { entries: vec![Entry { name, measured, ..Entry::default() }] }
    }

    #[test]
    fn the_rest_of_the_document_stays() {
        let page = "# A\n<!-- b -->\nold\n<!-- e -->\nrest\n";
        let new = replaced(page, ["<!-- b -->", "<!-- e -->"], "new\n\n").expect("a place");
        assert_eq!(new, "# A\n<!-- b -->\nnew\n<!-- e -->\nrest\n");
        let again = replaced(&new, ["<!-- b -->", "<!-- e -->"], "new").expect("a place");
        assert_eq!(again, new);
        assert!(replaced("<!-- e --> <!-- b -->", ["<!-- b -->", "<!-- e -->"], "").is_err());
    }

    #[test]
    fn tables_keep_their_columns() {
        let text = generated(&report(), "folder");
        assert!(text.contains("\n| a\\|b, µs | 2.00 (1.00 to 3.00) | R1 ≤ 1.50 | **MISSED** |\n"));
        assert!(text.contains("\n- two lines\n"), "{text}");
        assert!(text.contains("![p](folder/some-thing-1.svg)"), "{text}");
    }

    #[test]
    fn a_document_gets_its_figures_and_pictures() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("performance.md");
        fs::write(&path, format!("before\n{BEGIN}\n{END}\nafter\n")).expect("a page");
        assert!(recorded(&path).expect("nothing yet").entries.is_empty());
        fs::create_dir(dir.path().join("performance")).expect("a folder");
        let old = dir.path().join("performance/old-1.svg");
        fs::write(&old, "").expect("an old picture");
        write(&path, &report()).expect("written");
        let page = fs::read_to_string(&path).expect("a page");
        assert!(page.starts_with("before\n") && page.ends_with("\nafter\n"));
        assert!(page.contains("(performance/some-thing-1.svg)") && !old.exists());
        assert!(dir.path().join("performance/some-thing-1.svg").exists());
        let read = recorded(&path).expect("figures");
        assert_eq!(generated(&read, "performance"), generated(&report(), "performance"));
    }
}
