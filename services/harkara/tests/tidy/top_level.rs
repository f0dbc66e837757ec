//! What somebody sees who opens the repository.

use super::{none, tree};

const MUST: [&str; 8] =
    ["Cargo.lock", "Cargo.toml", "LICENSE", "README.md", "docs", "loadtest", "services", "shared"];

/// For what deploys it.
const MAY: [&str; 2] = ["deploy", "helm"];

#[test]
fn the_top_level_stays_small() {
    let mut names = tree::top_names();
    names.retain(|name| !name.starts_with('.'));
    let missing = MUST.iter().filter(|name| !names.iter().any(|n| n == *name));
    let mut breaches: Vec<String> = missing.map(|name| format!("{name} is missing")).collect();
    let extra = names.iter().filter(|n| !MUST.iter().chain(&MAY).any(|name| n == name));
    breaches.extend(extra.map(|name| format!("{name} does not belong there")));
    none("the visible top level is fixed; settings of tools are dotfiles", &breaches);
}
