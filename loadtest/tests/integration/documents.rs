//! What the documents show of figures is what the recorded figures give: the commands in them are
//! run, and the generated parts compared.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Parser as _;
use harkara_loadtest::{
    capacity,
    report::{Report, docs},
};

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page(name: &str) -> String {
    fs::read_to_string(top().join("docs").join(name)).expect("a document")
}

/// The command as one line of words, without the program.
fn command(page: &str) -> Vec<String> {
    let (_, rest) = page.split_once("<!-- capacity: command -->\n```sh\n").expect("a command");
    let (code, _) = rest.split_once("```").expect("its end");
    let code = code.replace("\\\n", " ");
    let words = code.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words[0], "harkara-loadtest");
    words[1..].to_vec()
}

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    args: capacity::Args,
}

#[test]
fn the_capacity_table_is_what_its_command_gives() {
    let page = page("capacity.md");
    let args = Line::try_parse_from(command(&page)).expect("flags that exist").args;
    let report = Report::read(&top().join(&args.figures)).expect("recorded figures");
    let generated = capacity::generated(&args, &report).expect("nothing is missing");
    let again = docs::replaced(&page, capacity::MARKS, &generated).expect("a place for it");
    assert_eq!(page, again, "run the command that docs/capacity.md shows");
}

#[test]
fn the_table_of_figures_is_what_is_recorded() {
    let page = page("performance.md");
    let report = docs::recorded(&top().join("docs/performance.md")).expect("recorded figures");
    assert!(!report.entries.is_empty());
    let generated = docs::generated(&report, "performance");
    let again = docs::replaced(&page, [docs::BEGIN, docs::END], &generated).expect("a place");
    assert_eq!(
        page, again,
        "harkara-loadtest report --from docs/performance/figures.json --docs docs/performance.md"
    );
}

#[test]
fn every_flag_of_the_model_stands_in_its_document() {
    use clap::CommandFactory as _;
    let page = page("capacity.md");
    for flag in Line::command().get_arguments().filter_map(clap::Arg::get_long) {
        let ours = ["figures", "users", "docs", "help", "version"].contains(&flag);
        assert!(ours || page.contains(&format!("\n| `--{flag}` |")), "--{flag}");
    }
}
