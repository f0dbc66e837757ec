//! Settings in layers: defaults, a TOML file, `HARKARA_*` variables, flags, in rising order.
//!
//! [`Sources::load`] merges the layers into a component's plain struct and remembers where each
//! value came from, for [`Loaded::print`] and for error messages. An unknown key or a bad value is
//! an error that names the key, the value, its origin and what would be right; nothing is ignored.
//!
//! The rule for variables: `HARKARA_` and the key in upper case with `__` for each dot, so that
//! `gateway.connections_max` is `HARKARA_GATEWAY__CONNECTIONS_MAX`.

pub mod address;
mod layer;
mod print;
mod problem;
#[cfg(test)]
mod tests;
pub mod unlimited;

use std::path::{Path, PathBuf};

use figment::{
    Figment, Metadata,
    value::{Dict, Tag, Value},
};
use serde::{Serialize, de::DeserializeOwned};

use self::layer::Layer;
pub use self::{
    layer::PREFIX,
    problem::{Problem, SettingsError},
};

/// The origin of a value that nobody set.
pub const DEFAULT_ORIGIN: &str = "default";

/// A value given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// As it was typed: `--listen`.
    pub flag: &'static str,
    /// The dotted key that it sets: `listen`.
    pub key: &'static str,
    /// Its text, read by the same rules as a variable's.
    pub text: String,
}

/// Where settings come from, besides the defaults.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The TOML file, where one was named.
    pub file: Option<PathBuf>,
    /// Environment variables; those without the prefix are not ours.
    pub environment: Vec<(String, String)>,
    /// Flags, in the order of the command line.
    pub flags: Vec<Flag>,
}

impl Sources {
    /// The sources of this process: its environment, the file and the flags given.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, flags: Vec<Flag>) -> Self {
        let environment = std::env::vars_os()
            .map(|(name, text)| {
                (name.to_string_lossy().into_owned(), text.to_string_lossy().into_owned())
            })
            .collect();
        Self { file, environment, flags }
    }

    /// Merges the sources over `defaults`.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is not TOML; a key is unknown; a value has the wrong form.
    pub fn load<T>(&self, defaults: &T) -> Result<Loaded<T>, SettingsError>
    where
        T: Serialize + DeserializeOwned,
    {
        let known = Value::serialize(defaults).map_err(|error| SettingsError::one(&error))?;
        let figment = self.merged(&known)?;
        let tree = figment.find_value("").map_err(|error| SettingsError::one(&error))?;
        let unknown = problem::unknown_keys(&figment, &known, &tree);
        if !unknown.is_empty() {
            return Err(SettingsError { problems: unknown });
        }
        let value = figment.extract().map_err(|error| problem::bad_value(&tree, error))?;
        Ok(Loaded { value, figment, tree })
    }

    /// All layers, lowest first.
    fn merged(&self, known: &Value) -> Result<Figment, SettingsError> {
        let defaults = known.as_dict().cloned().unwrap_or_default();
        let mut figment = Figment::from(Layer { origin: DEFAULT_ORIGIN.into(), dict: defaults });
        if let Some(path) = &self.file {
            figment = figment.merge(read_file(path)?);
        }
        let mut variables: Vec<_> = self.environment.iter().collect();
        variables.sort();
        for (name, text) in variables {
            if let Some(key) = layer::key_of_variable(name) {
                figment =
                    figment.merge(Layer::single(format!("variable {name}"), &key, text, known));
            }
        }
        for flag in &self.flags {
            let origin = format!("flag {}", flag.flag);
            figment = figment.merge(Layer::single(origin, flag.key, &flag.text, known));
        }
        Ok(figment)
    }
}

/// The file as a layer.
fn read_file(path: &Path) -> Result<Layer, SettingsError> {
    let text = std::fs::read_to_string(path).map_err(|error| SettingsError {
        problems: vec![format!(
            "cannot read the settings file {}: {error}; check --config",
            path.display()
        )],
    })?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| SettingsError {
        problems: vec![not_toml(path, &text, &error)],
    })?;
    let value = Value::serialize(table).map_err(|error| SettingsError::one(&error))?;
    let dict: Dict = value.into_dict().unwrap_or_default();
    Ok(Layer { origin: format!("file {}", path.display()), dict })
}

/// Where the file stops being TOML, and why. Never the line itself, which may hold a secret.
fn not_toml(path: &Path, text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let (path, why) = (path.display(), error.message());
    format!("the settings file {path} is not TOML, near line {line}: {why}")
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The dotted key.
    pub key: String,
    /// The value as TOML; absent where it is not set.
    pub value: Option<String>,
    /// Where it came from.
    pub origin: String,
}

/// Merged settings, each value with its origin.
#[derive(Debug, Clone)]
pub struct Loaded<T> {
    /// The settings.
    pub value: T,
    figment: Figment,
    tree: Value,
}

impl<T> Loaded<T> {
    /// Where the value of a dotted key came from: `default`, `file PATH`, `variable NAME`,
    /// `flag --NAME`.
    #[must_use]
    pub fn origin(&self, key: &str) -> String {
        let tag = problem::descend(&self.tree, key).map_or(Tag::Default, Value::tag);
        origin_of(&self.figment, tag)
    }

    /// Whether somebody set the key.
    #[must_use]
    pub fn is_set(&self, key: &str) -> bool {
        self.origin(key) != DEFAULT_ORIGIN
    }

    /// Turns problems that the component found (values that do not go together) into an error
    /// that shows each with its value and origin.
    ///
    /// # Errors
    ///
    /// There are problems.
    pub fn refuse(&self, problems: &[Problem]) -> Result<(), SettingsError> {
        if problems.is_empty() {
            return Ok(());
        }
        let told = |problem: &Problem| {
            let value = problem::descend(&self.tree, &problem.key);
            problem::sentence(&problem.key, value, &self.origin(&problem.key), &problem.right)
        };
        Err(SettingsError { problems: problems.iter().map(told).collect() })
    }

    /// Every setting in alphabetical order, secrets hidden.
    #[must_use]
    pub fn leaves(&self) -> Vec<Leaf> {
        print::leaves(&self.tree, &|tag| origin_of(&self.figment, tag))
    }

    /// The settings as TOML, each value with its origin as a comment, secrets hidden.
    #[must_use]
    pub fn print(&self) -> String {
        print::toml(&self.tree, &|tag| origin_of(&self.figment, tag))
    }
}

fn origin_of(figment: &Figment, tag: Tag) -> String {
    let name = figment.get_metadata(tag).map(|metadata: &Metadata| metadata.name.clone());
    name.map_or_else(|| DEFAULT_ORIGIN.to_owned(), |name| name.into_owned())
}
