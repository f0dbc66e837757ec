//! `report`: one command that measures everything that `docs/performance.md` shows, and writes it down.
//!
//! Each measurement of the [`plan`] gets a fresh server ([`server`]) in a directory that vanishes,
//! and runs as a child, which is this program again in one of its other modes ([`child`]). What
//! comes back is a [`Measured`] in a file; all of them together become JSON, a page
//! ([`crate::page`]), and the generated part of a document ([`docs`]). A measurement that fails is
//! reported as failed, and the rest goes on.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::{
    figures::{Bound, Figure, Measured, short},
    out, page, times,
};

pub mod child;
pub mod docs;
pub mod machine;
pub mod plan;
pub mod server;
mod step;

use plan::{PLAN, Step};

/// Settings of `report`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The server's program, a release build
    #[arg(long, default_value = "target/release/harkara")]
    pub binary: PathBuf,
    /// Only these measurements, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Everything small and short: to see that it works, not to know how fast it is
    #[arg(long)]
    pub quick: bool,
    /// The measurements of a cluster too, which deploy/cluster starts for each of them
    #[arg(long)]
    pub cluster: bool,
    /// Directory with chat logs for the measurements that replay some
    #[arg(long)]
    pub logs: Option<PathBuf>,
    /// Measure nothing: write what such a JSON file holds
    #[arg(long, conflicts_with_all = ["only", "quick", "cluster", "logs"])]
    pub from: Option<PathBuf>,
    /// Where all figures go, as JSON
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Where the page with plots goes
    #[arg(long)]
    pub html: Option<PathBuf>,
    /// The document whose generated part is made anew; figures and plots go into the folder of its
    /// name. With --only the others stay as they were
    #[arg(long)]
    pub docs: Option<PathBuf>,
    /// List the measurements and end
    #[arg(long)]
    pub list: bool,
}

/// Everything that was measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// In the order of the plan.
    pub entries: Vec<Entry>,
}

/// One measurement and where it was taken.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Entry {
    /// Its name in the plan.
    pub name: String,
    /// The day, `2026-11-23`.
    pub date: String,
    /// The machine in words.
    pub machine: String,
    /// How long it took with the server's start, seconds.
    pub seconds: f64,
    /// Whether it was made small.
    pub quick: bool,
    /// Why it failed, if so.
    pub failed: Option<String>,
    /// What came out.
    pub measured: Measured,
}

impl Report {
    /// Where and when it was measured, and how long that took: a sentence for each machine and day.
    #[must_use]
    pub fn places(&self) -> Vec<String> {
        let mut places: Vec<(String, f64)> = Vec::new();
        for entry in &self.entries {
            let small = if entry.quick { ", made small to see that it works" } else { "" };
            let place = format!("{}, {}{small}", entry.machine, entry.date);
            match places.iter_mut().find(|(known, _)| *known == place) {
                Some((_, seconds)) => *seconds += entry.seconds,
                None => places.push((place, entry.seconds)),
            }
        }
        let sentence = |(place, seconds): (String, f64)| match seconds {
            x if x > 0.0 => format!("{place}; took {}", duration(x)),
            _ => place,
        };
        places.into_iter().map(sentence).collect()
    }

    /// The figures that have a target, by its number, each behind the name of its measurement.
    #[must_use]
    pub fn targets(&self) -> Vec<(&str, &Figure)> {
        let all = self.entries.iter().flat_map(|entry| {
            let figures = entry.measured.figures.iter();
            figures.map(|figure| (entry.name.as_str(), figure))
        });
        let mut figures: Vec<_> = all.filter(|(_, figure)| figure.target.is_some()).collect();
        let number = |(_, figure): &(&str, &Figure)| {
            let name = figure.target.as_ref().map_or("", |target| target.name.as_str());
            let digits: String = name.chars().filter(char::is_ascii_digit).collect();
            (digits.parse::<u32>().unwrap_or(u32::MAX), name.to_owned())
        };
        figures.sort_by_key(number);
        figures
    }

    /// Puts these entries in the place of those with the same names.
    pub fn take(&mut self, new: Vec<Entry>) {
        for entry in new {
            match self.entries.iter_mut().find(|old| old.name == entry.name) {
                Some(old) => *old = entry,
                None => self.entries.push(entry),
            }
        }
        let place = |entry: &Entry| PLAN.iter().position(|step| step.name == entry.name);
        self.entries.sort_by_key(|entry| place(entry).unwrap_or(usize::MAX));
    }

    /// As JSON with a line for each entry, points to five digits: small enough to be kept with
    /// the documents, and what did not change stays as it was.
    ///
    /// # Errors
    /// When a figure is no number.
    pub fn compact(&self) -> anyhow::Result<String> {
        let mut entries = self.entries.clone();
        let plots = entries.iter_mut().flat_map(|entry| &mut entry.measured.plots);
        for point in plots.flat_map(|plot| &mut plot.lines).flat_map(|line| &mut line.points) {
            *point = (rounded(point.0), rounded(point.1));
        }
        let lines: Result<Vec<String>, _> = entries.iter().map(serde_json::to_string).collect();
        Ok(format!("{{\"entries\":[\n{}\n]}}\n", lines?.join(",\n")))
    }

    /// Reads one that was written.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(path: &std::path::Path) -> anyhow::Result<Self> {
        let text = fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
        serde_json::from_slice(&text)
            .with_context(|| format!("{} is no JSON file of `report`", path.display()))
    }
}

