//! Settings as librdkafka takes them, for each kind of client, and what its complaints mean.
//!
//! librdkafka tells why a connection fails in its log lines only; callers get a bare code. So every
//! client keeps its last complaint ([`Ear`]), and [`Ear::trouble`] makes one sentence of both.

use std::sync::{Mutex, PoisonError};

use harkara_domain::command::rules_known;
use harkara_engine::LogError;
use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
};
use secrecy::ExposeSecret as _;

use crate::config::Config;

/// The largest record that is appended. The longest command (a thousand users) has 40 kB, the
/// longest message 33 kB; room for what comes, and below a batch of 1 MB with all its framing.
pub const RECORD_BYTES_MAX: usize = 512 * 1024;

/// A worker whose consumer thread does not poll for so long leaves its group by itself: the thread
/// never waits for anything longer than a second or two, so it is stuck for good.
pub(crate) const POLL_INTERVAL_MAX_MS: u64 = 30_000;

/// What a worker's name among the members of its group says in front of the rules that it knows.
const KNOWS: &str = "harkara-rules-";

/// The rules that a member of the group knows, by its name; 0 where that says nothing.
pub(crate) fn rules_of(member: &str) -> u16 {
    member.strip_prefix(KNOWS).and_then(|rules| rules.parse().ok()).unwrap_or(0)
}

/// What every client shares.
fn base(config: &Config) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", config.brokers.join(","))
        .set("client.id", "harkara")
        // A broker that does not answer is given up before an append's patience ends.
        .set("socket.timeout.ms", "5000")
        .set("socket.connection.setup.timeout.ms", "5000")
        .set("socket.keepalive.enable", "true")
        // Off by default: a small request would wait for the acknowledgment of the one before.
        .set("socket.nagle.disable", "true")
        // The default of ten seconds would be added to every return of a broker.
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "500");
    // What connections end with is told at this level; without it, that of our own log would count.
    client.set_log_level(RDKafkaLogLevel::Info);
    if !config.rack.is_empty() {
        client.set("client.rack", &config.rack);
    }
    let (tls, sasl) = (&config.tls, &config.sasl);
    let protocol = match (tls.enabled, sasl.mechanism.name()) {
        (false, None) => "plaintext",
        (true, None) => "ssl",
        (false, Some(_)) => "sasl_plaintext",
        (true, Some(_)) => "sasl_ssl",
    };
    client.set("security.protocol", protocol);
    let files = [
        ("ssl.ca.location", &tls.ca),
        ("ssl.certificate.location", &tls.certificate),
        ("ssl.key.location", &tls.key),
    ];
    for (key, file) in files {
        if let Some(file) = file {
            client.set(key, file.display().to_string());
        }
    }
    if let Some(mechanism) = sasl.mechanism.name() {
        client
            .set("sasl.mechanism", mechanism)
            .set("sasl.username", &sasl.username)
            .set("sasl.password", sasl.password.expose_secret());
    }
    client
}

/// The producer of the log and of the directory.
#[must_use]
pub fn producer(config: &Config) -> ClientConfig {
    let mut client = base(config);
    let delivery = config.delivery_timeout.as_millis();
    client
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("message.timeout.ms", delivery.to_string())
        // Time for a second try.
        .set("request.timeout.ms", (delivery / 2).min(5_000).to_string())
        // Batches form while others are under way; a longer wait costs every append its length.
        .set("linger.ms", "1")
        .set("compression.codec", "zstd")
        .set("message.max.bytes", "1000000")
        // Our own limit (`producer.rs`) comes first: it counts what a small record costs besides.
        .set("queue.buffering.max.messages", "0")
        .set("queue.buffering.max.kbytes", "2097151");
    client
}

/// A consumer that belongs to no group: reads what it is told to, knows what the group committed.
pub(crate) fn reader(config: &Config) -> ClientConfig {
    let mut client = base(config);
    client
        .set("group.id", group(config))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("queued.max.messages.kbytes", "4096")
        .set("fetch.queue.backoff.ms", "20")
        .set("fetch.error.backoff.ms", "100");
    client
}

/// A worker's consumer.
pub(crate) fn member(config: &Config) -> ClientConfig {
    let mut client = base(config);
    let session = config.session_timeout.as_millis();
    client
        .set("client.id", format!("{KNOWS}{}", rules_known()))
        .set("group.id", group(config))
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", session.to_string())
        .set("heartbeat.interval.ms", config.heartbeat.as_millis().to_string())
        .set("max.poll.interval.ms", POLL_INTERVAL_MAX_MS.max(session).to_string())
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        // Both bound what waits in front of the bounded buffers of the partitions.
        .set("queued.min.messages", "1000")
        .set("queued.max.messages.kbytes", "16384")
        // Seconds of silence after a full queue or an election would be seconds of latency.
        .set("fetch.queue.backoff.ms", "20")
        .set("fetch.error.backoff.ms", "100");
    client
}

