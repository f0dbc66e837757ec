//! What documents and comments name exists: links, files, crates, tests.

use std::{collections::BTreeSet, path::Path};

use super::{none, scan, tree};

#[test]
fn links_lead_somewhere() {
    let pages = tree::ending(".md");
    let mut breaches = Vec::new();
    for page in &pages {
        for target in links(&page.text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = Path::new(&page.path).parent().unwrap_or(Path::new(""));
            let path = if file.is_empty() { page.path.clone() } else { join(folder, file) };
            let there = tree::top().join(&path).exists();
            let anchored = anchor.is_empty()
                || pages.iter().any(|p| p.path == path && anchors(&p.text).contains(anchor));
            if !there || !anchored {
                breaches.push(format!("{}: {target}", page.path));
            }
        }
    }
    none("relative links resolve", &breaches);
}

/// Targets of `[text](target)`, outside of code.
fn links(page: &str) -> Vec<&str> {
    let prose = prose(page);
    let links = prose.into_iter().flat_map(|line| line.split("](").skip(1));
    links.filter_map(|rest| rest.split([')', ' ']).next()).collect()
}

/// The lines outside of fenced code.
fn prose(page: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push(line);
        }
    }
    lines
}

/// Headings as the addresses that a browser jumps to.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = prose(page).into_iter().filter(|line| line.starts_with('#'));
    headings
        .map(|heading| {
            let text = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

fn join(folder: &Path, relative: &str) -> String {
    let mut parts: Vec<&str> = folder.iter().filter_map(|part| part.to_str()).collect();
    for part in relative.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn files_that_are_named_exist() {
    let mut breaches = Vec::new();
    for file in tree::files() {
        let spans: Vec<&str> = match file.path.rsplit('.').next() {
            Some("md") => prose(&file.text).into_iter().flat_map(code_spans).collect(),
            Some("rs") => comments(&file.text).into_iter().flat_map(code_spans).collect(),
            _ => continue,
        };
        for span in spans {
            if let Some(path) = path_of(span)
                && !tree::top().join(path).exists()
            {
                breaches.push(format!("{}: `{span}`", file.path));
            }
        }
    }
    none("a file or folder that is named exists", &breaches);
}

fn code_spans(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

fn comments(source: &str) -> Vec<&str> {
    source.lines().map(str::trim_start).filter(|line| line.starts_with("//")).collect()
}

/// The path that a code span names, up to a pattern or placeholder.
fn path_of(span: &str) -> Option<&str> {
    let folders = ["services/", "shared/", "loadtest/", "docs/", ".ci/", "deploy/", "helm/"];
    let path = span.split([' ', '*', '{']).next().unwrap_or_default();
    let placeholder = path.contains("NAME") || path.contains('…');
    (folders.iter().any(|folder| path.starts_with(folder)) && !placeholder).then_some(path)
}

#[test]
fn crates_that_are_named_exist() {
    let packages: BTreeSet<String> = tree::members()
        .iter()
        .map(|member| tree::read(&format!("{member}/Cargo.toml")))
        .filter_map(|m| Some(m.split("\nname = \"").nth(1)?.split('"').next()?.to_owned()))
        .collect();
    // Default names: of data directories, and in certificates of the link.
    let others = ["harkara-data", "harkara-cluster", "harkara-link"];
    let known = |name: &str| packages.contains(name) || others.contains(&name);
    let mut breaches = Vec::new();
    for page in tree::ending(".md") {
        for word in page.text.split(|c: char| !(c.is_ascii_alphanumeric() || "-_:".contains(c))) {
            let (name, path) = word.split_once("::").unwrap_or((word, ""));
            let crate_name = name.replace('_', "-");
            let is_crate = name.starts_with("harkara-") || !path.is_empty();
            if is_crate && name.starts_with("harkara") && !known(&crate_name) {
                breaches.push(format!("{}: {word}", page.path));
            }
        }
    }
    none("a crate that is named exists", &breaches);
}

#[test]
fn the_code_map_is_the_code() {
    let mut breaches = Vec::new();
    let mut mapped = BTreeSet::new();
    for row in rows("## Code map") {
        let [folder, _, files] = row.as_slice() else { panic!("three columns: {row:?}") };
        let folder = folder.trim_matches('`');
        mapped.insert(folder.to_owned());
        for file in code_spans(files) {
            if !tree::top().join(folder).join("src").join(file).exists() {
                breaches.push(format!("{folder}/src/{file} is not there"));
            }
        }
    }
    let missing = tree::members().into_iter().filter(|member| !mapped.contains(member));
    breaches.extend(missing.map(|member| format!("{member} is not in the map")));
    none("the code map of docs/architecture.md is the code", &breaches);
}

#[test]
fn every_soundness_rule_is_enforced_and_tested() {
    let sources = tree::ending(".rs");
    let code: String = sources.iter().map(|file| scan::code(&file.text)).collect();
    let is_function =
        |name: &str| ["(", "<"].iter().any(|open| code.contains(&format!("fn {name}{open}")));
    let rules = rows("## Soundness rules");
    assert!(rules.len() >= 13, "only {} rules found", rules.len());
    let mut breaches = Vec::new();
    for row in rules {
        let [rule, _, _, enforced, tested] = row.as_slice() else {
            panic!("five columns: {row:?}")
        };
        if enforced.is_empty() || tested.is_empty() {
            breaches.push(format!("{rule} does not say where"));
        }
        let functions = code_spans(tested).into_iter().filter(|span| !span.contains('/'));
        breaches.extend(functions.filter(|f| !is_function(f)).map(|f| format!("{rule}: no {f}")));
    }
    none("a soundness rule says where it is enforced and which tests hold it", &breaches);
}

#[test]
fn numbered_rules_exist() {
    let page = tree::read("docs/architecture.md");
    let mut breaches = Vec::new();
    for file in tree::ending(".rs") {
        for comment in comments(&file.text) {
            for word in comment.split(|c: char| !c.is_ascii_alphanumeric()) {
                let number = word.strip_prefix(['D', 'I', 'S']).unwrap_or_default();
                let is_rule = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
                if is_rule && !page.contains(&format!("\n| {word} | ")) {
                    breaches.push(format!("{}: {word}", file.path));
                }
            }
        }
    }
    none("principles, invariants and rules by number stand in docs/architecture.md", &breaches);
}

/// The cells of the table in a section of `docs/architecture.md`, without its head.
fn rows(section: &str) -> Vec<Vec<String>> {
    let page = tree::read("docs/architecture.md");
    let text = page.split(section).nth(1).unwrap_or_else(|| panic!("there is no {section}"));
    let text = text.split("\n## ").next().unwrap_or_default();
    let lines = text.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = |line: &str| {
        let inner = line.trim_matches('|');
        inner.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    lines.map(cells).collect()
}

#[test]
fn every_decision_is_in_the_index() {
    let index = tree::read("docs/adr/README.md");
    let mut breaches = Vec::new();
    for file in tree::ending(".md") {
        let Some(name) = file.path.strip_prefix("docs/adr/").filter(|name| *name != "README.md")
        else {
            continue;
        };
        let title = file.text.lines().next().unwrap_or_default();
        let number = name.split('-').next().unwrap_or_default();
        let title = title.strip_prefix(&format!("# {number}: ")).unwrap_or("(another number)");
        for part in ["Context", "Decision", "Consequences"] {
            let forms = [format!("\n**{part}.**"), format!("\n## {part}\n")];
            if !forms.iter().any(|form| file.text.contains(form)) {
                breaches.push(format!("{name} has no {part}"));
            }
        }
        if !index.contains(&format!("| [{number}]({name}) | {title} |")) {
            breaches.push(format!("{name} is not in docs/adr/README.md as: {title}"));
        }
    }
    none("every decision has its three parts and stands in the index", &breaches);
}
