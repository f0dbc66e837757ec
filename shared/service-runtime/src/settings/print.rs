//! Settings as TOML that can be read back, each value with its origin. Secrets never appear.

use std::fmt::Write as _;

use figment::value::{Num, Tag, Value};

use super::problem::distance;

/// What is printed for a secret.
const HIDDEN: &str = "<hidden>";

/// Last parts of keys whose values are secret.
const SECRET_KEYS: [&str; 3] = ["secret", "password", "token"];

/// The whole tree: plain keys first, then a section for each table.
pub(super) fn toml(tree: &Value, origin: &dyn Fn(Tag) -> String) -> String {
    let mut out = String::new();
    table(&mut out, "", tree, origin);
    out
}

fn table(out: &mut String, above: &str, value: &Value, origin: &dyn Fn(Tag) -> String) {
    let Some(dict) = value.as_dict() else { return };
    let is_table = |value: &&Value| matches!(value, Value::Dict(..));
    if !above.is_empty() && !dict.values().all(|value| is_table(&value)) {
        let _ = writeln!(out, "\n[{above}]");
    }
    for (name, value) in dict.iter().filter(|(_, value)| !is_table(value)) {
        let from = origin(value.tag());
        // Writing to a String cannot fail.
        let _ = match value {
            Value::Empty(..) => writeln!(out, "# {name} is not set"),
            value => writeln!(out, "{name} = {} # {from}", inline(name, value)),
        };
    }
    for (name, value) in dict.iter().filter(|(_, value)| is_table(value)) {
        let key = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        table(out, &key, value, origin);
    }
}

/// One value on one line.
pub(super) fn inline(key: &str, value: &Value) -> String {
    plain(key.rsplit('.').next().unwrap_or(key), value)
        .map_or_else(|| "\"\"".to_owned(), |value| value.to_string())
}

/// Also near misses: a misspelled key's value is shown in the message about it.
fn is_secret(name: &str) -> bool {
    SECRET_KEYS.iter().any(|secret| distance(secret, name) <= 2)
}

fn plain(name: &str, value: &Value) -> Option<toml::Value> {
    if is_secret(name) && !matches!(value, Value::Empty(..) | Value::Dict(..)) {
        return Some(toml::Value::String(HIDDEN.to_owned()));
    }
    Some(match value {
        Value::String(_, text) => toml::Value::String(text.clone()),
        Value::Char(_, text) => toml::Value::String(text.to_string()),
        Value::Bool(_, flag) => toml::Value::Boolean(*flag),
        Value::Num(_, Num::F32(number)) => toml::Value::Float(f64::from(*number)),
        Value::Num(_, Num::F64(number)) => toml::Value::Float(*number),
        Value::Num(_, number) => {
            let whole = number.to_i128().or_else(|| number.to_u128()?.try_into().ok())?;
            match i64::try_from(whole) {
                Ok(whole) => toml::Value::Integer(whole),
                Err(_) => toml::Value::String(whole.to_string()),
            }
        }
        Value::Empty(..) => return None,
        Value::Dict(_, dict) => toml::Value::Table(
            dict.iter()
                .filter_map(|(name, value)| Some((name.clone(), plain(name, value)?)))
                .collect(),
        ),
        Value::Array(_, items) => {
            toml::Value::Array(items.iter().filter_map(|item| plain(name, item)).collect())
        }
    })
}
