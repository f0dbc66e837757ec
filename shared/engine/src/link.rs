//! The link between gateways and partition owners: subscriptions and questions up, events and
//! answers down. Bounded both ways; what is lost is lost loudly and healed from the store (D8).
//!
//! A gateway has one endpoint per hub (worker thread), so that a push crosses threads once per
//! thread; an engine that crosses machines sends one frame per gateway and splits it there.

use std::sync::Arc;

use harkara_domain::{
    ClientId, ConversationId, Cursor, DeviceId, Entry, Epoch, Event, Partition, RejectCode, Role,
    Seq, UserId,
};
use tokio::sync::mpsc;

/// One hub of one gateway; unique in the cluster and over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(pub u64);

/// The link's queue took nothing: it is full, or nobody owns the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the partition's owner can't be reached")]
pub struct Unreachable;

/// From a gateway to the owner of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Up {
    /// These users of the endpoint want a conversation's events. Answered by
    /// [`Down::Subscribed`]; those who are no members are not subscribed. Repeating is harmless.
    Subscribe {
        /// Which conversation, or inbox.
        conversation: ConversationId,
        /// For whom.
        users: Vec<UserId>,
    },
    /// A user of the endpoint wants the news of their inbox. Answered by [`Down::Subscribed`] with
    /// no entry, and in place of the head with a number that grows whenever the list changes; 0
    /// where the owner knows none.
    SubscribeInbox {
        /// Which inbox.
        conversation: ConversationId,
        /// Whose.
        user: UserId,
    },
    /// These users no longer want them.
    Unsubscribe {
        /// Which conversation, or inbox.
        conversation: ConversationId,
        /// For whom; for nobody of the endpoint where empty.
        users: Vec<UserId>,
    },
    /// Somebody has read up to here. Answered by [`Down::Answer`].
    Advance {
        /// To find the answer's asker.
        request: u64,
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// Up to here.
        seq: Seq,
    },
    /// A page of members for a member. Answered by [`Down::Answer`].
    Members {
        /// To find the answer's asker.
        request: u64,
        /// Of which conversation.
        conversation: ConversationId,
        /// Who asks.
        user: UserId,
        /// Members above this one.
        after: Option<UserId>,
        /// How many at most.
        limit: usize,
    },
    /// A member's entry as it is now. Answered by [`Down::Answer`].
    Entry {
        /// To find the answer's asker.
        request: u64,
        /// Of which conversation.
        conversation: ConversationId,
        /// Who asks.
        user: UserId,
    },
    /// Somebody is typing or not. Not answered, dropped first.
    Typing {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// Typing, or not any more.
        active: bool,
    },
}

impl Up {
    /// The conversation it is about.
    #[must_use]
    pub const fn conversation(&self) -> ConversationId {
        match self {
            Self::Subscribe { conversation, .. }
            | Self::SubscribeInbox { conversation, .. }
            | Self::Unsubscribe { conversation, .. }
            | Self::Advance { conversation, .. }
            | Self::Members { conversation, .. }
            | Self::Entry { conversation, .. }
            | Self::Typing { conversation, .. } => *conversation,
        }
    }
}

/// From the owner of a partition to gateways.
#[derive(Debug, Clone, PartialEq)]
pub struct Down {
    /// Which partition speaks.
    pub partition: Partition,
    /// The owner's claim; frames with a lower one than seen before are dropped (S5).
    pub epoch: Epoch,
    /// About which conversation or inbox.
    pub conversation: ConversationId,
    /// What it says.
    pub what: What,
}

/// What an owner says.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A stored event.
    Event(Arc<Event>),
    /// The answer to [`Up::Subscribe`]: the head, and each user's entry where they are members.
    Subscribed {
        /// The newest stored sequence; 0 where there is none.
        head: Seq,
        /// In the order asked; none for those who are no members.
        entries: Vec<(UserId, Option<Entry>)>,
    },
    /// What became of a record, told to the endpoint that appended it.
    Outcome {
        /// Whose record.
        device: DeviceId,
        /// The device's id for it.
        client_id: ClientId,
        /// What became of it.
        outcome: Outcome,
    },
    /// A user's list changed; `Down::conversation` is the inbox.
    Inbox {
        /// Whose.
        user: UserId,
        /// Which conversation.
        conversation: ConversationId,
        /// The sequence of the event that caused it.
        cause: Seq,
        /// In the list from now on, or not.
        present: bool,
    },
    /// Somebody has read up to here.
    Read {
        /// Who.
        user: UserId,
        /// Up to here.
        cursor: Cursor,
    },
    /// Somebody is typing, or not any more.
    Typing {
        /// Who.
        user: UserId,
        /// Typing, or not any more.
        active: bool,
    },
    /// The answer to a question.
    Answer {
        /// The number it was asked with.
        request: u64,
        /// What came of it.
        answer: Answer,
    },
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is the event at this sequence.
    Applied(Seq),
    /// It repeats the request whose event stands at this sequence.
    Settled(Seq),
    /// It was refused.
    Rejected(RejectCode),
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The asker is no member, or there is no such conversation.
    NotFound,
    /// The cursor is beyond the head, which is this.
    BeyondHead(Seq),
    /// The cursor is written (or was further already).
    Advanced,
    /// A page of members, and whether there are more.
    Members(Vec<(UserId, Role)>, bool),
    /// The asker's entry.
    Entry(Entry),
    /// The owner can't say now.
    Unavailable,
}

/// A gateway's end.
pub trait GatewayLink: Send + Sync + 'static {
    /// Queues a frame to the partition's owner.
    ///
    /// # Errors
    /// When nothing was queued.
    fn send(&self, partition: Partition, up: Up) -> Result<(), Unreachable>;

    /// Is there a live link to the partition's owner? While there is none, nothing that the owner
    /// confirmed may be served (soundness S4).
    fn reaches(&self, partition: Partition) -> bool;

    /// Were frames to this endpoint lost since the last call? Then it must subscribe again and
    /// compare heads. Also true after the link was cut or a partition changed hands.
    fn take_lost(&self) -> bool;
}

/// A worker's end.
pub trait WorkerLink: Send + Sync + 'static {
    /// Queues a frame to each endpoint that has room; the others learn that they lost something.
    /// Endpoints that no longer exist are returned: forget them.
    fn push(&self, to: &[EndpointId], down: Arc<Down>) -> Vec<EndpointId>;
}

/// Makes both ends.
pub trait Link: Send + Sync + 'static {
    /// A new endpoint with its queue of frames.
    fn gateway(&self) -> (EndpointId, Arc<dyn GatewayLink>, mpsc::Receiver<Arc<Down>>);

    /// Starts serving a partition: frames for it come out of the queue until the result is dropped.
    fn serve(&self, partition: Partition) -> mpsc::Receiver<(EndpointId, Up)>;

    /// The worker's sending end.
    fn worker(&self) -> Arc<dyn WorkerLink>;
}
