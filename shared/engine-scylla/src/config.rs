//! Settings of the store: section `[scylla]`. Plain data; `connect` makes a session from it.

use harkara_service_runtime::{HumanDuration, settings::Problem, tls::ClientTls};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// Longest keyspace name that both engines take.
const KEYSPACE_CHARS_MAX: usize = 48;

/// Where the store is and how it is used. Unknown keys are refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Nodes to begin with, as `host` or `host:port` (9042 if none is given); the others are
    /// learned from them. Name two or three, so that one may be away.
    pub nodes: Vec<String>,
    /// The keyspace: lower-case letters, digits and underscores.
    pub keyspace: String,
    /// The datacenter whose nodes are used; a quorum of its replicas must confirm.
    pub datacenter: String,
    /// Copies of each row in the datacenter, when the keyspace is made. 3 loses nothing with one
    /// node and needs no more than two to answer.
    pub replication: u32,
    /// The user, where the nodes ask for one.
    pub user: Option<String>,
    /// The user's password.
    #[serde(serialize_with = "hidden")]
    pub password: SecretString,
    /// From a statement to its answer, all attempts together; after it the outcome is unknown and
    /// the caller repeats it. Above the 2 seconds after which nodes give up a write themselves, so
    /// that their answer comes first where there is one.
    pub request_timeout: HumanDuration,
    /// After how long a second node is asked as well, while the first one is silent. 50 ms is far
    /// above a healthy answer (some ms) and hides a node that hangs. 0 asks nobody else.
    pub second_try_after: HumanDuration,
    /// From dialing a node to a usable connection.
    pub connect_timeout: HumanDuration,
    /// Between two signs of life on a quiet connection, and how long to wait for its answer: half
    /// of a node's default of 20 seconds until it believes another one dead.
    pub keepalive: HumanDuration,
    /// Connections to each node of Cassandra and to each shard of ScyllaDB. One carries 32,768
    /// statements at once; a second one helps where one core can't keep up with one socket.
    pub connections: usize,
    /// TLS with the nodes. Their certificates must have their addresses, or `server_name`.
    pub tls: ClientTls,
}

fn hidden<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    // An empty one must stay empty: defaults are written and read back.
    let shown = if secret.expose_secret().is_empty() { "" } else { "<hidden>" };
    serializer.serialize_str(shown)
}

impl Default for Config {
    fn default() -> Self {
        Self {
            nodes: vec!["127.0.0.1:9042".to_owned()],
            keyspace: "harkara".to_owned(),
            datacenter: "datacenter1".to_owned(),
            replication: 3,
            user: None,
            password: SecretString::default(),
            request_timeout: HumanDuration::from_secs(3),
            second_try_after: HumanDuration::from_millis(50),
            connect_timeout: HumanDuration::from_secs(5),
            keepalive: HumanDuration::from_secs(5),
            connections: 1,
            tls: ClientTls::default(),
        }
    }
}

impl Config {
    /// What could not work; keys below `section`, which is `scylla`.
    #[must_use]
    pub fn problems(&self, section: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |key: &str, right: &str| {
            problems.push(Problem::new(format!("{section}.{key}"), right));
        };
        if self.nodes.is_empty() || self.nodes.iter().any(|node| node.trim().is_empty()) {
            wrong("nodes", "must name one node or more, as host or host:port");
        }
        if !is_keyspace(&self.keyspace) {
            wrong(
                "keyspace",
                "must begin with a lower-case letter, go on with those, digits and underscores, \
                 and have 48 characters at most",
            );
        }
        if !is_datacenter(&self.datacenter) {
            wrong("datacenter", "must be a datacenter's name, as `nodetool status` shows it");
        }
        if self.replication == 0 || self.replication > 9 {
            wrong("replication", "must be from 1 to 9");
        }
        if self.user.is_some() == self.password.expose_secret().is_empty() {
            wrong("user", "must be set together with `password`");
        }
        let at_least_1ms = [
            ("request_timeout", self.request_timeout),
            ("connect_timeout", self.connect_timeout),
            ("keepalive", self.keepalive),
        ];
        for (key, value) in at_least_1ms {
            if value.as_millis() == 0 {
                wrong(key, "must be 1ms or more");
            }
        }
        if self.second_try_after.get() >= self.request_timeout.get() {
            wrong("second_try_after", "must be below `request_timeout`");
        }
        if self.connections == 0 || self.connections > 64 {
            wrong("connections", "must be from 1 to 64");
        }
        problems.extend(self.tls.problems(&format!("{section}.tls")));
        problems
    }
}

/// It becomes part of statements, so nothing else may be in it.
fn is_keyspace(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.len() <= KEYSPACE_CHARS_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(inner)
}

/// It becomes a quoted text in a statement.
fn is_datacenter(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
    !name.is_empty() && name.chars().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_right() {
        assert_eq!(Config::default().problems("scylla"), []);
    }

    #[test]
    fn what_can_not_work_is_named() {
        let config = Config {
            nodes: Vec::new(),
            keyspace: "k; DROP".to_owned(),
            datacenter: "o'brien".to_owned(),
            replication: 0,
            user: Some("harkara".to_owned()),
            second_try_after: HumanDuration::from_secs(9),
            connections: 0,
            tls: ClientTls { enabled: true, ..ClientTls::default() },
            ..Config::default()
        };
        let keys: Vec<_> = config.problems("scylla").into_iter().map(|p| p.key).collect();
        let expected = [
            "scylla.nodes",
            "scylla.keyspace",
            "scylla.datacenter",
            "scylla.replication",
            "scylla.user",
            "scylla.second_try_after",
            "scylla.connections",
            "scylla.tls.ca",
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn the_password_does_not_print() {
        let password = SecretString::from("correct horse");
        let config = Config { user: Some("u".to_owned()), password, ..Config::default() };
        let debug = format!("{config:?}");
        assert!(!debug.contains("horse"), "{debug}");
        assert_eq!(config.problems("scylla"), []);
    }
}
