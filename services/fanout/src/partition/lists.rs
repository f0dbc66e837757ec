//! When the lists of users changed last, as far as this owner has seen: so that whoever comes back
//! to a list that is as it was need not have it read from the store. Pure; `records` tells what
//! came, `asks` answers with it.
//!
//! A version is above the offset of every record of the inbox so far; it may be higher than needed,
//! never lower. That holds across owners, since they read the same log: a list that was read after
//! an owner said version n has in it whatever any owner will later call n or less.

use std::collections::HashMap;

use harkara_domain::ConversationId;

/// Inboxes remembered, per partition: 4,096 × ~48 bytes = 200 kB. One more, and all are forgotten.
const LISTS_MAX: usize = 4_096;

/// See the module.
#[derive(Debug, Default)]
pub struct Lists {
    changed: HashMap<ConversationId, u64>,
    /// The version of those that are not remembered; none before the first record was read: what was
    /// in the log before is not known.
    others: Option<u64>,
}

impl Lists {
    /// A record was read; the first one says what has been there before.
    pub fn read(&mut self, offset: u64) {
        self.others.get_or_insert(offset + 1);
    }

    /// A record of this inbox was read.
    pub fn changed(&mut self, inbox: ConversationId, offset: u64) {
        if self.changed.len() >= LISTS_MAX && !self.changed.contains_key(&inbox) {
            self.changed.clear();
            self.others = Some(offset + 2);
        }
        self.changed.insert(inbox, offset + 2);
    }

    /// The version of a user's list; 0 where none is known.
    pub fn version(&self, inbox: ConversationId) -> u64 {
        self.changed.get(&inbox).copied().or(self.others).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn inbox(n: u32) -> ConversationId {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        ConversationId::from_bytes(id)
    }

    #[test]
    fn nothing_is_known_before_the_first_record() {
        let mut lists = Lists::default();
        assert_eq!(lists.version(inbox(1)), 0);
        lists.read(7);
        assert_eq!(lists.version(inbox(1)), 8, "it may have changed with offset 6");
        lists.changed(inbox(1), 7);
        lists.read(8);
        assert_eq!((lists.version(inbox(1)), lists.version(inbox(2))), (9, 8));
    }

    #[test]
    fn who_is_forgotten_is_taken_for_changed() {
        let mut lists = Lists::default();
        for n in 0..=LISTS_MAX as u32 {
            lists.read(u64::from(n));
            lists.changed(inbox(n), u64::from(n));
        }
        assert_eq!(lists.changed.len(), 1);
        assert_eq!(lists.version(inbox(0)), LISTS_MAX as u64 + 2);
    }

    proptest! {
        /// Two owners of the same log, the second of which begins anywhere: a change that comes after
        /// a version was told is never called that version or less, whoever is asked.
        #[test]
        fn no_change_hides_behind_a_version(
            log in prop::collection::vec(0u32..4, 1..60), told_at in 0usize..60, begins in 0usize..60,
        ) {
            let (mut first, mut second) = (Lists::default(), Lists::default());
            let told_at = told_at.min(log.len());
            let mut told = None;
            for (offset, user) in log.iter().enumerate() {
                if offset == told_at {
                    told = Some(first.version(inbox(0)));
                }
                first.read(offset as u64);
                first.changed(inbox(*user), offset as u64);
                if offset >= begins {
                    second.read(offset as u64);
                    second.changed(inbox(*user), offset as u64);
                }
                let changed = log[told_at.min(offset + 1)..=offset].contains(&0);
                for owner in [&first, &second] {
                    // One that has not read the change yet tells it when it does.
                    let has_read = owner.others.is_some();
                    if let Some(told) = told.filter(|_| changed && has_read) {
                        prop_assert!(owner.version(inbox(0)) > told);
                    }
                }
            }
        }
    }
}
