//! No function is longer than a screen and a half.

use super::{none, scan, tree};

const LINES_MAX: usize = 70;

#[test]
fn functions_are_short() {
    let mut breaches = Vec::new();
    for file in tree::ending(".rs") {
        for Function { name, line, lines } in functions(&scan::code(&file.text)) {
            if lines > LINES_MAX {
                breaches.push(format!("{}:{line}: `{name}` has {lines} lines", file.path));
            }
        }
    }
    none(&format!("a function has at most {LINES_MAX} lines; split it"), &breaches);
}

struct Function {
    name: String,
    /// Where it begins, from 1.
    line: usize,
    lines: usize,
}

/// Functions with a body, nested ones included.
fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let before = code.get(..at).unwrap_or_default();
        if before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '#') {
            continue;
        }
        let rest = code.get(at..).unwrap_or_default();
        let Some(body) = body(rest) else { continue };
        let name = rest.get(3..).unwrap_or_default();
        let name = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let line = before.matches('\n').count() + 1;
        found.push(Function { name, line, lines: body.matches('\n').count() + 1 });
    }
    found
}

/// From `fn` to the brace that closes its body; none where there is no body.
fn body(from_fn: &str) -> Option<&str> {
    let mut braces = 0;
    let mut nested = 0;
    for (at, c) in from_fn.char_indices() {
        match c {
            '(' | '[' => nested += 1,
            ')' | ']' => nested -= 1,
            '{' => braces += 1,
            '}' => braces -= 1,
            // The end of a declaration, or of a type like `fn (u8)` in a list.
            ';' | ',' | '=' if braces == 0 && nested == 0 => return None,
            _ => {}
        }
        if nested < 0 || braces < 0 {
            return None;
        }
        if c == '}' && braces == 0 {
            return from_fn.get(..=at);
        }
    }
    None
}

#[test]
fn bodies_are_found() {
    let code = "trait A { fn declared(&self) -> [u8; 3]; }\n\
                fn short() {}\nfn long<T: Iterator>(f: fn(u8) -> u8)\nwhere\n{\n if a { b }\n}\n";
    let found: Vec<_> = functions(code).into_iter().map(|f| (f.name, f.line, f.lines)).collect();
    assert_eq!(found, [("short".to_owned(), 2, 1), ("long".to_owned(), 3, 5)]);
}
