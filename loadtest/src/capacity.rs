//! `capacity`: how many machines so many users need, from measured figures and from assumptions
//! that all are flags. The calculation is in [`model`]; where its inputs come from in [`inputs`].
//! `docs/capacity.md` has the formulae, and a table that this makes.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::{
    figures::short,
    out,
    report::{Report, docs},
};

pub mod inputs;
pub mod model;

use inputs::{Input, Measured};
use model::{Assumptions, Need};

/// What stands around the generated part of the document.
pub const MARKS: [&str; 2] = ["<!-- capacity: begin -->", "<!-- capacity: end -->"];

/// Settings of `capacity`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The JSON file of `report`
    #[arg(long)]
    pub figures: PathBuf,
    /// People who use it on a day (again for more columns)
    #[arg(long, required = true)]
    pub users: Vec<f64>,
    /// Instead of measured figures
    #[command(flatten)]
    pub given: inputs::Given,
    /// What nobody can measure for you
    #[command(flatten)]
    pub assumptions: Assumptions,
    /// The document whose generated part is made anew
    #[arg(long)]
    pub docs: Option<PathBuf>,
}

/// Head and rows.
type Table = (Vec<String>, Vec<Vec<String>>);

/// Runs it.
///
/// # Errors
/// When a figure is missing, with the names of all that are, or a file can't be read or written.
pub fn run(args: &Args) -> anyhow::Result<bool> {
    let (inputs, needs) = tables(args, &Report::read(&args.figures)?)?;
    for (head, rows) in [&inputs, &needs] {
        let head: Vec<&str> = head.iter().map(String::as_str).collect();
        out::line(out::table(&head, rows));
    }
    if let Some(path) = &args.docs {
        let in_file = || path.display().to_string();
        let page = std::fs::read_to_string(path).with_context(in_file)?;
        let page = docs::replaced(&page, MARKS, &markdown(&inputs, &needs));
        std::fs::write(path, page.with_context(in_file)?).with_context(in_file)?;
    }
    Ok(true)
}

/// The generated part of the document.
///
/// # Errors
/// When a figure is missing.
pub fn generated(args: &Args, report: &Report) -> anyhow::Result<String> {
    let (inputs, needs) = tables(args, report)?;
    Ok(markdown(&inputs, &needs))
}

fn markdown(inputs: &Table, needs: &Table) -> String {
    let tables = [inputs, needs].map(|(head, rows)| docs::markdown(head, rows));
    format!("\n{}", tables.concat())
}

fn tables(args: &Args, report: &Report) -> anyhow::Result<(Table, Table)> {
    let inputs = inputs::all(&args.given, report)?;
    let measured = Measured::of(&inputs);
    let needs: Vec<Need> =
        args.users.iter().map(|&users| Need::of(users, &measured, &args.assumptions)).collect();
    let head = ["Input", "Value", "From"].map(str::to_owned).to_vec();
    Ok(((head, inputs.iter().map(input).collect()), columns(&needs)))
}

fn input(input: &Input) -> Vec<String> {
    vec![
        input.name.to_owned(),
        format!("{} {}", short(input.value), input.unit),
        input.from.clone(),
    ]
}

/// A row for each thing that is needed, a column for each number of users.
fn columns(needs: &[Need]) -> Table {
    let mut head = vec!["Users on a day".to_owned()];
    head.extend(needs.iter().map(|need| grouped(need.users)));
    let rows = (needs.first().map(Need::rows).unwrap_or_default().into_iter().enumerate())
        .map(|(i, (name, _))| {
            let values = needs.iter().map(|need| need.rows().swap_remove(i).1);
            [name.to_owned()].into_iter().chain(values).collect()
        })
        .collect();
    (head, rows)
}

/// `1,234,567`; three significant digits below ten.
#[must_use]
pub fn grouped(value: f64) -> String {
    if value < 10.0 && value.fract() != 0.0 {
        return short(value);
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let texts = [0.0, 0.25, 5.0, 999.0, 1_000.0, 25_000_000.0].map(grouped);
        assert_eq!(texts, ["0", "0.250", "5", "999", "1,000", "25,000,000"]);
    }
}
