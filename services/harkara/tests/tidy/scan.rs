//! Just enough of Rust's syntax: what is code, what is comment, what is inside quotes.

/// Source text with everything but code blanked out; lines and columns stay where they were.
/// Quotes stay, what is between them does not.
pub fn code(source: &str) -> String {
    split(source, Keep::Code)
}

/// The contents of string literals and everything else of the code, without comments.
pub fn without_comments(source: &str) -> String {
    split(source, Keep::CodeAndStrings)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Code,
    CodeAndStrings,
}

fn split(source: &str, keep: Keep) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let (end, kind) = piece(&chars, at);
        let shown = match kind {
            Kind::Code => true,
            Kind::Comment => false,
            Kind::Quoted => keep == Keep::CodeAndStrings,
        };
        for (i, c) in chars.iter().enumerate().take(end).skip(at) {
            let edge = kind == Kind::Quoted && (i == at || i + 1 == end);
            out.push(if shown || edge || *c == '\n' { *c } else { ' ' });
        }
        at = end;
    }
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Quoted,
}

/// Where the piece that begins at `at` ends, and what it is.
fn piece(chars: &[char], at: usize) -> (usize, Kind) {
    let c = |i: usize| chars.get(at + i).copied().unwrap_or('\0');
    match (c(0), c(1)) {
        ('/', '/') => (find(chars, at, |rest| rest.first() == Some(&'\n')), Kind::Comment),
        ('/', '*') => (block_comment(chars, at), Kind::Comment),
        ('"', _) => (string(chars, at), Kind::Quoted),
        ('r', '"' | '#') if !follows_word(chars, at) => raw_string(chars, at),
        ('\'', '\\') => (find(chars, at + 3, |rest| rest.first() == Some(&'\'')) + 1, Kind::Quoted),
        ('\'', _) if c(2) == '\'' => (at + 3, Kind::Quoted),
        _ => (at + 1, Kind::Code),
    }
}

/// Is this the end of a longer name? A `b` before a raw string belongs to it.
fn follows_word(chars: &[char], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).and_then(|i| chars.get(i)).copied();
    let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    word(before(1)) && (before(1) != Some('b') || word(before(2)))
}

fn find(chars: &[char], from: usize, is: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|i| is(chars.get(*i..).unwrap_or_default())).unwrap_or(chars.len())
}

fn block_comment(chars: &[char], at: usize) -> usize {
    let (mut depth, mut i) = (0, at);
    while i < chars.len() {
        match chars.get(i..i + 2) {
            Some(['/', '*']) => (depth, i) = (depth + 1, i + 2),
            Some(['*', '/']) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i.min(chars.len())
}

fn string(chars: &[char], at: usize) -> usize {
    let mut i = at + 1;
    while let Some(c) = chars.get(i) {
        match c {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

fn raw_string(chars: &[char], at: usize) -> (usize, Kind) {
    let open = find(chars, at + 1, |rest| rest.first() != Some(&'#'));
    if chars.get(open) != Some(&'"') {
        // A raw name such as `r#type`.
        return (at + 1, Kind::Code);
    }
    let mut close = vec!['"'];
    close.resize(open - at, '#');
    (find(chars, open + 1, |rest| rest.starts_with(&close)) + close.len(), Kind::Quoted)
}

#[test]
fn only_code_is_left() {
    let source = concat!(
        "let a = \"{ \\\" }\"; // fn {\n",
        "/* { /* } */ fn */ let b = '{'; let c: &'a str = br#\"{\"}\"#;\n",
        "let r#fn = '\\''; let d = '\\u{7b}';"
    );
    let code = code(source);
    assert_eq!(code.matches(['{', '}']).count(), 0, "{code}");
    assert_eq!(code.matches("let ").count(), 5, "{code}");
    assert_eq!(code.lines().count(), source.lines().count());
    assert!(without_comments(source).contains("\"{ \\\" }\""), "{}", without_comments(source));
}
