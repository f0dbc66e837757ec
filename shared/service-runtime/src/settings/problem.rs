//! What is wrong with a setting, as one sentence: key, value, origin and what would be right.

use figment::{
    Figment,
    error::{Actual, Kind},
    value::Value,
};

use super::{DEFAULT_ORIGIN, origin_of, print};

/// A value that a component cannot work with, though its form is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The dotted key.
    pub key: String,
    /// What would be right, to follow a colon: `must be below gateway.outbound_hard_bytes`.
    pub right: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.key, self.right)
    }
}

impl Problem {
    /// A problem with a key.
    #[must_use]
    pub fn new(key: impl Into<String>, right: impl Into<String>) -> Self {
        Self { key: key.into(), right: right.into() }
    }
}

/// Settings that the process must not start with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join("\n"))]
pub struct SettingsError {
    /// One sentence each.
    pub problems: Vec<String>,
}

impl SettingsError {
    pub(super) fn one(error: &figment::Error) -> Self {
        Self { problems: vec![error.to_string()] }
    }
}

/// `key = value (origin): right`, with the value left out where there is none.
pub(super) fn sentence(key: &str, value: Option<&Value>, origin: &str, right: &str) -> String {
    match value.filter(|value| !matches!(value, Value::Empty(..))) {
        Some(value) => format!("{key} = {} ({origin}): {right}", print::inline(key, value)),
        None if origin == DEFAULT_ORIGIN => format!("{key} (not set): {right}"),
        None => format!("{key} ({origin}): {right}"),
    }
}

/// A sentence for each key in `given` that `known` does not have. Looks into tables only: the
/// tables inside arrays are checked by their own types.
pub(super) fn unknown_keys(figment: &Figment, known: &Value, given: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(figment, known, given, "", &mut found);
    found
}

fn walk(figment: &Figment, known: &Value, given: &Value, above: &str, found: &mut Vec<String>) {
    let (Some(known), Some(given)) = (known.as_dict(), given.as_dict()) else { return };
    for (name, value) in given {
        let key = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        match known.get(name) {
            Some(known) => walk(figment, known, value, &key, found),
            None => {
                let right = format!("unknown key, {}", suggestion(name, known.keys(), above));
                found.push(sentence(&key, Some(value), &deep_origin(figment, value), &right));
            }
        }
    }
}

/// The origin of a value, or of the first leaf of a table.
fn deep_origin(figment: &Figment, value: &Value) -> String {
    match value.as_dict().and_then(|dict| dict.values().next()) {
        Some(first) => deep_origin(figment, first),
        None => origin_of(figment, value.tag()),
    }
}

fn suggestion<'a>(name: &str, known: impl Iterator<Item = &'a String>, above: &str) -> String {
    let mut near: Vec<_> = known.map(|key| (distance(name, key), key.as_str())).collect();
    near.sort_unstable();
    match near.first() {
        Some((distance, key)) if *distance <= 2 + name.len() / 4 => {
            let dot = if above.is_empty() { "" } else { "." };
            format!("did you mean {above}{dot}{key}?")
        }
        _ => {
            let mut keys: Vec<_> = near.iter().map(|(_, key)| *key).collect();
            keys.sort_unstable();
            format!("expected one of {}", keys.join(", "))
        }
    }
}

/// Levenshtein's distance in bytes.
pub(super) fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(usize::MAX);
            let here = (diagonal + usize::from(x != y)).min(left + 1).min(above + 1);
            if let Some(cell) = row.get_mut(j) {
                *cell = left;
            }
            (diagonal, left) = (above, here);
        }
        if let Some(cell) = row.last_mut() {
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(a.len())
}

/// An error of form, in our words.
pub(super) fn bad_value(tree: &Value, error: figment::Error) -> SettingsError {
    let key = error.path.join(".");
    let origin = error.metadata.as_ref().map_or(DEFAULT_ORIGIN, |metadata| &metadata.name);
    let right = match &error.kind {
        Kind::InvalidType(_, expected) => format!("expected {}", plain(expected)),
        Kind::InvalidValue(Actual::Signed(_), expected) if expected.starts_with(['u', 'i']) => {
            format!("expected {}", plain(expected))
        }
        Kind::InvalidValue(_, expected) | Kind::InvalidLength(_, expected) => {
            format!("expected {}", plain(expected))
        }
        Kind::UnknownVariant(_, allowed) => format!("expected one of {}", allowed.join(", ")),
        Kind::UnknownField(_, allowed) => {
            format!("unknown key, expected one of {}", allowed.join(", "))
        }
        Kind::MissingField(name) => format!("the key {name} is missing"),
        Kind::ISizeOutOfRange(_) | Kind::USizeOutOfRange(_) => {
            "expected a smaller number".to_owned()
        }
        other => other.to_string(),
    };
    let value = descend(tree, &key);
    SettingsError { problems: vec![sentence(&key, value, origin, &right)] }
}

/// The value of a dotted key, through arrays as well.
pub(super) fn descend<'a>(tree: &'a Value, key: &str) -> Option<&'a Value> {
    key.split('.').try_fold(tree, |value, name| match value {
        Value::Dict(_, dict) => dict.get(name),
        Value::Array(_, items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Names of Rust types as a person would say them.
fn plain(expected: &str) -> String {
    match expected {
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" | "path string" => "text".to_owned(),
        "a sequence" => "a list".to_owned(),
        other if other.starts_with("struct ") => "a table of keys".to_owned(),
        other => other.to_owned(),
    }
}
