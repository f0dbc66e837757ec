//! What librdkafka calls back on the consumer thread: partitions that come and go. Kept for the thread's next turn, since most of it takes longer than a callback
//! may; only a lost assignment is let go at once.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
};

use rdkafka::{
    ClientContext, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::KafkaError,
    types::RDKafkaRespErr,
};

use crate::client::Ear;

/// What the group decided. Each one must be answered, by `incremental_assign` or
/// `incremental_unassign`, or the group waits for ever.
#[derive(Debug)]
pub(crate) enum Turn {
    /// These come; answer with where to begin.
    Assign(Vec<u16>),
    /// These go; answer when their work is finished.
    Revoke(Vec<u16>),
    /// These are gone, and were answered.
    Lost(Vec<u16>),
}

/// Called back by librdkafka.
#[derive(Default)]
pub(crate) struct Turns {
    pub(crate) ear: Ear,
    turns: Mutex<VecDeque<Turn>>,
    closing: AtomicBool,
}

impl Turns {
    /// The next thing that the group decided.
    pub(crate) fn take(&self) -> Option<Turn> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Whatever comes from now on is answered at once.
    pub(crate) fn close(&self) {
        self.closing.store(true, Release);
    }

    fn push(&self, turn: Turn) {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).push_back(turn);
    }
}

impl ClientContext for Turns {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.ear.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.ear.error(error, reason);
    }
}

impl ConsumerContext for Turns {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let elements = list.elements();
        let partitions =
            elements.iter().filter_map(|element| u16::try_from(element.partition()).ok()).collect();
        let closing = self.closing.load(Acquire);
        let answered = match what {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS if closing => {
                consumer.incremental_assign(list)
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                self.push(Turn::Assign(partitions));
                Ok(())
            }
            _ if closing || consumer.assignment_lost() => {
                self.push(Turn::Lost(partitions));
                consumer.incremental_unassign(list)
            }
            _ => {
                self.push(Turn::Revoke(partitions));
                Ok(())
            }
        };
        if let Err(error) = answered {
            tracing::warn!(%error, "kafka does not take back partitions");
        }
    }
}
