//! The log: partitions of records, a group of consumers, and what each process holds of it.
//!
//! - [`broker`]: records, commits and the group, as the brokers keep them.
//! - [`group`]: who gets which partition.
//! - [`producer`]: a process's appends on their way.  [`member`]: a process as a consumer.

pub mod broker;
pub mod group;
pub mod member;
pub mod producer;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use harkara_domain::{ConversationId, Generation, Partition};
use harkara_engine::{Assignments, Log, LogError, Pending};

use self::{
    broker::Broker,
    member::{Member, Seats},
    producer::Producer,
};
use crate::process::Proc;

/// A process's handle on the log.
pub struct SimLog {
    proc: Arc<Proc>,
    broker: Arc<Broker>,
    generation: Generation,
    producer: Producer,
    member: Mutex<Option<Arc<Member>>>,
}

impl SimLog {
    /// The log as this process sees it, with at most so many bytes in front of it.
    #[must_use]
    pub fn new(proc: Arc<Proc>, broker: Arc<Broker>, queued_bytes_max: usize) -> Self {
        let generation = broker.generation();
        let producer = Producer::new(Arc::clone(&proc), Arc::clone(&broker), queued_bytes_max);
        Self { proc, broker, generation, producer, member: Mutex::default() }
    }
}

#[async_trait]
impl Log for SimLog {
    fn partitions(&self) -> u16 {
        self.broker.partitions()
    }

    fn generation(&self) -> Generation {
        self.generation
    }

    fn append(
        &self,
        partition: Partition,
        _key: ConversationId,
        record: Bytes,
    ) -> Result<Pending, LogError> {
        self.producer.append(partition, record)
    }

    /// A process is a member once: joining again is leaving first.
    async fn consume(&self) -> Result<Box<dyn Assignments>, LogError> {
        let (member, assignments) =
            Seats::join(Arc::clone(&self.proc), Arc::clone(&self.broker), self.generation);
        let before =
            self.member.lock().unwrap_or_else(PoisonError::into_inner).replace(Arc::clone(&member));
        if let Some(before) = before {
            before.leave();
        }
        member.begin();
        Ok(Box::new(assignments))
    }

    async fn ready(&self) -> Result<(), LogError> {
        Ok(())
    }
}
