//! One topic: made, or compared with what it should be. What can be corrected without harm is;
//! what would lose something is refused.

use std::{collections::HashMap, thread, time::Duration};

use harkara_engine::LogError;
use rdkafka::{
    admin::{AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication},
    error::{KafkaError, RDKafkaErrorCode},
};

use crate::{
    block_on::block_on,
    check::{Actual, Admin},
    config::Config,
    probe::{Probe, Shape},
    topics::Setting,
};

/// Brokers make 1,024 partitions in some seconds, on a busy machine in more.
const MAKING: Duration = Duration::from_secs(60);

/// Tries to see a topic that was just made, with [`AGAIN`] in between: a minute.
const TRIES: u32 = 300;
const AGAIN: Duration = Duration::from_millis(200);

/// Makes and corrects topics.
pub(super) struct Maker {
    admin: Admin,
    replication: u16,
    min_insync: u16,
}

impl Maker {
    pub(super) fn new(config: &Config) -> Result<Self, LogError> {
        let (replication, min_insync) = (config.replication, config.min_insync);
        Ok(Self { admin: Admin::new(config)?, replication, min_insync })
    }

    /// The topic is there and as it should be; says what was done or found.
    pub(super) fn ensure(
        &self,
        probe: &Probe,
        topic: &str,
        partitions: u16,
        settings: &[Setting],
    ) -> Result<Vec<String>, LogError> {
        let Some(shape) = probe.shape(topic)? else {
            self.create(topic, partitions, settings)?;
            self.wait(probe, topic)?;
            let copies = self.replication;
            return Ok(vec![format!(
                "topic {topic}: made, {partitions} partitions, {copies} copies"
            )]);
        };
        self.check_partitions(topic, partitions, &shape)?;
        self.check_copies(topic, &shape)?;
        let mut lines = vec![format!("topic {topic}: found, {partitions} partitions")];
        lines.extend(self.correct(topic, settings)?);
        Ok(lines)
    }

    fn create(&self, topic: &str, partitions: u16, settings: &[Setting]) -> Result<(), LogError> {
        let copies = TopicReplication::Fixed(i32::from(self.replication));
        let mut new = NewTopic::new(topic, i32::from(partitions), copies);
        for (name, value) in settings {
            new = new.set(name, value);
        }
        let doing = format!("making topic {topic}");
        let ear = self.admin.client.inner().context();
        let options =
            AdminOptions::new().request_timeout(Some(MAKING)).operation_timeout(Some(MAKING));
        let made = block_on(self.admin.client.create_topics([&new], &options));
        let made = made.map_err(|error| ear.trouble(&doing, &error))?.into_iter().next();
        match made {
            None | Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
            Some(Err((_, RDKafkaErrorCode::InvalidReplicationFactor))) => {
                Err(LogError::Stop(format!(
                    "{doing}: there are fewer brokers than the {} copies that kafka.replication asks for",
                    self.replication
                )))
            }
            Some(Err((
                _,
                code @ (RDKafkaErrorCode::PolicyViolation
                | RDKafkaErrorCode::InvalidConfig
                | RDKafkaErrorCode::InvalidPartitions),
            ))) => Err(LogError::Stop(format!("{doing}: the brokers refuse it: {code}"))),
            Some(Err((_, code))) => Err(ear.trouble(&doing, &KafkaError::AdminOp(code))),
        }
    }

    /// Until every partition has somebody who leads it.
    fn wait(&self, probe: &Probe, topic: &str) -> Result<(), LogError> {
        for _ in 0..TRIES {
            let shape = probe.shape(topic)?.unwrap_or_default();
            if !shape.is_empty() && shape.iter().all(|shape| shape.led) {
                return Ok(());
            }
            thread::sleep(AGAIN);
        }
        Err(LogError::Unknown(format!("topic {topic} was made and is not led yet: run it again")))
    }

    fn check_partitions(&self, topic: &str, wanted: u16, shape: &[Shape]) -> Result<(), LogError> {
        let has = shape.len();
        if has == usize::from(wanted) {
            return Ok(());
        }
        Err(LogError::Stop(format!(
            "topic {topic} has {has} partitions instead of {wanted}: the number is fixed when a log \
             is made, since a conversation's partition hangs on it; set kafka.partitions = {has}"
        )))
    }

    fn check_copies(&self, topic: &str, shape: &[Shape]) -> Result<(), LogError> {
        let wanted = usize::from(self.replication);
        let fewest = shape.iter().map(|shape| shape.replicas).min().unwrap_or(wanted);
        let most = shape.iter().map(|shape| shape.replicas).max().unwrap_or(wanted);
        if most > wanted {
            return Err(LogError::Stop(format!(
                "topic {topic} has {most} copies and kafka.replication says {wanted}: they are not \
                 made fewer; set kafka.replication = {most}"
            )));
        }
        if fewest < wanted {
            return Err(LogError::Stop(format!(
                "topic {topic} has {fewest} copies and kafka.replication says {wanted}: add copies \
                 with kafka-reassign-partitions first, then run it again"
            )));
        }
        Ok(())
    }

    /// Sets what differs.
    fn correct(&self, topic: &str, settings: &[Setting]) -> Result<Vec<String>, LogError> {
        let actual = self.admin.settings(topic)?;
        let value = |name: &str| actual.get(name).map_or("", |actual| actual.value.as_str());
        let insync: u16 = value("min.insync.replicas").parse().unwrap_or(1);
        if insync > self.min_insync {
            return Err(LogError::Stop(format!(
                "topic {topic} asks for {insync} copies in step and kafka.min_insync says {}: fewer \
                 would make appends less durable; set kafka.min_insync = {insync}",
                self.min_insync
            )));
        }
        let differs = |(name, wanted): &&Setting| value(name) != wanted;
        let differing: Vec<&Setting> = settings.iter().filter(differs).collect();
        if differing.is_empty() {
            return Ok(Vec::new());
        }
        self.alter(topic, &actual, &differing)?;
        let line = |(name, wanted): &&Setting| {
            let before = value(name);
            format!("topic {topic}: {name} corrected from {before} to {wanted}")
        };
        Ok(differing.iter().map(line).collect())
    }

    /// The call replaces all settings of a topic, so those that were set before are said again.
    fn alter(
        &self,
        topic: &str,
        actual: &HashMap<String, Actual>,
        differing: &[&Setting],
    ) -> Result<(), LogError> {
        let mut alter = AlterConfig::new(ResourceSpecifier::Topic(topic));
        let changed = |name: &str| differing.iter().any(|(known, _)| *known == name);
        for (name, actual) in actual.iter().filter(|(name, actual)| actual.own && !changed(name)) {
            alter = alter.set(name, &actual.value);
        }
        for (name, wanted) in differing {
            alter = alter.set(name, wanted);
        }
        let doing = format!("correcting the settings of topic {topic}");
        let ear = self.admin.client.inner().context();
        let altered = block_on(self.admin.client.alter_configs([&alter], &Admin::options()));
        let altered = altered.map_err(|error| ear.trouble(&doing, &error))?.into_iter().next();
        match altered {
            Some(Err((_, code))) => Err(ear.trouble(&doing, &KafkaError::AdminOp(code))),
            _ => Ok(()),
        }
    }
}
