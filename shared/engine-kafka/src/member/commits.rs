//! Commits: what is done goes to the group in batches, one at a time. Each one that the group
//! confirms also proves that it counts us in, so it is made even when nothing new is done, and the
//! lease of all partitions is reckoned from the moment it was *sent*.
//!
//! The arithmetic: the group gives up a member `session_timeout` after it heard of it last. It
//! heard a confirmed commit after that was sent. A lease that ends `session_timeout - heartbeat`
//! after the sending ends before anybody else can own the partition, with a heartbeat's length to
//! spare for clocks that run unevenly and answers under way.
//!
//! The client only answers a commit that is waited for, so a thread of its own waits.

use std::{
    sync::{
        Arc,
        atomic::Ordering::Release,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    error::{KafkaResult, RDKafkaErrorCode},
};

use super::{Consumer, Member};
use crate::stats::count;

/// Between two commits: what a crash makes the next owner read again. One a second from each
/// worker is nothing to brokers.
const EVERY: Duration = Duration::from_secs(1);

/// Between two commits where the last one failed.
const AGAIN: Duration = Duration::from_millis(200);

/// What was asked for and when.
struct Flight {
    sent_ns: u64,
    offsets: Vec<(u16, u64)>,
}

/// The state of commits.
#[derive(Default)]
pub(super) struct Commits {
    flight: Option<Flight>,
    due_ns: u64,
    /// When the newest confirmed one was sent.
    confirmed_ns: u64,
}

/// The thread that waits for answers. At most one commit is under way.
pub(super) struct Committer {
    orders: SyncSender<TopicPartitionList>,
    answers: Receiver<KafkaResult<()>>,
    thread: JoinHandle<()>,
}

impl Committer {
    pub(super) fn start(consumer: &Arc<Consumer>) -> std::io::Result<Self> {
        let (orders, ordered) = sync_channel::<TopicPartitionList>(1);
        let (answer, answers) = sync_channel(1);
        let consumer = Arc::clone(consumer);
        let thread = thread::Builder::new().name("kafka-commit".into()).spawn(move || {
            while let Ok(list) = ordered.recv() {
                if answer.send(consumer.commit(&list, CommitMode::Sync)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { orders, answers, thread })
    }

    /// Ends it. Blocks while a commit is under way: for a session timeout at most.
    pub(super) fn join(self) {
        drop((self.orders, self.answers));
        if self.thread.join().is_err() {
            tracing::error!("the thread that commits ended early: see the log");
        }
    }
}

impl Commits {
    /// The next one is made at once.
    pub(super) fn hurry(&mut self) {
        self.due_ns = 0;
    }

    /// When the newest one that the group confirmed was sent; 0 where there is none.
    pub(super) const fn confirmed_ns(&self) -> u64 {
        self.confirmed_ns
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Member {
    /// Takes the answer to the last commit, and makes the next one when it is due.
    pub(super) fn commit(&mut self, consumer: &Consumer, committer: &Committer) {
        self.answered(consumer, committer);
        let now = self.now();
        if self.commits.flight.is_some() || now < self.commits.due_ns || self.parts.is_empty() {
            return;
        }
        let every = EVERY.min(self.shared.config.heartbeat.get());
        self.commits.due_ns = now.saturating_add(nanos(every));
        let mut offsets = self.undone();
        if offsets.is_empty() {
            // A sign of life: what is known already, once more.
            let known = self.parts.iter().next();
            offsets.extend(known.map(|(partition, part)| (*partition, part.slot.done())));
        }
        let mut list = TopicPartitionList::new();
        for (partition, offset) in &offsets {
            let offset = Offset::Offset(i64::try_from(*offset).unwrap_or(i64::MAX));
            let topic = &self.shared.topic;
            if list.add_partition_offset(topic, i32::from(*partition), offset).is_err() {
                return;
            }
        }
        if committer.orders.try_send(list).is_ok() {
            self.commits.flight = Some(Flight { sent_ns: now, offsets });
        }
    }

    /// What is done and not confirmed. A partition without any commit gets one, where it begins.
    fn undone(&self) -> Vec<(u16, u64)> {
        let parts = self.parts.iter();
        let done = parts.map(|(partition, part)| (*partition, part.slot.done(), part.committed));
        done.filter(|(_, done, committed)| committed.is_none_or(|committed| committed < *done))
            .map(|(partition, done, _)| (partition, done))
            .collect()
    }

    /// Whether the group may have given a partition to somebody else and back, unnoticed, before it
    /// confirmed this commit: it had not heard of us for a session.
    fn may_have_been_replaced(&self) -> bool {
        let (now, session) = (self.now(), nanos(self.shared.config.session_timeout.get()));
        let heard = |since_ns: u64| self.commits.confirmed_ns.max(since_ns);
        self.parts.values().any(|part| now.saturating_sub(heard(part.since_ns)) > session)
    }

    /// Whether everything that is done in these is known to the group.
    pub(super) fn is_committed(&self, partitions: &[u16]) -> bool {
        let mut parts = partitions.iter().filter_map(|partition| self.parts.get(partition));
        parts.all(|part| part.committed.is_some_and(|committed| committed >= part.slot.done()))
    }

    fn answered(&mut self, consumer: &Consumer, committer: &Committer) {
        let Ok(result) = committer.answers.try_recv() else { return };
        let Some(flight) = self.commits.flight.take() else { return };
        match result {
            Ok(()) => {
                count(&self.shared.stats.commits);
                self.was_replaced |= self.may_have_been_replaced();
                self.commits.confirmed_ns = flight.sent_ns;
                let config = &self.shared.config;
                let lease = config.session_timeout.get().saturating_sub(config.heartbeat.get());
                self.confirmed.extend(flight.sent_ns.saturating_add(nanos(lease)));
                for (partition, offset) in flight.offsets {
                    if let Some(part) = self.parts.get_mut(&partition) {
                        part.committed = part.committed.max(Some(offset));
                    }
                }
            }
            Err(error) => {
                count(&self.shared.stats.commits_failed);
                if matches!(
                    error.rdkafka_error_code(),
                    Some(
                        RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic
                    )
                ) {
                    self.shared.doubt.store(true, Release);
                }
                // Normal while the group changes; it is made again with what is done by then.
                let code = error.rdkafka_error_code();
                let normal = matches!(
                    code,
                    Some(
                        RDKafkaErrorCode::RebalanceInProgress | RDKafkaErrorCode::IllegalGeneration
                    )
                );
                if !normal {
                    let error = consumer.context().ear.trouble("committing", &error);
                    tracing::warn!(%error, "progress not committed, will try again");
                }
                self.commits.due_ns = self.now().saturating_add(nanos(AGAIN));
            }
        }
    }
}
