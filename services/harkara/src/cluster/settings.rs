//! Settings of the roles of a cluster. One file serves them all: each role reads what concerns it,
//! and all of it is checked everywhere, so that a mistake shows at the first start and not at the
//! fifth. `docs/cluster.md` lists the sections that the standalone does not have.

use std::net::SocketAddr;

use harkara_gateway::auth;
use harkara_service_runtime::{
    settings::{Loaded, Problem, SettingsError, Sources, address},
    telemetry,
};
use serde::{Deserialize, Serialize};

use crate::{
    cli::Role,
    settings::{Admin, Data, Dev, Mode, exposure},
};

/// All settings of a cluster's processes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `development` or `production`.
    pub mode: Mode,
    /// Address for clients of a gateway: WebSocket and REST.
    #[serde(with = "address")]
    pub listen: SocketAddr,
    /// The operators' port.
    pub admin: Admin,
    /// Where a gateway in development mode keeps the key of its tokens.
    pub data: Data,
    /// The log and the directory.
    pub kafka: harkara_engine_kafka::Config,
    /// The store.
    pub scylla: harkara_engine_scylla::Config,
    /// Between gateways and workers.
    pub link: harkara_engine_link::LinkConfig,
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

impl Default for Settings {
    fn default() -> Self {
        Self::of_mode(Mode::Development)
    }
}

impl Settings {
    /// The defaults of a mode: those of the standalone.
    fn of_mode(mode: Mode) -> Self {
        let alone = crate::settings::Settings::of_mode(mode);
        Self {
            mode,
            listen: alone.listen,
            admin: alone.admin,
            data: alone.data,
            kafka: harkara_engine_kafka::Config::default(),
            scylla: harkara_engine_scylla::Config::default(),
            link: harkara_engine_link::LinkConfig::default(),
            gateway: alone.gateway,
            fanout: alone.fanout,
            auth: alone.auth,
            telemetry: alone.telemetry,
            dev: alone.dev,
        }
    }

    /// Loads and checks the settings for a role.
    ///
    /// # Errors
    ///
    /// An unknown key, a bad value, or values that do not go together: one sentence each.
    pub fn load(sources: &Sources, role: Role) -> Result<Loaded<Self>, SettingsError> {
        let mut loaded = sources.load(&Self::default())?;
        if loaded.value.mode == Mode::Production {
            // Only the defaults differ; whoever set the mode stays its origin.
            let defaults = Self { mode: Mode::Development, ..Self::of_mode(Mode::Production) };
            loaded = sources.load(&defaults)?;
        }
        loaded.refuse(&loaded.value.problems(role))?;
        Ok(loaded)
    }

    /// Everything that this process could not or should not start with.
    fn problems(&self, role: Role) -> Vec<Problem> {
        let mut problems = Vec::new();
        if role == Role::Gateway {
            let admin = self.admin.listen;
            problems.extend(exposure(self.mode, self.listen, admin, self.dev, &self.auth));
        }
        problems.extend(self.kafka.problems("kafka"));
        problems.extend(self.scylla.problems("scylla"));
        problems.extend(self.link.problems("link"));
        if role == Role::Fanout {
            problems.extend(self.link.worker_problems("link"));
        }
        problems.extend(self.gateway.problems());
        problems.extend(self.fanout.problems());
        problems.extend(self.auth.problems());
        problems.extend(self.telemetry.problems("telemetry"));
        problems
    }
}
