//! Settings: a TOML file, then lines `HARKARA_…=text` as the environment has them. Whatever stands
//! there is loaded or refused in sentences, and a secret is in neither.

use std::io::Write as _;

use harkara_engine_link::LinkConfig;
use harkara_gateway::auth;
use harkara_service_runtime::{
    settings::{Loaded, SettingsError, Sources},
    telemetry,
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

/// The sections that have every kind of value there is; the binary's own have no others.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sections {
    gateway: harkara_gateway::Config,
    fanout: harkara_fanout::Config,
    auth: auth::Config,
    link: LinkConfig,
    telemetry: telemetry::Config,
}

/// What makes a line one of the environment.
const PREFIX: &str = "HARKARA_";

/// Shorter ones are words that stand in any text.
const SECRET_BYTES_MIN: usize = 16;

/// Loads and prints.
pub fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match load(text) {
        Some(Ok(loaded)) => {
            let printed = loaded.print();
            assert!(printed.parse::<toml::Table>().is_ok(), "not TOML: {printed}");
            hidden(text, &loaded, &printed);
        }
        Some(Err(error)) => {
            assert!(!error.problems.is_empty(), "refused without a word");
            assert!(error.problems.iter().all(|problem| !problem.is_empty()));
        }
        None => {}
    }
}

/// The settings that a text means; none where the machine has no room for a file.
#[must_use]
pub fn load(text: &str) -> Option<Result<Loaded<Sections>, SettingsError>> {
    let (environment, file): (Vec<_>, Vec<_>) =
        text.lines().partition(|line| line.starts_with(PREFIX));
    let mut written = tempfile::NamedTempFile::new().ok()?;
    written.write_all(file.join("\n").as_bytes()).ok()?;
    let pair = |line: &str| line.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
    let environment = environment.into_iter().filter_map(pair).collect();
    let file = Some(written.path().to_owned());
    let sources = Sources { file, environment, flags: Vec::new() };
    Some(sources.load(&Sections::default()))
}

fn hidden(text: &str, loaded: &Loaded<Sections>, printed: &str) {
    for secret in loaded.value.auth.keys.iter().filter_map(|key| key.secret.as_ref()) {
        let secret = secret.expose_secret();
        // One that stands elsewhere, too, is no secret.
        if secret.len() >= SECRET_BYTES_MIN && text.matches(secret).count() < 2 {
            assert!(!printed.contains(secret), "printed: {secret}");
        }
    }
}
