//! The topics: their names, how they are set up, and the forms of what stands in them besides
//! records: markers in the log, claims and the generation in the directory.
//!
//! A log's generation is part of its topic's name, and the first record of each of its partitions
//! is a marker that says it again (soundness S2): a topic that somebody deleted and made anew has
//! the name, but not the markers.

use harkara_domain::{Generation, Partition};
use rdkafka::message::{
    BorrowedHeaders, BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders,
};

use crate::config::Config;

/// Header of a marker; its value is the generation as decimal text.
const MARKER: &str = "harkara-generation";

/// Header with the W3C trace context of whoever appended.
const TRACE: &str = "traceparent";

/// Key of the record that says which generation of the log is in use.
const GENERATION_KEY: &str = "generation";

/// Key of the record that says which rules are in force.
const RULES_KEY: &str = "rules";

/// What values in the directory begin with: the version of their form.
const VERSION: &str = "1 ";

/// The log of a generation.
pub(crate) fn log(config: &Config, generation: Generation) -> String {
    format!("{}.log.{}", config.prefix, generation.0)
}

/// The generation in the name of one of our logs.
pub(crate) fn generation_of(config: &Config, topic: &str) -> Option<Generation> {
    let number = topic.strip_prefix(&config.prefix)?.strip_prefix(".log.")?;
    number.parse().ok().map(Generation)
}

/// The directory.
pub(crate) fn directory(config: &Config) -> String {
    format!("{}.directory", config.prefix)
}

/// A setting of a topic: name, value, whether another value is an error of ours to correct.
pub(crate) type Setting = (&'static str, String);

/// How a log is set up. Everything is said explicitly: what brokers have by default differs.
pub(crate) fn log_settings(config: &Config) -> Vec<Setting> {
    let mut settings = shared_settings(config);
    settings.extend([
        ("cleanup.policy", "delete".to_owned()),
        ("retention.ms", config.retention.as_millis().to_string()),
        ("retention.bytes", "-1".to_owned()),
    ]);
    settings
}

/// How the directory is set up: the newest claim of each partition stays for ever.
pub(crate) fn directory_settings(config: &Config) -> Vec<Setting> {
    let mut settings = shared_settings(config);
    settings.extend([
        ("cleanup.policy", "compact".to_owned()),
        // A new segment each hour: only closed ones are compacted, and every process reads it all.
        ("segment.ms", "3600000".to_owned()),
    ]);
    settings
}

fn shared_settings(config: &Config) -> Vec<Setting> {
    vec![
        // Soundness S9: the brokers' time, not that of whoever appends.
        ("message.timestamp.type", "LogAppendTime".to_owned()),
        ("min.insync.replicas", config.min_insync.to_string()),
        // Soundness S2: a copy that lacks records must never become the log.
        ("unclean.leader.election.enable", "false".to_owned()),
        // As producers compress it: zstd.
        ("compression.type", "producer".to_owned()),
        ("max.message.bytes", "1048588".to_owned()),
    ]
}

/// The headers of a marker.
pub(crate) fn marker(generation: Generation) -> OwnedHeaders {
    let value = generation.0.to_string();
    OwnedHeaders::new().insert(Header { key: MARKER, value: Some(&value) })
}

/// The headers of a record.
pub(crate) fn traced(trace: &str) -> OwnedHeaders {
    OwnedHeaders::new().insert(Header { key: TRACE, value: Some(trace) })
}

/// What the headers of a record of the log say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// It is a marker, of this generation (none: unreadable).
    pub(crate) marker: Option<Option<Generation>>,
    /// The appender's trace.
    pub(crate) trace: Option<Box<str>>,
}

/// Reads the headers of a record of the log.
pub(crate) fn marks(message: &BorrowedMessage<'_>) -> Marks {
    let mut marks = Marks::default();
    for header in message.headers().into_iter().flat_map(BorrowedHeaders::iter) {
        let text = header.value.and_then(|value| std::str::from_utf8(value).ok());
        match header.key {
            MARKER => marks.marker = Some(text.and_then(|text| text.parse().ok()).map(Generation)),
            TRACE => marks.trace = text.map(Into::into),
            _ => {}
        }
    }
    marks
}

/// What a record of the directory says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// This generation of the log is in use.
    Generation(Generation),
    /// These rules are in force.
    Rules(u16),
    /// A worker claims a partition.
    Claim(Partition, String),
}

/// Key and value of a record of the directory.
pub(crate) fn say(said: &Said) -> (String, String) {
    match said {
        Said::Generation(generation) => {
            (GENERATION_KEY.to_owned(), format!("{VERSION}{}", generation.0))
        }
        Said::Rules(rules) => (RULES_KEY.to_owned(), format!("{VERSION}{rules}")),
        Said::Claim(partition, address) => (partition.to_string(), format!("{VERSION}{address}")),
    }
}

/// Reads a record of the directory; none where it is of no form that we know.
pub(crate) fn said(key: Option<&[u8]>, value: Option<&[u8]>) -> Option<Said> {
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let (key, value) = (text(key?)?, text(value?)?.strip_prefix(VERSION)?);
    if key == GENERATION_KEY {
        return value.parse().ok().map(|number| Said::Generation(Generation(number)));
    }
    if key == RULES_KEY {
        return value.parse().ok().map(Said::Rules);
    }
    key.parse().ok().map(|number| Said::Claim(Partition(number), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read() {
        for item in [
            Said::Generation(Generation(u64::MAX)),
            Said::Rules(2),
            Said::Claim(Partition(1_023), "10.0.0.1:7400".to_owned()),
            Said::Claim(Partition(0), String::new()),
        ] {
            let (key, value) = say(&item);
            assert_eq!(said(Some(key.as_bytes()), Some(value.as_bytes())), Some(item));
        }
        for (key, value) in
            [("x", "1 a"), ("70000", "1 a"), ("1", "2 a"), ("generation", "1 x"), ("rules", "1 x")]
        {
            assert_eq!(said(Some(key.as_bytes()), Some(value.as_bytes())), None, "{key} {value}");
        }
        assert_eq!(said(Some(b"1"), None), None, "a tombstone says nothing");
    }

    #[test]
    fn names_say_the_generation() {
        let config = Config::default();
        let generation = Generation(1_700_000_000_000);
        assert_eq!(generation_of(&config, &log(&config, generation)), Some(generation));
        for other in ["harkara.directory", "harkara.log.", "harkara2.log.1", "harkara.log.1.x"] {
            assert_eq!(generation_of(&config, other), None, "{other}");
        }
    }
}
