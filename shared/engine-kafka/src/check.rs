//! Is the log what it was made to be? Asked when it is opened, and each minute while it is used
//! (soundness S2, S9): its generation, its partitions, its settings, its markers.

use std::collections::HashMap;

use harkara_domain::Generation;
use harkara_engine::LogError;
use rdkafka::{
    Offset,
    admin::{AdminClient, AdminOptions, ConfigSource, ResourceSpecifier},
};

use crate::{
    block_on::block_on,
    client::{self, Ear},
    config::Config,
    probe::{Probe, Shape, TIMEOUT},
    tail::{Tail, newest_generation},
    topics,
};

/// A setting as brokers tell it.
#[derive(Debug, Clone)]
pub(crate) struct Actual {
    pub(crate) value: String,
    /// Whether it was set for this topic.
    pub(crate) own: bool,
}

/// Asks and changes what topics are set up with. For short use: its complaints are heard by nobody
/// and would pile up.
pub(crate) struct Admin {
    pub(crate) client: AdminClient<Ear>,
}

impl Admin {
    pub(crate) fn new(config: &Config) -> Result<Self, LogError> {
        let client = client::admin(config).create_with_context(Ear::default());
        let client = client.map_err(|error| Ear::default().trouble("connecting", &error))?;
        Ok(Self { client })
    }

    pub(crate) fn options() -> AdminOptions {
        AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
    }

    /// All settings of a topic.
    pub(crate) fn settings(&self, topic: &str) -> Result<HashMap<String, Actual>, LogError> {
        let doing = format!("asking for the settings of topic {topic}");
        let trouble = |error| self.client.inner().context().trouble(&doing, &error);
        let asked = [ResourceSpecifier::Topic(topic)];
        let answer = block_on(self.client.describe_configs(&asked, &Self::options()));
        let answer = answer.map_err(trouble)?.into_iter().next();
        let resource = answer.ok_or_else(|| LogError::Unknown(format!("{doing}: no answer")))?;
        let resource =
            resource.map_err(|code| trouble(rdkafka::error::KafkaError::AdminOp(code)))?;
        let entries = resource.entries.into_iter();
        Ok(entries
            .filter_map(|entry| {
                let own = entry.source == ConfigSource::DynamicTopic;
                Some((entry.name, Actual { value: entry.value?, own }))
            })
            .collect())
    }
}

/// What is looked through; keeps its connections.
pub(crate) struct Checker {
    probe: Probe,
    markers: Probe,
}

impl Checker {
    pub(crate) fn new(config: &Config) -> Result<Self, LogError> {
        Ok(Self { probe: Probe::new(config)?, markers: Probe::for_markers(config)? })
    }

    /// Hears what its clients have to complain about.
    pub(crate) fn listen(&self) {
        self.probe.listen();
        self.markers.listen();
    }

    /// For looks at shapes and ends.
    pub(crate) const fn probe(&self) -> &Probe {
        &self.probe
    }

    /// The generation in use, after everything was looked at.
    pub(crate) fn check(&self, config: &Config) -> Result<Generation, LogError> {
        let generation = generation(&self.probe, config)?.ok_or_else(|| {
            let prefix = &config.prefix;
            LogError::Unknown(format!(
                "there is no log with the prefix {prefix:?}: run `harkara migrate`"
            ))
        })?;
        let topic = topics::log(config, generation);
        let shape = self.probe.shape(&topic)?.ok_or_else(|| {
            LogError::Unknown(format!(
                "topic {topic} is gone: restore it, or run `harkara migrate --new-log` to begin a \
                 new log without its records"
            ))
        })?;
        check_shape(config, &topic, &shape)?;
        let settings = Admin::new(config)?.settings(&topic)?;
        check_settings(config, &topic, &settings).map_err(LogError::Stop)?;
        let unmarked = self.unmarked(&topic, config.partitions, generation)?;
        // Markers were there before the generation was put to use, so this is another topic.
        let Some(Unmarked::Empty(partition) | Unmarked::Other(partition)) = unmarked else {
            return Ok(generation);
        };
        Err(LogError::Stop(format!(
            "topic {topic} is not the one that was made: partition {partition} does not begin with \
             a marker of generation {}. Somebody made it anew, and its records of before are gone: \
             restore them, or begin a new log with `harkara migrate --new-log`",
            generation.0
        )))
    }

