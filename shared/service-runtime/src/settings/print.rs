//! Settings as TOML that can be read back, each value with its origin. Secrets never appear.

use figment::value::{Num, Tag, Value};

use super::{Leaf, problem::distance};

/// What is printed for a secret.
const HIDDEN: &str = "<hidden>";

/// Last parts of keys whose values are secret.
const SECRET_KEYS: [&str; 3] = ["secret", "password", "token"];

/// A public key as PEM may be shown. Whoever puts a private one or a secret in its place learns that
/// from an error, which must not show it.
fn is_public(pem: &str) -> bool {
    pem.contains("PUBLIC KEY-----") && !pem.contains("PRIVATE KEY-----")
}

/// The whole tree: plain keys first, then a section for each table.
pub(super) fn toml(tree: &Value, origin: &dyn Fn(Tag) -> String) -> String {
    let mut leaves = leaves(tree, origin);
    leaves.sort_by_key(|leaf| split(&leaf.key).0.map(str::to_owned));
    let mut out = String::new();
    let mut open = None;
    for leaf in &leaves {
        let (section, name) = split(&leaf.key);
        if let Some(section) = section.filter(|_| section != open) {
            out.push_str(&format!("\n[{section}]\n"));
            open = Some(section);
        }
        out.push_str(&match &leaf.value {
            Some(value) => format!("{name} = {value} # {}\n", leaf.origin),
            None => format!("# {name} is not set\n"),
        });
    }
    out
}

/// Section and name of a dotted key.
fn split(key: &str) -> (Option<&str>, &str) {
    key.rsplit_once('.').map_or((None, key), |(section, name)| (Some(section), name))
}

/// Every value that is no table, by its dotted key.
pub(super) fn leaves(tree: &Value, origin: &dyn Fn(Tag) -> String) -> Vec<Leaf> {
    let mut found = Vec::new();
    walk("", tree, origin, &mut found);
    found
}

fn walk(above: &str, value: &Value, origin: &dyn Fn(Tag) -> String, found: &mut Vec<Leaf>) {
    for (name, value) in value.as_dict().into_iter().flatten() {
        let key = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        if matches!(value, Value::Dict(..)) {
            walk(&key, value, origin, found);
        } else {
            let shown = plain(name, value).map(|value| value.to_string());
            found.push(Leaf { key, value: shown, origin: origin(value.tag()) });
        }
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
    // An empty one is no secret, and must read back as none.
    let nothing = matches!(value, Value::Empty(..)) || value.as_str() == Some("");
    let misplaced = match (name, value.as_str()) {
        ("pem", Some(pem)) => !is_public(pem),
        // A list of tables; whatever text stands there was meant for one of them.
        ("keys", Some(_)) => true,
        _ => false,
    };
    if (is_secret(name) || misplaced) && !nothing {
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
