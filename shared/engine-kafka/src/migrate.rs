//! Makes the topics, or checks and corrects them (`harkara migrate`). Running it again changes
//! nothing that is right; running it again after an interruption finishes it.
//!
//! The order makes that safe: the log's topic, its markers, and only then the record in the
//! directory that puts it to use. So a log that is named there was complete once, and one that is
//! incomplete now was lost and must not silently begin again (soundness S2). Two runs at the same
//! time are not meant; the later record would win.

mod topic;

use std::{sync::Arc, time::Duration};

use harkara_domain::{Generation, Partition};
use harkara_engine::LogError;
use harkara_service_runtime::clock::SharedClock;
use rdkafka::Offset;

use self::topic::Maker;
use crate::{
    block_on::block_on,
    check::{self, Checker, Unmarked},
    client,
    config::Config,
    log::blocking,
    producer::{Outcome, Producer},
    stats::Stats,
    topics::{self, Said},
};

/// What `migrate` did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// What was done or found, a sentence each.
    pub lines: Vec<String>,
    /// The log in use from now on.
    pub generation: Generation,
}

/// Bytes of markers that may wait: 1,024 of 300.
const QUEUE_BYTES: usize = 1024 * 1024;

/// Makes what is missing, checks what is there. With `new_log`, a new and empty log is made and
/// put to use; the records of the one before stay in its topic, and nobody reads them any more.
///
/// # Errors
/// [`LogError::Unknown`]: brokers are away or did not answer; run it again.
/// [`LogError::Stop`]: something is as it must not be, in words; it was left as it is.
pub async fn migrate(
    config: &Config,
    clock: &SharedClock,
    new_log: bool,
) -> Result<Migrated, LogError> {
    let (config, clock) = (config.clone(), clock.clone());
    blocking(move || Migration::new(config, clock)?.run(new_log)).await
}

/// For a producer whose records are all answered.
const CLOSE: Duration = Duration::from_secs(1);

struct Migration {
    config: Config,
    clock: SharedClock,
    checker: Checker,
    maker: Maker,
    lines: Vec<String>,
}

impl Migration {
    fn new(config: Config, clock: SharedClock) -> Result<Self, LogError> {
        let (checker, maker) = (Checker::new(&config)?, Maker::new(&config)?);
        Ok(Self { config, clock, checker, maker, lines: Vec::new() })
    }

    fn run(mut self, new_log: bool) -> Result<Migrated, LogError> {
        // Asks first whether anybody is there, so that settings that can't work are told at once.
        let logs = self.logs()?;
        let directory = topics::directory(&self.config);
        let settings = topics::directory_settings(&self.config);
        let probe = self.checker.probe();
        self.lines.extend(self.maker.ensure(probe, &directory, 1, &settings)?);
        let used = check::generation(self.checker.probe(), &self.config)?;
        let highest = logs.iter().copied().chain(used).max();
        let generation = match (used, highest) {
            (Some(used), _) if !new_log => {
                self.in_use(used, &logs)?;
                used
            }
            // Made by a run that was interrupted, or named by a directory that was lost.
            (None, Some(found)) if !new_log => self.begin(found)?,
            (_, highest) => {
                let next = highest.map_or(0, |highest| highest.0.saturating_add(1));
                self.begin(Generation(self.clock.now_ms().max(next)))?
            }
        };
        Ok(Migrated { lines: self.lines, generation })
    }

    /// The generations of all topics that are logs of ours.
    fn logs(&self) -> Result<Vec<Generation>, LogError> {
        let topics = self.checker.probe().topics()?;
        let generations =
            topics.iter().filter_map(|name| topics::generation_of(&self.config, name));
        Ok(generations.collect())
    }