    /// A partition that begins at offset 0 and has no marker of this generation there.
    pub(crate) fn unmarked(
        &self,
        topic: &str,
        count: u16,
        generation: Generation,
    ) -> Result<Option<Unmarked>, LogError> {
        let firsts = self.probe.offsets(topic, count, Offset::Beginning)?;
        let ends = self.probe.offsets(topic, count, Offset::End)?;
        let whole: Vec<u16> =
            (0..count).zip(firsts).filter(|(_, first)| *first == 0).map(|(p, _)| p).collect();
        let empty = whole.iter().find(|p| ends.get(usize::from(**p)) == Some(&0));
        if let Some(empty) = empty {
            return Ok(Some(Unmarked::Empty(*empty)));
        }
        if whole.is_empty() {
            return Ok(None);
        }
        let markers = self.markers.markers(topic, &whole)?;
        let other = markers.into_iter().find(|(_, marker)| *marker != Some(generation));
        Ok(other.map(|(partition, _)| Unmarked::Other(partition)))
    }
}

/// A partition without a marker of its generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unmarked {
    /// It never had a record.
    Empty(u16),
    /// Something else stands there.
    Other(u16),
}

/// The generation that the directory names.
pub(crate) fn generation(probe: &Probe, config: &Config) -> Result<Option<Generation>, LogError> {
    if probe.shape(&topics::directory(config))?.is_none() {
        return Ok(None);
    }
    Ok(newest_generation(&Tail::new(config)?.read_to_end(probe)?))
}

/// A topic with another number of partitions belongs to somebody else's conversations.
pub(crate) fn check_shape(config: &Config, topic: &str, shape: &[Shape]) -> Result<(), LogError> {
    let (has, wanted) = (shape.len(), config.partitions);
    if has == usize::from(wanted) {
        return Ok(());
    }
    Err(LogError::Stop(format!(
        "topic {topic} has {has} partitions and kafka.partitions says {wanted}: the number is fixed \
         when the log is made, since a conversation's partition hangs on it; set \
         kafka.partitions = {has}"
    )))
}

/// Settings that a promise hangs on.
fn check_settings(
    config: &Config,
    topic: &str,
    settings: &HashMap<String, Actual>,
) -> Result<(), String> {
    let value = |name: &str| settings.get(name).map_or("", |actual| actual.value.as_str());
    let wrong = |name: &str, right: &str| {
        let has = value(name);
        Err(format!("topic {topic} has {name}={has}, which must be {right}: run `harkara migrate`"))
    };
    for name in ["message.timestamp.type", "cleanup.policy", "unclean.leader.election.enable"] {
        let wanted = topics::log_settings(config);
        let wanted =
            wanted.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        if let Some(wanted) = wanted.filter(|wanted| *wanted != value(name)) {
            return wrong(name, wanted);
        }
    }
    let insync: Option<u16> = value("min.insync.replicas").parse().ok();
    if insync.is_none_or(|insync| insync < config.min_insync) {
        let least = config.min_insync;
        return wrong("min.insync.replicas", &format!("{least} or more (kafka.min_insync)"));
    }
    let retention: i64 = value("retention.ms").parse().unwrap_or(0);
    let wanted = i64::try_from(config.retention.as_millis()).unwrap_or(i64::MAX);
    if retention != wanted {
        tracing::warn!(
            topic,
            retention,
            wanted,
            "retention is not what settings say: run `harkara migrate`"
        );
    }
    Ok(())
}
