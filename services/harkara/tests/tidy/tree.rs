//! The files of the repository, as text. What `.gitignore` names at the top is not of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A file of the repository.
pub struct File {
    /// From the top, with `/` between names.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// The directory that holds the workspace's `Cargo.toml`.
pub fn top() -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    top.canonicalize().expect("the workspace is two directories up")
}

/// One file's text.
pub fn read(path: &str) -> String {
    fs::read_to_string(top().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Names in the top directory that belong to the repository, hidden ones included.
pub fn top_names() -> Vec<String> {
    let ignored = read(".gitignore");
    let ignored: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('/')).collect();
    let mut names = names(&top());
    // `.git` is git's, `.cargo` holds settings of one machine.
    names.retain(|name| !ignored.contains(&name.as_str()) && name != ".git" && name != ".cargo");
    names
}

/// Every file that is text.
pub fn files() -> Vec<File> {
    let mut found = Vec::new();
    for name in top_names() {
        walk(&top().join(&name), &name, &mut found);
    }
    assert!(found.len() > 100, "the walk found only {} files", found.len());
    found
}

/// Every file with this ending.
pub fn ending(end: &str) -> Vec<File> {
    files().into_iter().filter(|file| file.path.ends_with(end)).collect()
}

/// Every member of the workspace, as the folder it is in.
pub fn members() -> Vec<String> {
    let mut members = vec!["loadtest".to_owned()];
    for parent in ["services", "shared"] {
        members.extend(names(&top().join(parent)).iter().map(|name| format!("{parent}/{name}")));
    }
    members
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("a readable entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn walk(at: &Path, path: &str, found: &mut Vec<File>) {
    if at.is_dir() {
        for name in names(at) {
            walk(&at.join(&name), &format!("{path}/{name}"), found);
        }
    } else if let Ok(text) = fs::read_to_string(at) {
        found.push(File { path: path.to_owned(), text });
    }
}
