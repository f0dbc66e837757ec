//! The state of one conversation: what its events add up to, without the dedup window (which is
//! kept in the timeline itself). `harkara-fanout` has the functions that decide and evolve it.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    Millis, Ordinal, Seq,
    chain::{self, Hash},
    ids::{ConversationId, TenantId, UserId},
    log::Position,
    roles::{Kind, Role},
    view::Rejection,
};

/// A member, as the order of events made them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// What they may do.
    pub role: Role,
    /// The first sequence they may see.
    pub from: Seq,
    /// Having sent is having read: the later of their joining and their last message.
    pub sent: Seq,
    /// Messages up to `sent`.
    pub sent_ordinal: Ordinal,
}

/// A conversation after its event `head`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Whose data this is. Nil while `head` is 0.
    pub tenant: TenantId,
    /// What it is for.
    pub kind: Kind,
    /// Its name, if any.
    pub title: Option<String>,
    /// The newest sequence; 0 while there is no such conversation.
    pub head: Seq,
    /// Messages up to `head`.
    pub ordinal: Ordinal,
    /// The time of the newest event.
    pub at: Millis,
    /// The hash chain up to `head`.
    pub chain: Hash,
    /// The last log record that left a trace: an event or a rejection.
    pub applied: Option<Position>,
    /// Everybody in it.
    pub members: BTreeMap<UserId, Member>,
    /// The last rejections, oldest first (soundness S1).
    pub rejections: VecDeque<Rejection>,
}

impl State {
    /// The state before the first event.
    #[must_use]
    pub fn empty(conversation: ConversationId) -> Self {
        Self {
            tenant: TenantId::from_bytes([0; 16]),
            kind: Kind::Group,
            title: None,
            head: 0,
            ordinal: 0,
            at: 0,
            chain: chain::start(conversation),
            applied: None,
            members: BTreeMap::new(),
            rejections: VecDeque::new(),
        }
    }

    /// Is there such a conversation?
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.head > 0
    }
}
