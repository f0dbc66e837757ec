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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// `docs/cluster.md`: key → default, from the rows of its tables.
    fn page() -> BTreeMap<String, String> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cluster.md");
        let text = std::fs::read_to_string(path).unwrap();
        let row = |line: &str| {
            let cells: Vec<_> = line.strip_prefix("| `")?.split(" | ").collect();
            let key = cells.first()?.trim_end_matches('`').to_owned();
            let mine = ["kafka.", "scylla.", "link."].iter().any(|own| key.starts_with(own));
            (cells.len() == 4 && mine).then(|| (key, cells[2].trim_matches('`').to_owned()))
        };
        text.lines().filter_map(row).collect()
    }

    #[test]
    fn the_page_has_every_key_of_a_cluster_with_its_default() {
        let leaves = Sources::default().load(&Settings::default()).unwrap().leaves();
        let own = |key: &str| ["kafka.", "scylla.", "link."].iter().any(|it| key.starts_with(it));
        let expected: BTreeMap<String, String> = leaves
            .into_iter()
            .filter(|leaf| own(&leaf.key))
            .map(|leaf| (leaf.key, leaf.value.unwrap_or_else(|| "not set".into())))
            .collect();
        assert_eq!(page(), expected);
    }

    #[test]
    fn one_file_serves_all_roles() {
        for role in [Role::Gateway, Role::Fanout, Role::Migrate] {
            let printed = Settings::load(&Sources::default(), role).unwrap().print();
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("printed.toml");
            std::fs::write(&file, &printed).unwrap();
            let sources = Sources { file: Some(file), ..Sources::default() };
            assert!(Settings::load(&sources, role).is_ok(), "{printed}");
        }
    }

    #[test]
    fn a_worker_must_be_found() {
        let everywhere = ("HARKARA_LINK__LISTEN".to_owned(), "0.0.0.0:8082".to_owned());
        let sources = Sources { environment: vec![everywhere], ..Sources::default() };
        let refused = Settings::load(&sources, Role::Fanout).unwrap_err().to_string();
        assert!(refused.starts_with("link.address (not set): must say where"), "{refused}");
        assert!(Settings::load(&sources, Role::Gateway).is_ok(), "which listens to nobody there");
    }

    #[test]
    fn passwords_from_the_environment_are_text_and_hidden() {
        let set = |key: &str, text: &str| (key.to_owned(), text.to_owned());
        let environment = vec![
            set("HARKARA_SCYLLA__USER", "harkara"),
            set("HARKARA_SCYLLA__PASSWORD", "012345"),
            set("HARKARA_KAFKA__SASL__MECHANISM", "SCRAM-SHA-512"),
            set("HARKARA_KAFKA__SASL__USERNAME", "harkara"),
            set("HARKARA_KAFKA__SASL__PASSWORD", "true"),
        ];
        let sources = Sources { environment, ..Sources::default() };
        let printed = Settings::load(&sources, Role::Fanout).unwrap().print();
        assert_eq!(printed.matches("password = \"<hidden>\"").count(), 2, "{printed}");
        assert!(!printed.contains("012345"), "{printed}");
    }
}
