//! Reads the directory's topic from its beginning and then on: claims and the log's generation.
//! Used once by whoever opens the log or migrates, and for good by `directory`.

use std::time::Duration;

use harkara_domain::Generation;
use harkara_engine::LogError;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::Message as _,
};

use crate::{
    client::{self, Ear},
    config::Config,
    probe::{Probe, TIMEOUT},
    topics::{self, Said},
};

/// A reader of the directory's topic.
pub(crate) struct Tail {
    consumer: BaseConsumer<Ear>,
    topic: String,
    /// The next offset.
    next: u64,
}

/// A record of the directory and where it stands.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) offset: u64,
    pub(crate) said: Said,
}

impl Tail {
    /// At the beginning. Nothing is asked of the brokers yet.
    pub(crate) fn new(config: &Config) -> Result<Self, LogError> {
        let topic = topics::directory(config);
        let consumer = client::reader(config).create_with_context(Ear::default());
        let consumer: BaseConsumer<Ear> =
            consumer.map_err(|error| Ear::default().trouble("connecting", &error))?;
        let mut list = TopicPartitionList::new();
        let assigned = list
            .add_partition_offset(&topic, 0, Offset::Beginning)
            .and_then(|()| consumer.assign(&list));
        assigned.map_err(|error| consumer.context().trouble("reading the directory", &error))?;
        Ok(Self { consumer, topic, next: 0 })
    }

    fn trouble(&self, error: &KafkaError) -> LogError {
        self.consumer.context().trouble("reading the directory", error)
    }

    /// Everything up to where the topic ends now.
    pub(crate) fn read_to_end(&mut self, probe: &Probe) -> Result<Vec<Told>, LogError> {
        let end = probe.end(&self.topic, 0)?;
        let mut told = Vec::new();
        while self.next < end {
            let before = self.next;
            told.extend(self.read(TIMEOUT)?);
            if self.next == before {
                let why = "reading the directory: no answer in time".to_owned();
                return Err(LogError::Unknown(why));
            }
        }
        self.consumer.context().forget();
        Ok(told)
    }

    /// The next record, where one comes in time and is of a form that we know.
    pub(crate) fn read(&mut self, wait: Duration) -> Result<Option<Told>, LogError> {
        match self.consumer.poll(wait) {
            None => Ok(None),
            // An empty tail: everything before it was read.
            Some(Err(KafkaError::PartitionEOF(_))) => {
                self.next = self.next.max(self.end());
                Ok(None)
            }
            Some(Err(error)) => Err(self.trouble(&error)),
            Some(Ok(message)) => {
                let offset = u64::try_from(message.offset()).unwrap_or(0);
                self.next = offset + 1;
                let said = topics::said(message.key(), message.payload());
                if said.is_none() {
                    tracing::warn!(offset, "a record of the directory is of no form that is known");
                }
                Ok(said.map(|said| Told { offset, said }))
            }
        }
    }

    /// Where reading stands after the end was reached: compaction may have removed the last records.
    fn end(&self) -> u64 {
        let positions = self.consumer.position();
        let position = positions
            .ok()
            .and_then(|list| list.find_partition(&self.topic, 0).map(|element| element.offset()));
        match position {
            Some(Offset::Offset(offset)) => u64::try_from(offset).unwrap_or(0),
            _ => 0,
        }
    }
}

/// The newest generation among what was told.
pub(crate) fn newest_generation(told: &[Told]) -> Option<Generation> {
    told.iter().rev().find_map(|told| match &told.said {
        Said::Generation(generation) => Some(*generation),
        Said::Rules(_) | Said::Claim(..) => None,
    })
}
