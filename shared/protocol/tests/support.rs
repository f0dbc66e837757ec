//! Golden files and JSON text: reading, comparing, and writing the ones that don't exist yet.

use std::{fs, path::PathBuf};

/// A path below the repository's root.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// A document of the repository.
pub fn document(path: &str) -> String {
    let path = repository(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn fixture(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path)
}

/// The file's text. One that doesn't exist is written when asked for.
pub fn golden(path: &str, expected: impl FnOnce() -> String) -> String {
    let file = fixture(path);
    if !file.exists() && std::env::var_os("HARKARA_WRITE_FIXTURES").is_some() {
        fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
        fs::write(&file, expected()).expect("a new fixture");
    }
    golden_text(path)
}

/// The file's text.
pub fn golden_text(path: &str) -> String {
    let file = fixture(path);
    fs::read_to_string(&file).unwrap_or_else(|e| {
        panic!("{}: {e}; HARKARA_WRITE_FIXTURES=1 writes what is missing", file.display())
    })
}

/// The names of all golden files in a directory, without the ending, in order.
pub fn golden_names(directory: &str, ending: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(fixture(directory))
        .expect("a directory of fixtures")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .map(|name| name.strip_suffix(ending).unwrap_or_else(|| panic!("stray {name}")).to_owned())
        .collect();
    names.sort();
    names
}

/// JSON text without the whitespace between tokens; keys keep their order.
pub fn compact(json: &str) -> String {
    let (mut out, mut in_string, mut escaped) = (String::with_capacity(json.len()), false, false);
    for c in json.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if c == '"' {
            in_string = true;
        } else if c.is_ascii_whitespace() {
            continue;
        }
        out.push(c);
    }
    out
}

/// Compact JSON text over several lines; keys keep their order, small values stay on one line.
pub fn pretty(json: &str) -> String {
    let mut out = String::new();
    lay_out(&mut out, json, 0);
    out.push('\n');
    out
}

fn lay_out(out: &mut String, json: &str, indent: usize) {
    let is_short = indent > 0 && json.chars().count() + indent <= 96;
    let inner = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
    if is_short || !json.starts_with(['{', '[']) || inner.is_empty() {
        out.push_str(json);
        return;
    }
    out.push_str(&json[..1]);
    for (i, member) in members(inner).into_iter().enumerate() {
        out.push_str(if i == 0 { "\n" } else { ",\n" });
        out.push_str(&" ".repeat(indent + 2));
        match split_key(member).filter(|_| json.starts_with('{')) {
            Some((key, value)) => {
                out.push_str(key);
                out.push_str(": ");
                lay_out(out, value, indent + 2);
            }
            None => lay_out(out, member, indent + 2),
        }
    }
    out.push('\n');
    out.push_str(&" ".repeat(indent));
    out.push_str(&json[json.len() - 1..]);
}

/// Cuts the inside of an object or a list at its own commas.
fn members(inner: &str) -> Vec<&str> {
    let (mut found, mut start) = (Vec::new(), 0);
    for (at, c, depth) in outside_strings(inner) {
        if c == ',' && depth == 0 {
            found.push(&inner[start..at]);
            start = at + 1;
        }
    }
    found.push(&inner[start..]);
    found
}

fn split_key(member: &str) -> Option<(&str, &str)> {
    let (at, _, _) = outside_strings(member).into_iter().find(|(_, c, _)| *c == ':')?;
    Some((&member[..at], &member[at + 1..]))
}

fn outside_strings(text: &str) -> Vec<(usize, char, usize)> {
    let (mut found, mut in_string, mut escaped, mut depth) = (Vec::new(), false, false, 0_usize);
    for (at, c) in text.char_indices() {
        match c {
            _ if in_string => {
                in_string = escaped || c != '"';
                escaped = !escaped && c == '\\';
                continue;
            }
            '"' => in_string = true,
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        found.push((at, c, depth));
    }
    found
}

#[test]
fn layout_changes_only_whitespace() {
    let json = format!(r#"{{"a":"x \" , : {{","b":[{{"c":"{}"}},[],{{}},1]}}"#, "y".repeat(99));
    assert_eq!(compact(&pretty(&json)), json);
    assert!(pretty(&json).lines().count() > 5);
}
