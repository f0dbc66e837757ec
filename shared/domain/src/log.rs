//! Places in the log: partitions, positions, generations, and the epochs of partition owners.

use crate::ids::ConversationId;

/// One ordered piece of the log; a conversation lives in exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u16);

impl Partition {
    /// The partition of a conversation among `count` (≥ 1). Our own hash, so that every client
    /// library, engine and version agrees.
    #[must_use]
    pub fn of(conversation: ConversationId, count: u16) -> Self {
        let hash = blake3::hash(conversation.as_bytes());
        let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
        let n = u64::from_be_bytes([a, b, c, d, e, f, g, h]) % u64::from(count.max(1));
        // `n` is below a u16.
        Self(n as u16)
    }
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Which life of the log this is. A log that was lost and made anew restarts its offsets; its new
/// generation keeps old positions from looking like new ones (soundness rule S2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(pub u64);

/// A place in one partition of the log, comparable within that partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Which life of the log.
    pub generation: Generation,
    /// Offset in the partition, from 0.
    pub offset: u64,
}

/// Grows with each claim of a partition by a worker; frames with a lower one are dropped (S5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);