/// A figure as a row: name, median, least, most, must, stretch, verdict.
#[must_use]
pub fn cells(figure: &Figure) -> [String; 7] {
    let name = figure.label();
    let spread = figure.spread();
    let [least, median, most] = [0, 1, 2].map(|i| spread.map_or_else(String::new, |s| short(s[i])));
    let bound = |bound: Bound| match bound {
        Bound::AtMost(bound) => format!("≤ {}", short(bound)),
        Bound::AtLeast(bound) => format!("≥ {}", short(bound)),
    };
    let target = figure.target.as_ref();
    let must = target.map_or_else(String::new, |it| format!("{} {}", it.name, bound(it.must)));
    let stretch = target.and_then(|it| it.stretch).map_or_else(String::new, bound);
    let holds = figure.holds().map_or("", |holds| if holds { "holds" } else { "MISSED" });
    [name, median, least, most, must, stretch, holds.to_owned()]
}

/// To five significant digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.4e}").parse().unwrap_or(value)
}

/// `45 s`, `12 min`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    if seconds < 120.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) }
}

/// Runs it. True if every measurement came to its end.
///
/// # Errors
/// When there is no such measurement or program, or nothing can be written.
pub fn run(args: &Args) -> anyhow::Result<bool> {
    if args.list {
        PLAN.iter().for_each(|step| out::line(format!("{:<22}{}", step.name, step.command(false))));
        return Ok(true);
    }
    let report = match &args.from {
        Some(path) => Report::read(path)?,
        None => measure(args)?,
    };
    write(args, &report)?;
    let failed: Vec<&str> = (report.entries.iter().filter(|entry| entry.failed.is_some()))
        .map(|entry| entry.name.as_str())
        .collect();
    if !failed.is_empty() {
        out::line(format!("failed: {}", failed.join(", ")));
    }
    Ok(failed.is_empty())
}

/// The steps that were asked for.
fn steps(args: &Args) -> anyhow::Result<Vec<&'static Step>> {
    if let Some(name) = args.only.iter().find(|name| PLAN.iter().all(|it| it.name != **name)) {
        bail!("there is no measurement {name}: --list names all");
    }
    let is_asked_for = |step: &&Step| match args.only.as_slice() {
        [] => args.cluster || !step.needs_cluster(),
        only => only.iter().any(|name| name == step.name),
    };
    Ok(PLAN.iter().filter(is_asked_for).collect())
}

fn measure(args: &Args) -> anyhow::Result<Report> {
    let steps = steps(args)?;
    let binary = args.binary.canonicalize().with_context(|| {
        let binary = args.binary.display();
        format!("there is no {binary}: cargo build --release -p harkara, or name it with --binary")
    })?;
    let machine = machine::in_words();
    let start = times::now();
    let mut entries = Vec::new();
    for (number, step) in (1..).zip(&steps) {
        if step.needs_logs() && args.logs.is_none() {
            out::line(format!("{}: left out, --logs names no directory with chat logs", step.name));
            continue;
        }
        let done = duration(start.elapsed().as_secs_f64());
        out::line(format!("[{number}/{}, {done}] {}", steps.len(), step.command(args.quick)));
        let mut entry = step::run(step, args, &binary);
        entry.machine.clone_from(&machine);
        match &entry.failed {
            Some(why) => out::line(format!("{} FAILED: {why}", step.name)),
            None => entry.measured.tell(None)?,
        }
        entries.push(entry);
    }
    out::line(format!("measured in {}", duration(start.elapsed().as_secs_f64())));
    Ok(Report { entries })
}

fn write(args: &Args, report: &Report) -> anyhow::Result<()> {
    let put = |path: &PathBuf, text: String| {
        fs::write(path, text).with_context(|| format!("can't write {}", path.display()))
    };
    if let Some(path) = &args.json {
        put(path, serde_json::to_string_pretty(report)?)?;
    }
    if let Some(path) = &args.html {
        put(path, page::html(report)?)?;
    }
    if let Some(path) = &args.docs {
        let mut report = report.clone();
        if !args.only.is_empty() {
            let new = std::mem::replace(&mut report, docs::recorded(path)?);
            report.take(new.entries);
        }
        docs::write(path, &report)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, target: &str) -> Entry {
        let figure = Figure::new(name, name, "µs", vec![1.0]);
        let figure = figure.must(target, Bound::AtMost(2.0), Some(Bound::AtMost(0.5)));
        let measured = Measured { figures: vec![figure], ..Measured::default() };
        let [name, machine] = [name, "two cores"].map(str::to_owned);
        Entry { name, machine, measured, seconds: 90.0, ..Entry::default() }
    }

    #[test]
    fn targets_come_by_their_number() {
        let report = Report { entries: vec![entry("a", "R12"), entry("b", "R2")] };
        let names: Vec<&str> = report.targets().iter().map(|it| it.0).collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!(cells(report.targets()[0].1)[4..], ["R2 ≤ 2.00", "≤ 0.500", "holds"]);
        assert_eq!(report.places(), ["two cores, ; took 3 min"]);
    }

    #[test]
    fn what_was_measured_anew_replaces_only_itself() {
        let mut report = Report { entries: vec![entry("idle", "R1"), entry("by hand", "R2")] };
        report.take(vec![entry("idle", "R3"), entry(PLAN[1].name, "R4")]);
        let targets = |report: &Report| -> Vec<String> {
            report
                .entries
                .iter()
                .map(|entry| cells(&entry.measured.figures[0])[4].clone())
                .collect()
        };
        assert!(targets(&report).iter().all(|must| !must.starts_with("R1 ")));
        let again: Report = serde_json::from_str(&report.compact().expect("JSON")).expect("again");
        assert_eq!((targets(&again), again.entries.len()), (targets(&report), 3));
        assert_eq!((rounded(1_234_567.0), rounded(0.000_123_456)), (1_234_600.0, 0.000_123_46));
        assert_eq!(report.entries.last().map(|it| it.name.as_str()), Some("by hand"));
    }
}
