//! What every source file keeps to.

use super::{none, scan, tree};

const LINES_MAX: usize = 400;

#[test]
fn files_say_what_they_are() {
    let breaches: Vec<String> = tree::ending(".rs")
        .into_iter()
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| file.path)
        .collect();
    none("a file opens with `//!`: what it is, its neighbors, its dangers", &breaches);
}

#[test]
fn files_are_short() {
    let breaches: Vec<String> = tree::ending(".rs")
        .into_iter()
        .map(|file| (file.text.lines().count(), file.path))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, path)| format!("{path} has {lines} lines"))
        .collect();
    none(&format!("a file has at most {LINES_MAX} lines; split it"), &breaches);
}

#[test]
fn files_have_their_names() {
    let breaches: Vec<String> = tree::ending("/mod.rs").into_iter().map(|file| file.path).collect();
    none("`name.rs` stands beside `name/`", &breaches);
}

#[test]
fn nothing_is_switched_off_or_left_open() {
    // Assembled, so that this file does not contain them as code either.
    let banned = ["allow(", "todo!", "unimplemented!", "dbg!", "do_send(", "unbounded_channel("];
    let mut breaches = Vec::new();
    for file in tree::ending(".rs") {
        for (line, text) in scan::code(&file.text).lines().enumerate() {
            for word in banned {
                let attribute = word == "allow(" && !text.contains("#[") && !text.contains("#![");
                if text.contains(word) && !attribute {
                    breaches.push(format!("{}:{}: {word}", file.path, line + 1));
                }
            }
        }
    }
    none("`#[expect(lint, reason = …)]`, finished code, bounded queues", &breaches);
}

#[test]
fn no_place_or_word_of_a_workshop_is_in_it() {
    // In pieces, or this file would break its own rule.
    let words = [
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
        concat!("/tmp/", "wt"),
        concat!("sub", "agent"),
        concat!("hel", "per-"),
    ];
    let mut breaches = Vec::new();
    for file in tree::files() {
        for (line, text) in file.text.lines().enumerate() {
            for word in words.iter().filter(|word| text.contains(**word)) {
                breaches.push(format!("{}:{}: {word}", file.path, line + 1));
            }
        }
    }
    none("the project speaks of itself, not of a machine it was written on", &breaches);
}
