//! Records: from librdkafka into the buffers of their partitions, in order, and the watchdog.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use harkara_engine::LogError;
use rdkafka::{
    Offset,
    consumer::Consumer as _,
    error::KafkaError,
    message::{BorrowedMessage, Message as _},
};

use super::{Consumer, Member, TURN, arrive::gone};
use crate::{
    probe::{appended_at, entry},
    stats::count,
    topics,
};

/// Records taken in one turn: some milliseconds, so that everything else is not kept waiting.
const TURN_RECORDS: usize = 1_000;

/// A partition with something to read that has brought nothing for so long is fetched anew: longer
/// than an election and a reconnection.
const STALLED: Duration = Duration::from_secs(10);

impl Member {
    /// Takes what came; waits a moment for the first. Errors end the consumer.
    pub(super) fn fetch(&mut self, consumer: &Consumer) -> Result<(), LogError> {
        let mut wait = TURN;
        for _ in 0..TURN_RECORDS {
            match consumer.poll(wait) {
                Some(Ok(message)) => self.receive(consumer, &message),
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    return Err(consumer.context().ear.trouble("reading the log", &error));
                }
                Some(Err(error)) => {
                    // Brokers that go and come; librdkafka goes on by itself.
                    tracing::trace!(%error, "reading the log");
                }
                None => return Ok(()),
            }
            wait = Duration::ZERO;
        }
        Ok(())
    }

    fn receive(&mut self, consumer: &Consumer, message: &BorrowedMessage<'_>) {
        let Ok(partition) = u16::try_from(message.partition()) else { return };
        let Ok(offset) = u64::try_from(message.offset()) else { return };
        let Some(part) = self.parts.get(&partition).filter(|part| !part.failed) else { return };
        if offset != part.next && !self.in_order(consumer, partition, offset) {
            return;
        }
        if appended_at(message.timestamp()).is_none() {
            let why = "its records do not carry the brokers' time any more (LogAppendTime)";
            return self.stop(why);
        }
        let marker = topics::marks(message).marker;
        if let Some(generation) = marker
            && offset == 0
            && generation != Some(self.shared.generation)
        {
            return self.stop("it was made anew while we used it");
        }
        let Some(part) = self.parts.get_mut(&partition) else { return };
        part.next = offset + 1;
        part.jump = None;
        part.behind_ns = None;
        let full = entry(message).is_some_and(|entry| {
            self.shared.stats.consumed.fetch_add(1, Relaxed);
            part.slot.push(entry)
        });
        if full {
            self.pause(consumer, partition);
        }
    }

    /// Whether a record that is not the next one may be taken all the same. Offsets have no holes
    /// here, so something is wrong: with us (fetch again), or with the log (stop).
    fn in_order(&mut self, consumer: &Consumer, partition: u16, offset: u64) -> bool {
        let wait = self.wait();
        let Some(part) = self.parts.get_mut(&partition) else { return false };
        let next = part.next;
        let bounds = consumer.fetch_watermarks(&self.shared.topic, i32::from(partition), wait);
        let bounds =
            bounds.map(|(first, end)| (u64::try_from(first).ok(), u64::try_from(end).ok()));
        match bounds {
            Ok((_, Some(end))) if offset < next && end < next => {
                self.stop(&format!(
                    "partition {partition} ends at {end}, and records up to {next} were read: what \
                     was confirmed is gone"
                ));
            }
            // Something that was fetched before and comes late.
            _ if offset < next => {}
            Ok((Some(first), _)) if first > next => {
                let missing = gone(partition, next, first);
                self.fail(consumer, partition, missing);
            }
            Ok(_) if part.jump == Some(offset) => {
                tracing::warn!(
                    partition,
                    next,
                    offset,
                    "the log has a hole here, which is skipped"
                );
                return true;
            }
            _ => {
                part.jump = Some(offset);
                count(&self.shared.stats.stalls);
                tracing::warn!(partition, next, offset, "records were left out: fetching again");
                self.seek(consumer, partition, next);
            }
        }
        false
    }

    /// The log must not be used any more.
    fn stop(&self, why: &str) {
        self.shared.health.stop(format!("topic {}: {why}", self.shared.topic));
    }

    /// A partition can't be read any further.
    pub(super) fn fail(&mut self, consumer: &Consumer, partition: u16, trouble: LogError) {
        if let Some(part) = self.parts.get_mut(&partition) {
            tracing::error!(partition, error = %trouble, "partition not served");
            part.failed = true;
            part.slot.fail(trouble);
            self.pause(consumer, partition);
        }
    }

    fn pause(&mut self, consumer: &Consumer, partition: u16) {
        if self.paused.insert(partition)
            && let Err(error) = consumer.pause(&self.list(&[partition]))
        {
            tracing::warn!(%error, partition, "partition not paused");
        }
    }

    /// The log as a whole can't be used.
    pub(super) fn fail_all(&mut self) {
        let Some(why) = self.shared.health.stopped() else { return };
        self.confirmed.end();
        for part in self.parts.values_mut().filter(|part| !part.failed) {
            part.failed = true;
            part.slot.fail(LogError::Stop(why.clone()));
        }
    }

    /// Fetches from an offset on.
    pub(super) fn seek(&mut self, consumer: &Consumer, partition: u16, next: u64) {
        if let Some(part) = self.parts.get_mut(&partition) {
            part.next = next;
            part.behind_ns = None;
        }
        let offset = Offset::Offset(i64::try_from(next).unwrap_or(i64::MAX));
        let topic = &self.shared.topic;
        // Does not wait: where it has no effect, the next record says so, or the watchdog.
        if let Err(error) = consumer.seek(topic, i32::from(partition), offset, Duration::ZERO) {
            tracing::debug!(%error, partition, "seek not begun");
        }
    }

    /// Goes on fetching where readers made room.
    pub(super) fn resume(&mut self, consumer: &Consumer) {
        let room = |partition: &&u16| {
            self.parts.get(*partition).is_none_or(|part| !part.failed && part.slot.has_room())
        };
        let ready: Vec<u16> = self.paused.iter().filter(room).copied().collect();
        if ready.is_empty() {
            return;
        }
        match consumer.resume(&self.list(&ready)) {
            Ok(()) => self.paused.retain(|partition| !ready.contains(partition)),
            Err(error) => tracing::warn!(%error, "partitions not resumed"),
        }
    }

    /// Finds partitions that stand still although the log goes on.
    pub(super) fn watch(&mut self, consumer: &Consumer) {
        let now = self.now();
        if now < self.watch_ns {
            return;
        }
        self.watch_ns = now.saturating_add(1_000_000_000);
        let stalled_ns = u64::try_from(STALLED.as_nanos()).unwrap_or(u64::MAX);
        let mut stalled = Vec::new();
        for (partition, part) in &mut self.parts {
            let end = self.shared.end_of(*partition);
            if part.failed || part.next >= end || self.paused.contains(partition) {
                part.behind_ns = None;
            } else if now.saturating_sub(*part.behind_ns.get_or_insert(now)) >= stalled_ns {
                stalled.push((*partition, part.next, end));
            }
        }
        for (partition, next, end) in stalled {
            tracing::warn!(partition, next, end, "partition stands still: fetching again");
            count(&self.shared.stats.stalls);
            self.seek(consumer, partition, next);
        }
    }
}
