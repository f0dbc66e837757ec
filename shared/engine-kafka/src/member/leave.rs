//! Partitions that go: given back when nobody works on them any more, or lost.

use rdkafka::consumer::Consumer as _;

use super::{Consumer, Member, commits::Commits, context::Turn};
use crate::stats::count;

/// How long the last commit of partitions that go is waited for; without it the next owner reads
/// what it would have covered again.
const LAST_COMMIT_NS: u64 = 1_000_000_000;

impl Member {
    /// Readers of these end; their work may go on.
    pub(super) fn drain(&mut self, partitions: &[u16]) {
        for partition in partitions {
            if let Some(part) = self.parts.get(partition) {
                part.slot.drain();
            }
        }
    }

    /// Gone without a chance to finish.
    pub(super) fn lose(&mut self, partitions: &[u16]) {
        for partition in partitions {
            self.paused.remove(partition);
            if let Some(part) = self.parts.remove(partition) {
                part.slot.end();
                count(&self.shared.stats.lost);
            }
        }
        tracing::warn!(
            count = partitions.len(),
            "partitions lost: the workers' group had not heard of this process"
        );
        self.count_parts();
    }

    /// Everything is somebody else's.
    pub(super) fn let_go(&mut self) {
        self.confirmed.end();
        let partitions: Vec<u16> = self.parts.keys().copied().collect();
        if !partitions.is_empty() {
            self.lose(&partitions);
        }
    }

    /// Whether nobody works on these any more.
    fn is_quiet(&self, partitions: &[u16]) -> bool {
        let mut parts = partitions.iter().filter_map(|partition| self.parts.get(partition));
        parts.all(|part| !part.is_held())
    }

    /// Gives back what goes, once its work is finished and committed or patience has ended.
    pub(super) fn give_back(&mut self, consumer: &Consumer) {
        let Some((partitions, until)) = self.going.take() else { return };
        let now = self.now();
        if !self.is_quiet(&partitions) && now < until {
            self.going = Some((partitions, until));
            return;
        }
        for part in partitions.iter().filter_map(|partition| self.parts.get(partition)) {
            part.slot.end();
        }
        if !self.is_committed(&partitions) && now < until.saturating_add(LAST_COMMIT_NS) {
            self.commits.hurry();
            // From here on, patience is that of the last commit.
            self.going = Some((partitions, until.min(now)));
            return;
        }
        if let Err(error) = consumer.incremental_unassign(&self.list(&partitions)) {
            tracing::warn!(%error, "kafka does not take back partitions");
        }
        for partition in &partitions {
            self.parts.remove(partition);
            self.paused.remove(partition);
        }
        self.count_parts();
    }

    /// True when it was asked to leave and has nothing left.
    pub(super) fn has_left(&mut self) -> bool {
        if !self.is_leaving() {
            return false;
        }
        // What the group wants back is finished first; it is part of the same.
        if self.going.is_some() {
            return false;
        }
        let partitions: Vec<u16> = self.parts.keys().copied().collect();
        if partitions.is_empty() {
            return true;
        }
        let now = self.now();
        let patience = self.shared.config.drain.as_millis().saturating_mul(1_000_000);
        let until = *self.left_ns.get_or_insert(now.saturating_add(patience));
        self.drain(&partitions);
        if !self.is_quiet(&partitions) && now < until {
            return false;
        }
        partitions.iter().filter_map(|p| self.parts.get(p)).for_each(|part| part.slot.end());
        if !self.is_committed(&partitions) && now < until.saturating_add(LAST_COMMIT_NS) {
            self.commits.hurry();
            self.left_ns = Some(until.min(now));
            return false;
        }
        true
    }

    /// Prepares for leaving the group, which dropping the consumer does. What still has to be
    /// answered is answered first, or leaving would wait for it.
    pub(super) fn close(&mut self, consumer: &Consumer) {
        consumer.context().close();
        if let Some(partitions) = self.coming.take() {
            let _ = consumer.incremental_assign(&self.list(&partitions));
        }
        if let Some((partitions, _)) = self.going.take() {
            let _ = consumer.incremental_unassign(&self.list(&partitions));
        }
        while let Some(turn) = consumer.context().take() {
            let _ = match turn {
                Turn::Assign(partitions) => consumer.incremental_assign(&self.list(&partitions)),
                Turn::Revoke(partitions) => consumer.incremental_unassign(&self.list(&partitions)),
                Turn::Lost(_) => Ok(()),
            };
        }
        self.confirmed.end();
        self.parts.values().for_each(|part| part.slot.end());
        self.parts.clear();
        self.paused.clear();
        self.commits = Commits::default();
        self.count_parts();
    }
}
