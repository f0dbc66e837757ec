//! Settings of Kafka (section `[kafka]`), each with its why. Plain data; `client` turns them into
//! what librdkafka takes.
//!
//! What is fixed because anything else would break a promise stands there, not here: `acks=all`,
//! idempotence, no automatic commits.

use std::path::{Path, PathBuf};

use harkara_service_runtime::{HumanDuration, settings::Problem};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// Settings of the log and the directory on Kafka. Unknown keys are refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `host:port` of some brokers; the others are learned from them.
    pub brokers: Vec<String>,
    /// What the names of topics and of the group begin with: `PREFIX.log.GENERATION`,
    /// `PREFIX.directory`, `PREFIX.fanout`. Two clusters of Harkara on one Kafka differ by it.
    pub prefix: String,
    /// Copies of each topic, for `migrate`. 3: one broker may be down for work and another one die.
    pub replication: u16,
    /// Copies that must have a record before it counts as appended (`min.insync.replicas`). 2 of 3:
    /// one broker may be away without anybody noticing, and no single disk holds the only copy.
    pub min_insync: u16,
    /// Partitions of the log, fixed when it is made. 1,024: a worker of 50 takes 20 of them, so
    /// the load of one that leaves spreads evenly. 64 do for a pilot.
    pub partitions: u16,
    /// How long the log keeps records. Longer than any repair that needs them: a week holds a
    /// weekend and the days until somebody looks.
    pub retention: HumanDuration,
    /// After so long without a sign of life a worker's partitions go to others
    /// (`session.timeout.ms`). 6s, the least that brokers allow by default: it bounds how long the
    /// partitions of a killed worker are silent.
    pub session_timeout: HumanDuration,
    /// Between two signs of life (`heartbeat.interval.ms`). A third of the session timeout: two
    /// may get lost. A worker that could not be heard speaks for its partitions during
    /// `session_timeout - heartbeat`, and then no more.
    pub heartbeat: HumanDuration,
    /// Time that a worker has for finishing what it began with a partition that goes to another
    /// one. Everything under way is written by then, unless the store is slow; what is not, the
    /// next one does again.
    pub drain: HumanDuration,
    /// From an append to "not confirmed" (`message.timeout.ms`). 10s: what a client waits for an
    /// outcome; longer than a leader election (3 to 4 s).
    pub delivery_timeout: HumanDuration,
    /// Bytes of records that may wait for the brokers; beyond it an append is refused at once.
    /// 64 MiB = 200,000 records of 330 bytes, a second or two of a large cluster.
    pub queue_bytes: usize,
    /// The failure domain that this process stands in, as brokers name theirs (`client.rack`).
    /// Workers then read from the closest copy. Empty: from the leader.
    pub rack: String,
    /// Encryption and certificates.
    pub tls: Tls,
    /// User name and password.
    pub sasl: Sasl,
}

/// TLS of the connections to the brokers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Whether to speak TLS.
    pub enabled: bool,
    /// PEM file of the authorities that the brokers' certificates must come from; without it those
    /// of the system.
    pub ca: Option<PathBuf>,
    /// PEM file: this process's certificate, where brokers ask for one.
    pub certificate: Option<PathBuf>,
    /// PEM file: its private key, not encrypted.
    pub key: Option<PathBuf>,
}

/// How a user proves who it is (RFC 4422).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mechanism {
    /// No user.
    #[serde(rename = "none")]
    None,
    /// The password itself, so only over TLS.
    #[serde(rename = "PLAIN")]
    Plain,
    /// Proof of a password that does not travel (RFC 5802 with SHA-256).
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// The same with SHA-512. The one to choose.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

/// User name and password.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sasl {
    /// How the user proves who it is; `none` where brokers don't ask.
    pub mechanism: Mechanism,
    /// The user's name.
    pub username: String,
    /// The user's password.
    #[serde(serialize_with = "hidden")]
    pub password: SecretString,
}

fn hidden<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    // An empty one must stay empty: defaults are written and read back.
    let shown = if secret.expose_secret().is_empty() { "" } else { "<hidden>" };
    serializer.serialize_str(shown)
}

impl Default for Sasl {
    fn default() -> Self {
        let (username, password) = (String::new(), SecretString::default());
        Self { mechanism: Mechanism::None, username, password }
    }
}

impl Mechanism {
    /// The mechanism's registered name.
    pub(crate) const fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Plain => Some("PLAIN"),
            Self::ScramSha256 => Some("SCRAM-SHA-256"),
            Self::ScramSha512 => Some("SCRAM-SHA-512"),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            brokers: vec!["127.0.0.1:9092".into()],
            prefix: "harkara".into(),
            replication: 3,
            min_insync: 2,
            partitions: 1_024,
            retention: HumanDuration::from_secs(7 * 24 * 3_600),
            session_timeout: HumanDuration::from_secs(6),
            heartbeat: HumanDuration::from_secs(2),
            drain: HumanDuration::from_secs(5),
            delivery_timeout: HumanDuration::from_secs(10),
            queue_bytes: 64 * 1024 * 1024,
            rack: String::new(),
            tls: Tls::default(),
            sasl: Sasl::default(),
        }
    }
}

/// Longest prefix: Kafka takes names of 249 bytes, `.log.` and a number of 20 digits follow.
const PREFIX_BYTES_MAX: usize = 200;

/// The longest drain: well below the time after which a worker that does not poll leaves its group
/// (`client::POLL_INTERVAL_MAX`).
const DRAIN_MAX: HumanDuration = HumanDuration::from_secs(20);