    /// The log that is in use: checked, its settings corrected.
    fn in_use(&mut self, generation: Generation, logs: &[Generation]) -> Result<(), LogError> {
        let topic = topics::log(&self.config, generation);
        if !logs.contains(&generation) {
            return Err(LogError::Stop(format!(
                "topic {topic} is in use and is gone: restore it, or begin a new and empty log on \
                 purpose with `harkara migrate --new-log`"
            )));
        }
        self.ensure(&topic)?;
        self.checker.check(&self.config)?;
        self.lines.push(format!("generation {} of the log is in use", generation.0));
        Ok(())
    }

    fn ensure(&mut self, topic: &str) -> Result<(), LogError> {
        let settings = topics::log_settings(&self.config);
        let (probe, count) = (self.checker.probe(), self.config.partitions);
        self.lines.extend(self.maker.ensure(probe, topic, count, &settings)?);
        Ok(())
    }

    /// Makes a log, or finishes one, and puts it to use.
    fn begin(&mut self, generation: Generation) -> Result<Generation, LogError> {
        let topic = topics::log(&self.config, generation);
        self.ensure(&topic)?;
        self.mark(&topic, generation)?;
        let said = topics::say(&Said::Generation(generation));
        self.append(&topics::directory(&self.config), vec![Put::said(said)])?;
        let used = check::generation(self.checker.probe(), &self.config)?;
        if used != Some(generation) {
            return Err(LogError::Unknown(
                "somebody else runs `harkara migrate` at the same time: run it again".to_owned(),
            ));
        }
        self.lines.push(format!("generation {} of the log put to use", generation.0));
        Ok(generation)
    }

    /// Every partition begins with a marker.
    fn mark(&mut self, topic: &str, generation: Generation) -> Result<(), LogError> {
        let count = self.config.partitions;
        let ends = self.checker.probe().offsets(topic, count, Offset::End)?;
        let empty = (0..count).zip(ends).filter(|(_, end)| *end == 0);
        let puts: Vec<Put> =
            empty.map(|(partition, _)| Put::marker(partition, generation)).collect();
        let marked = puts.len();
        self.append(topic, puts)?;
        if marked > 0 {
            self.lines.push(format!("topic {topic}: markers written to {marked} partitions"));
        }
        match self.checker.unmarked(topic, count, generation)? {
            None => Ok(()),
            Some(Unmarked::Empty(partition)) => Err(LogError::Unknown(format!(
                "partition {partition} of topic {topic} has no marker yet: run it again"
            ))),
            Some(Unmarked::Other(partition)) => Err(LogError::Stop(format!(
                "topic {topic} has records and was not made by `harkara migrate` (partition \
                 {partition} begins without a marker): use another kafka.prefix, or remove it"
            ))),
        }
    }

    /// Appends, waits for all, and leaves nothing behind.
    fn append(&self, topic: &str, puts: Vec<Put>) -> Result<(), LogError> {
        let settings = client::producer(&self.config);
        let outcome = Outcome::new(self.clock.clone(), Arc::new(Stats::default()));
        let producer = Producer::new(settings, topic.to_owned(), QUEUE_BYTES, outcome)?;
        let pending: Result<Vec<_>, LogError> =
            puts.into_iter().map(|put| put.into(&producer)).collect();
        for pending in pending? {
            block_on(pending)?;
        }
        producer.close(CLOSE);
        Ok(())
    }
}

/// A record to be appended.
struct Put {
    partition: Partition,
    text: (String, String),
    marker: Option<Generation>,
}

impl Put {
    const fn said(text: (String, String)) -> Self {
        Self { partition: Partition(0), text, marker: None }
    }

    const fn marker(partition: u16, generation: Generation) -> Self {
        let text = (String::new(), String::new());
        Self { partition: Partition(partition), text, marker: Some(generation) }
    }

    fn into(self, producer: &Producer) -> Result<harkara_engine::Pending, LogError> {
        let (key, value) = &self.text;
        let headers = self.marker.map(topics::marker);
        producer.put(self.partition, key.as_bytes(), value.as_bytes(), headers)
    }
}
