//! One source of settings as figment sees it, and how the text of a variable or flag becomes a
//! value: by the form of the default that it replaces, so that a name of digits stays a name.

use figment::{
    Error, Metadata, Profile, Provider,
    value::{Dict, Map, Value},
};

/// What names of environment variables begin with.
pub const PREFIX: &str = "HARKARA_";

/// Values with one origin.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) origin: String,
    pub(super) dict: Dict,
}

impl Layer {
    /// A layer that sets a single dotted key from text.
    pub(super) fn single(origin: String, key: &str, text: &str, known: &Value) -> Self {
        let mut value = value_like(known.find_ref(key), text);
        let mut dict = Dict::new();
        for name in key.rsplit('.') {
            dict = Dict::from([(name.to_owned(), value)]);
            value = Value::from(dict.clone());
        }
        Self { origin, dict }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

/// The dotted key that a variable sets, if it is one of ours.
pub(super) fn key_of_variable(name: &str) -> Option<String> {
    let key = name.strip_prefix(PREFIX)?;
    Some(key.to_ascii_lowercase().replace("__", "."))
}

/// Text as a value of the default's form; where the default has none, by its look.
fn value_like(default: Option<&Value>, text: &str) -> Value {
    match default {
        Some(Value::String(..)) => Value::from(text),
        Some(Value::Array(..)) if !text.trim_start().starts_with('[') => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::from(items.map(Value::from).collect::<Vec<_>>())
        }
        _ => text.parse().unwrap_or_else(|_| Value::from(text)),
    }
}