/// The smallest queue: the largest record and what batches need beside it.
const QUEUE_BYTES_LEAST: usize = 1024 * 1024;

impl Config {
    /// What could not work; keys below `section`.
    #[must_use]
    pub fn problems(&self, section: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |right: bool, key: &str, say: &str| {
            if !right {
                problems.push(Problem::new(format!("{section}.{key}"), say));
            }
        };
        let named = self.brokers.iter().all(|broker| is_address(broker));
        check(named && !self.brokers.is_empty(), "brokers", "must name brokers as host:port");
        let letters = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let prefix = &self.prefix;
        let prefix_right = !prefix.is_empty() && prefix.chars().all(letters);
        check(prefix_right, "prefix", "must be letters, digits, dots, dashes and underscores");
        check(prefix.len() <= PREFIX_BYTES_MAX, "prefix", "must be 200 bytes or less");
        check(self.partitions > 0, "partitions", "must be 1 or more");
        check(self.replication > 0, "replication", "must be 1 or more");
        let insync = (1..=self.replication).contains(&self.min_insync);
        check(insync, "min_insync", "must be between 1 and kafka.replication");
        let retention = self.retention.as_millis() >= 3_600_000;
        check(retention, "retention", "must be 1h or more");
        let session = (500..=1_800_000).contains(&self.session_timeout.as_millis());
        check(session, "session_timeout", "must be between 500ms and 30m");
        let heartbeat = self.heartbeat.as_millis();
        let third =
            heartbeat > 0 && heartbeat.saturating_mul(3) <= self.session_timeout.as_millis();
        check(third, "heartbeat", "must be a third of kafka.session_timeout or less");
        check(self.drain <= DRAIN_MAX, "drain", "must be 20s or less");
        let delivery = (1_000..=300_000).contains(&self.delivery_timeout.as_millis());
        check(delivery, "delivery_timeout", "must be between 1s and 5m");
        let queue = (QUEUE_BYTES_LEAST..=1 << 30).contains(&self.queue_bytes);
        check(queue, "queue_bytes", "must be between 1048576 (1 MiB) and 1073741824 (1 GiB)");
        problems.extend(self.tls.problems(section));
        problems.extend(self.sasl.problems(section, self.tls.enabled));
        problems
    }
}

fn is_address(broker: &str) -> bool {
    let parts = broker.rsplit_once(':');
    parts.is_some_and(|(host, port)| {
        !host.is_empty()
            && !host.contains([',', ' ', '/'])
            && port.parse::<u16>().is_ok_and(|p| p > 0)
    })
}

impl Tls {
    fn problems(&self, section: &str) -> Vec<Problem> {
        let files = [("ca", &self.ca), ("certificate", &self.certificate), ("key", &self.key)];
        let set = files.iter().filter_map(|(key, file)| Some((*key, file.as_deref()?)));
        let mut problems = Vec::new();
        for (key, file) in set {
            let key = format!("{section}.tls.{key}");
            if !self.enabled {
                let right = format!("is of no use unless {section}.tls.enabled is true");
                problems.push(Problem::new(key, right));
            } else if let Err(why) = readable(file) {
                problems.push(Problem::new(key, format!("can't be read: {why}")));
            }
        }
        if self.certificate.is_some() != self.key.is_some() {
            let right = "must be set together with the other one of certificate and key";
            let absent = if self.key.is_none() { "key" } else { "certificate" };
            problems.push(Problem::new(format!("{section}.tls.{absent}"), right));
        }
        problems
    }
}

fn readable(file: &Path) -> Result<(), std::io::Error> {
    std::fs::File::open(file).map(drop)
}

impl Sasl {
    fn problems(&self, section: &str, encrypted: bool) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |key: &str, right: &str| {
            problems.push(Problem::new(format!("{section}.sasl.{key}"), right));
        };
        let password = self.password.expose_secret();
        if self.mechanism == Mechanism::None {
            if !self.username.is_empty() || !password.is_empty() {
                wrong("mechanism", "must be SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN with a username");
            }
            return problems;
        }
        if self.username.is_empty() {
            wrong("username", "must be set with a mechanism");
        }
        if password.is_empty() {
            wrong("password", "must be set with a mechanism");
        }
        if self.mechanism == Mechanism::Plain && !encrypted {
            wrong("mechanism", "must not be PLAIN without TLS: the password would be readable");
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_fit_together_and_bad_ones_are_named() {
        assert_eq!(Config::default().problems("kafka"), []);
        let bad = Config {
            brokers: vec!["kafka".into()],
            prefix: "a b".into(),
            min_insync: 4,
            heartbeat: HumanDuration::from_secs(3),
            tls: Tls { certificate: Some("/there/is/none".into()), ..Tls::default() },
            sasl: Sasl { mechanism: Mechanism::Plain, ..Sasl::default() },
            ..Config::default()
        };
        let keys: Vec<_> = bad.problems("kafka").into_iter().map(|problem| problem.key).collect();
        let sections =
            ["brokers", "prefix", "min_insync", "heartbeat", "tls.certificate", "tls.key"];
        let sasl = ["sasl.username", "sasl.password", "sasl.mechanism"];
        let wanted = sections.iter().chain(&sasl).map(|key| format!("kafka.{key}"));
        assert_eq!(keys, wanted.collect::<Vec<_>>());
    }

    #[test]
    fn a_password_is_never_written() {
        let password = SecretString::from("open sesame".to_owned());
        let sasl = Sasl { password, ..Sasl::default() };
        let config = Config { sasl, ..Config::default() };
        assert!(!format!("{config:?}").contains("sesame"), "not for debugging either");
    }
}
