//! Apache Cassandra: one node (up in 10 s) or three (30 s), open or secured.

use std::{ops::Deref, sync::OnceLock};

use crate::{
    instance::{Instance, Security, TlsFiles, started},
    script,
};

/// The user of a secured one, who may do everything.
pub const USER: &str = "cassandra";
/// That user's password.
pub const PASSWORD: &str = "cassandra";

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// When it is in memory: a kill of the only node loses the last 100 ms.
    #[default]
    Periodic,
    /// When it is in the commit log: a kill loses nothing. A third of the speed.
    Batch,
}

/// How a Cassandra is started.
#[derive(Clone, Debug)]
pub struct CassandraOptions {
    /// Nodes: 1 or 3.
    pub nodes: u8,
    /// What its clients need; there is one way in.
    pub security: Security,
    /// When a write is acknowledged.
    pub sync: Sync,
    /// Lines of `cassandra.yaml` that differ from those of the script.
    pub set: Vec<(String, String)>,
}

impl Default for CassandraOptions {
    fn default() -> Self {
        Self { nodes: 1, security: Security::Open, sync: Sync::Periodic, set: Vec::new() }
    }
}

/// A Cassandra; [`Instance`] has what can be done to its nodes.
#[derive(Debug)]
pub struct Cassandra {
    instance: Instance,
    contact_points: Vec<String>,
}

impl Cassandra {
    /// Starts one of its own, for as long as the value lives.
    ///
    /// # Panics
    ///
    /// When it does not answer in time; the message has the end of its log.
    #[must_use]
    pub fn start(options: &CassandraOptions) -> Self {
        let sync = match options.sync {
            Sync::Periodic => "periodic",
            Sync::Batch => "batch",
        };
        let nodes = options.nodes.to_string();
        let mut arguments: Vec<String> =
            ["--nodes", &nodes, "--sync", sync].into_iter().map(str::to_owned).collect();
        match options.security {
            Security::Open => {}
            Security::Password => arguments.push("--secure".to_owned()),
            Security::Mutual => arguments.push("--mutual".to_owned()),
        }
        for (key, value) in &options.set {
            arguments.extend(["--set".to_owned(), format!("{key}={value}")]);
        }
        let instance = started(Instance::start("cassandra", &arguments));
        let contact_points = instance.line("address").split(',').map(str::to_owned).collect();
        Self { instance, contact_points }
    }

    /// One open node for all tests of this process, which keep out of each other's way by names of
    /// keyspaces, and do no faults to it. It acknowledges as [`Sync::Periodic`] says.
    ///
    /// # Panics
    ///
    /// As [`Cassandra::start`].
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cassandra> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&CassandraOptions::default()))
    }

    /// Its nodes, as `address:port`. The data center is `datacenter1`.
    #[must_use]
    pub fn contact_points(&self) -> Vec<String> {
        self.contact_points.clone()
    }

    /// Files for its clients. They exist only when it is secured.
    #[must_use]
    pub fn tls(&self) -> TlsFiles {
        self.instance.tls()
    }

    /// What Cassandra's own tool says: `["flush"]`, `["tablestats", "keyspace.table"]`.
    ///
    /// # Panics
    ///
    /// When the tool fails.
    #[must_use]
    pub fn nodetool(&self, node: u8, arguments: &[&str]) -> String {
        let (dir, node) = (self.dir().display().to_string(), node.to_string());
        let own = [dir.as_str(), node.as_str()];
        started(script::run("cassandra", "nodetool", own.iter().chain(arguments)))
    }
}

impl Deref for Cassandra {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}
