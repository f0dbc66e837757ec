//! All settings of the one binary, and what holds between them. `main` loads them before anything
//! else happens; each component gets its own section as plain data. `docs/configuration.md` lists
//! every key.

#[cfg(test)]
mod tests;

use std::{net::SocketAddr, path::PathBuf};

use harkara_gateway::auth;
use harkara_service_runtime::{
    HumanDuration,
    settings::{Loaded, Problem, SettingsError, Sources, address},
    telemetry,
};
use serde::{Deserialize, Serialize};

/// Whom the process serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// One person's machine: tokens for the asking, demo users, no limit on sends.
    Development,
    /// Tokens by configured keys only.
    Production,
}

/// All settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `development` or `production`.
    pub mode: Mode,
    /// Address for clients: WebSocket and REST.
    #[serde(with = "address")]
    pub listen: SocketAddr,
    /// The operators' port.
    pub admin: Admin,
    /// What is stored.
    pub data: Data,
    /// The log.
    pub log: Log,
    /// Sessions.
    pub gateway: harkara_gateway::Config,
    /// Partitions and conversations.
    pub fanout: harkara_fanout::Config,
    /// Tokens.
    pub auth: auth::Config,
    /// Logs, traces, metrics.
    pub telemetry: telemetry::Config,
    /// Development mode.
    pub dev: Dev,
}

/// Section `[admin]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address of `/healthz`, `/readyz` and `/metrics`. No tokens there: keep it inside.
    #[serde(with = "address")]
    pub listen: SocketAddr,
}

/// Section `[data]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// Directory of the embedded log and store; made if missing. One process at a time.
    pub dir: PathBuf,
}

/// Section `[log]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Partitions of the log; fixed when the data directory is made.
    pub partitions: u16,
    /// How long records stay in the log after they were stored as events.
    pub retention: HumanDuration,
}

/// Section `[dev]`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dev {
    /// Gives tokens for the asking to whoever reaches an address that is not loopback.
    pub allow_non_loopback: bool,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8081)) }
    }
}

impl Default for Data {
    fn default() -> Self {
        Self { dir: PathBuf::from("harkara-data") }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { partitions: 64, retention: HumanDuration::from_secs(7 * 24 * 3_600) }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::of_mode(Mode::Development)
    }
}

impl Settings {
    /// The defaults of a mode. Development has no limit on sends, so that a replay runs flat out.
    #[must_use]
    pub fn of_mode(mode: Mode) -> Self {
        let mut gateway = harkara_gateway::Config::default();
        if mode == Mode::Development {
            gateway.sends_per_second_max = None;
        }
        Self {
            mode,
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin: Admin::default(),
            data: Data::default(),
            log: Log::default(),
            gateway,
            fanout: harkara_fanout::Config::default(),
            auth: auth::Config::default(),
            telemetry: telemetry::Config::default(),
            dev: Dev::default(),
        }
    }

    /// Loads and checks the settings.
    ///
    /// # Errors
    ///
    /// An unknown key, a bad value, or values that do not go together: one sentence each.
    pub fn load(sources: &Sources) -> Result<Loaded<Self>, SettingsError> {
        let mut loaded = sources.load(&Self::default())?;
        if loaded.value.mode == Mode::Production {
            // Only the defaults differ; whoever set the mode stays its origin.
            let defaults = Self { mode: Mode::Development, ..Self::of_mode(Mode::Production) };
            loaded = sources.load(&defaults)?;
        }
        loaded.refuse(&loaded.value.problems())?;
        Ok(loaded)
    }

    /// Everything that this process could not or should not start with.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems =
            exposure(self.mode, self.listen, self.admin.listen, self.dev, &self.auth);
        let mut wrong = |key: &str, right: &str| problems.push(Problem::new(key, right));
        if self.log.partitions == 0 {
            wrong("log.partitions", "must be 1 or more");
        }
        if self.log.retention.as_millis() == 0 {
            wrong("log.retention", "must be 1ms or more");
        }
        if self.data.dir.as_os_str().is_empty() {
            wrong("data.dir", "must name a directory");
        }
        problems.extend(self.gateway.problems());
        problems.extend(self.fanout.problems());
        problems.extend(self.auth.problems());
        problems.extend(self.telemetry.problems("telemetry"));
        problems
    }
}

/// What an address for clients must not be open to.
pub fn exposure(
    mode: Mode,
    listen: SocketAddr,
    admin: SocketAddr,
    dev: Dev,
    auth: &auth::Config,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut wrong = |key: &str, right: &str| problems.push(Problem::new(key, right));
    if mode == Mode::Development && !listen.ip().is_loopback() && !dev.allow_non_loopback {
        wrong(
            "listen",
            "development mode gives tokens to whoever reaches this address; listen on \
             127.0.0.1, or set mode = \"production\" and keys, or accept it with \
             --dev-allow-non-loopback",
        );
    }
    if mode == Mode::Production && !auth.has_keys() {
        wrong(
            "auth.keys",
            "production mode needs keys to verify tokens with; set auth.issuer and auth.keys \
             or auth.jwks_file",
        );
    }
    if admin == listen && listen.port() != 0 {
        wrong("admin.listen", "must be another address than listen");
    }
    problems
}
