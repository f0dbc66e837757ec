//! Every dependency says why it is there, and is used.

use std::collections::BTreeSet;

use super::{none, scan, tree};

#[test]
fn every_dependency_says_why() {
    let breaches: Vec<String> = workspace_dependencies()
        .into_iter()
        .filter(|line| !line.contains("path = ") && !line.contains(" # "))
        .collect();
    none("a dependency of the workspace ends with a comment: what it is for", &breaches);
}

#[test]
fn every_crate_says_what_it_is() {
    let mut breaches = tree::members();
    breaches.retain(|m| !tree::read(&format!("{m}/Cargo.toml")).contains("\ndescription = \""));
    none("a crate's manifest has a description", &breaches);
}

#[test]
fn every_dependency_of_the_workspace_is_somebodys() {
    let mut used = BTreeSet::new();
    for member in tree::members() {
        used.extend(dependencies(&member).into_iter().map(|dependency| dependency.name));
    }
    let breaches: Vec<String> = workspace_dependencies()
        .iter()
        .map(|line| name(line))
        .filter(|name| !used.contains(name))
        .collect();
    none("a dependency of the workspace is one of a crate", &breaches);
}

#[test]
fn every_dependency_is_used() {
    let sources = tree::ending(".rs");
    let mut breaches = Vec::new();
    for member in tree::members() {
        let code_in = |folders: &[&str]| -> String {
            let starts: Vec<String> = folders.iter().map(|f| format!("{member}/{f}")).collect();
            let of =
                sources.iter().filter(|f| starts.iter().any(|start| f.path.starts_with(start)));
            of.map(|file| scan::code(&file.text)).collect()
        };
        let (code, tests) =
            (code_in(&["src/", "build.rs"]), code_in(&["src/", "tests/", "examples/"]));
        let mut names = BTreeSet::new();
        for Dependency { name, for_tests, comment } in dependencies(&member) {
            let used = mentions(if for_tests { &tests } else { &code }, &name.replace('-', "_"));
            // Some are there for a feature of theirs; then the manifest says so.
            if !used && !comment {
                breaches.push(format!("{member} does not use {name}"));
            }
            if !names.insert(name.clone()) {
                breaches.push(format!("{member} names {name} twice"));
            }
        }
    }
    none("a crate uses what it depends on, or its manifest says why not", &breaches);
}

/// Does this name stand in the code as a word?
fn mentions(code: &str, name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| {
        let before = code.get(..at).unwrap_or_default();
        let after = code.get(at + name.len()..).unwrap_or_default();
        !before.ends_with(word) && !after.starts_with(word)
    })
}

struct Dependency {
    name: String,
    for_tests: bool,
    comment: bool,
}

/// What the manifest of a member lists.
fn dependencies(member: &str) -> Vec<Dependency> {
    let manifest = tree::read(&format!("{member}/Cargo.toml"));
    let mut found = Vec::new();
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]") && line.contains('=') {
            let for_tests = section == "[dev-dependencies]";
            found.push(Dependency { name: name(line), for_tests, comment: line.contains(" # ") });
        }
    }
    assert!(!found.is_empty(), "{member} has no dependencies");
    found
}

fn name(line: &str) -> String {
    line.split(['.', ' ', '=']).next().unwrap_or_default().to_owned()
}

/// Lines of the section, without comments that stand alone.
fn workspace_dependencies() -> Vec<String> {
    let manifest = tree::read("Cargo.toml");
    let section = manifest.split("[workspace.dependencies]\n").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let lines = section.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    assert!(lines.len() > 30, "only {} dependencies found", lines.len());
    lines
}