/// What `migrate` makes topics with.
#[must_use]
pub fn admin(config: &Config) -> ClientConfig {
    base(config)
}

/// The workers' group.
pub(crate) fn group(config: &Config) -> String {
    format!("{}.fanout", config.prefix)
}

/// Hears what a client complains about.
#[derive(Debug, Default)]
pub(crate) struct Ear {
    last: Mutex<Option<String>>,
}

impl Ear {
    fn hear(&self, message: &str) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(message.to_owned());
    }

    /// Everything works: what was heard before explains nothing any more.
    pub(crate) fn forget(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What to tell about a failed call.
    pub(crate) fn trouble(&self, doing: &str, error: &KafkaError) -> LogError {
        let heard = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        trouble(doing, error, heard.as_deref())
    }
}

impl ClientContext for Ear {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        use RDKafkaLogLevel::{Alert, Critical, Emerg, Error};
        if matches!(level, Emerg | Alert | Critical | Error)
            || setting(message).is_some()
            || is_cut_short(message)
        {
            self.hear(message);
        }
        note(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // That all are away is the sum of what was heard before.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            self.hear(reason);
        }
        tracing::trace!(%error, reason, "kafka client");
    }
}

impl ConsumerContext for Ear {}

/// A client's own words. Its errors are told by us, once and with what to do, so they stand lower.
pub(crate) fn note(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Debug | RDKafkaLogLevel::Info => {
            tracing::trace!(target: "librdkafka", facility, "{message}");
        }
        _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}

/// Complaints that only somebody who changes settings can end, and what to tell them.
const SETTINGS: [(&str, &str); 7] = [
    ("SASL authentication error", "kafka refuses the user name or the password: check kafka.sasl"),
    ("certificate verify failed", UNTRUSTED),
    ("certificate required", UNKNOWN),
    ("bad certificate", UNKNOWN),
    ("unknown ca", UNKNOWN),
    (
        "connecting to a PLAINTEXT broker",
        "the broker does not speak TLS on this port: check kafka.brokers and kafka.tls.enabled",
    ),
    (
        "security protocol",
        "the broker speaks another protocol on this port: check kafka.tls.enabled and \
         kafka.sasl.mechanism",
    ),
];

const UNTRUSTED: &str = "the broker's certificate is not to be trusted: check kafka.tls.ca";
const UNKNOWN: &str = "the broker asks for a certificate that it trusts: check \
                       kafka.tls.certificate and kafka.tls.key";

/// What to tell about a complaint that only other settings can end.
fn setting(heard: &str) -> Option<&'static str> {
    SETTINGS.iter().find(|(words, _)| heard.contains(words)).map(|(_, sentence)| *sentence)
}

/// A connection that ended at its first question: a broker that stops, or one that waits for TLS.
fn is_cut_short(heard: &str) -> bool {
    heard.contains("Disconnected") && heard.contains("in state APIVERSION_QUERY")
}

fn trouble(doing: &str, error: &KafkaError, heard: Option<&str>) -> LogError {
    use RDKafkaErrorCode as Code;
    let code = error.rdkafka_error_code();
    match code {
        Some(
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed,
        ) => {
            return LogError::Stop(format!(
                "{doing}: kafka forbids it to this user ({error}): give it read, write, describe and \
                 describe-configs on topics with kafka.prefix, read on the group, and for `migrate` \
                 create and alter-configs"
            ));
        }
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
            return LogError::Unknown(format!(
                "{doing}: there is no such topic: run `harkara migrate`"
            ));
        }
        _ => {}
    }
    if matches!(error, KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_)) {
        return LogError::Stop(format!("{doing}: the settings of kafka can't be used: {error}"));
    }
    let Some(heard) = heard else { return LogError::Unknown(format!("{doing}: {error}")) };
    match setting(heard) {
        Some(sentence) => LogError::Stop(format!("{sentence} ({})", short(heard))),
        None if is_cut_short(heard) => LogError::Unknown(format!(
            "{doing}: the broker ends connections before it says anything; if that lasts, it may \
             speak TLS on this port: check kafka.brokers and kafka.tls.enabled ({})",
            short(heard)
        )),
        None => LogError::Unknown(format!("{doing}: {error} ({})", short(heard))),
    }
}

/// What an error says, without what kind it is.
pub(crate) fn words(error: LogError) -> String {
    match error {
        LogError::Unknown(why) | LogError::Stop(why) => why,
        LogError::Full { .. } => error.to_string(),
    }
}

/// Without the thread's name in front and the counters behind.
fn short(heard: &str) -> &str {
    let heard = heard
        .strip_prefix("[thrd:")
        .and_then(|rest| rest.split_once("]: "))
        .map_or(heard, |(_, rest)| rest);
    heard.split(" (after ").next().unwrap_or(heard)
}
