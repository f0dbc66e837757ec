//! Step 4 of the message path: how far a partition is done. Records finish in any order, the
//! commit moves only over those before which everything is done (never ahead of durable work).

use std::collections::BTreeMap;

/// Offsets in flight. Bounded by the partition's limit of records in flight.
#[derive(Debug, Default)]
pub struct Progress {
    /// Offset → is it done?
    flight: BTreeMap<u64, bool>,
    /// How many are not.
    open: usize,
    /// Where a new worker would start, once something was begun.
    next: Option<u64>,
    /// What was last handed out to be committed.
    committed: Option<u64>,
}

impl Progress {
    /// A record was read.
    pub fn begin(&mut self, offset: u64) {
        self.open += usize::from(self.flight.insert(offset, false).is_none());
        self.next.get_or_insert(offset);
    }

    /// A record's work is durable.
    pub fn done(&mut self, offset: u64) {
        if let Some(done) = self.flight.get_mut(&offset) {
            self.open -= usize::from(!std::mem::replace(done, true));
        }
        while let Some(entry) = self.flight.first_entry()
            && *entry.get()
        {
            self.next = Some(entry.key() + 1);
            entry.remove();
        }
    }

    /// How many records are not done.
    #[must_use]
    pub const fn in_flight(&self) -> usize {
        self.open
    }

    /// How many are remembered: all since the first one that is not done.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.flight.len()
    }

    /// What to commit now, where that is more than before.
    pub fn take_commit(&mut self) -> Option<u64> {
        let next = self.next?;
        let first = self.flight.first_key_value().map_or(next, |(offset, _)| *offset);
        if self.committed.is_some_and(|committed| committed >= first) || first == 0 {
            return None;
        }
        self.committed = Some(first);
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the order of finishing, a commit never passes an offset that is not done.
        #[test]
        fn commit_never_passes_unfinished(
            gaps in prop::collection::vec(1u64..4, 1..60),
            order in any::<u64>(),
        ) {
            let mut progress = Progress::default();
            let mut offset = 0;
            let mut open: Vec<u64> = gaps.iter().map(|gap| { offset += gap; offset }).collect();
            open.iter().for_each(|o| progress.begin(*o));
            let last = offset;
            let mut random = order | 1;
            while !open.is_empty() {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let index = usize::try_from(random >> 33).unwrap_or(0) % open.len();
                progress.done(open.swap_remove(index));
                let lowest = open.iter().min().copied().unwrap_or(last + 1);
                if let Some(commit) = progress.take_commit() {
                    prop_assert!(commit <= lowest);
                }
            }
            prop_assert_eq!((progress.in_flight(), progress.remembered()), (0, 0));
            prop_assert_eq!(progress.committed, Some(last + 1));
        }
    }
}
