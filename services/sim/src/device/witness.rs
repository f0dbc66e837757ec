//! What a device saw, in the order in which it saw it.

use std::{
    cell::{Cell, Ref, RefCell},
    fmt,
    rc::Rc,
    sync::Arc,
};

use harkara_domain::{ClientId, ConversationId, Seq, UserId};

use crate::world::World;

/// One thing that a device saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saw {
    /// Its process began.
    Begun,
    /// It connected: what it is told from here on was asked from here on.
    Opened,
    /// An entry of its list, told at the start of a session.
    Entry {
        /// Which conversation.
        conversation: ConversationId,
        /// The first sequence it may see.
        from: Seq,
        /// The newest one.
        head: Seq,
        /// The read cursor.
        read: Seq,
        /// Messages behind it.
        unread: u64,
    },
    /// A frame with this event.
    Wire(ConversationId, Seq),
    /// An event was shown.
    Event(ConversationId, Seq, String),
    /// An event stood in a page of history.
    Page(ConversationId, Seq, String),
    /// Events were left out.
    Skipped(ConversationId, Seq, Seq),
    /// The server had less than before.
    Reset(ConversationId),
    /// The conversation came into the list.
    Appeared(ConversationId),
    /// It left the list.
    Left(ConversationId),
    /// A send is durable.
    Accepted(ConversationId, ClientId),
    /// A send stands there; none where nobody said where.
    Settled(ConversationId, ClientId, Seq),
    /// A send was refused.
    Rejected(ConversationId, ClientId),
    /// Another request was answered with its place.
    Changed(Option<ConversationId>, ClientId, Seq),
    /// Another request was refused for good.
    Refused(ClientId),
    /// A read cursor was asked to move.
    Advancing(ConversationId, Seq),
    /// It is written.
    Advanced(ConversationId, Seq),
    /// Somebody has read up to here.
    Read(ConversationId, UserId, Seq),
}

/// The first half of an id's first part: enough to tell a run's ids apart.
fn short(id: impl fmt::Display) -> String {
    id.to_string().chars().take(8).collect()
}

/// The end of an id, which is chance where it is a request's.
fn tail(id: impl fmt::Display) -> String {
    id.to_string().chars().skip(28).collect()
}

impl fmt::Display for Saw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begun => write!(f, "begins"),
            Self::Opened => write!(f, "connects"),
            Self::Entry { conversation, from, head, read, unread } => {
                let id = short(conversation);
                write!(f, "is told {id}: {from}..={head}, read {read}, unread {unread}")
            }
            Self::Wire(id, seq) => write!(f, "gets {seq} of {}", short(id)),
            Self::Event(id, seq, _) => write!(f, "shows {seq} of {}", short(id)),
            Self::Page(id, seq, _) => write!(f, "reads {seq} of {}", short(id)),
            Self::Skipped(id, first, last) => {
                write!(f, "leaves out {first}..={last} of {}", short(id))
            }
            Self::Reset(id) => write!(f, "begins {} anew", short(id)),
            Self::Appeared(id) => write!(f, "is told of {}", short(id)),
            Self::Left(id) => write!(f, "is told that {} is over", short(id)),
            Self::Accepted(id, send) => write!(f, "send {} to {} accepted", tail(send), short(id)),
            Self::Settled(id, send, seq) => {
                write!(f, "send {} stands at {seq} of {}", tail(send), short(id))
            }
            Self::Rejected(id, send) => write!(f, "send {} to {} refused", tail(send), short(id)),
            Self::Changed(id, request, seq) => {
                let id = id.map(short).unwrap_or_default();
                write!(f, "request {} stands at {seq} of {id}", tail(request))
            }
            Self::Refused(request) => write!(f, "request {} refused", tail(request)),
            Self::Advancing(id, seq) => write!(f, "wants {} read up to {seq}", short(id)),
            Self::Advanced(id, seq) => write!(f, "has {} read up to {seq}", short(id)),
            Self::Read(id, user, seq) => {
                write!(f, "sees {} read up to {seq} by {}", short(id), short(user))
            }
        }
    }
}

/// One thing that a device saw, with its place in the order of all that all devices saw.
#[derive(Debug)]
pub struct Note {
    /// Its number.
    pub number: u64,
    /// When, milliseconds of virtual time.
    pub at_ms: u64,
    /// What.
    pub saw: Saw,
}

/// A device's notes.
pub struct Witness {
    device: usize,
    world: Arc<World>,
    count: Rc<Cell<u64>>,
    notes: RefCell<Vec<Note>>,
}

impl Witness {
    /// Notes numbered by a count that several share: so all have one order.
    #[must_use]
    pub fn new(device: usize, world: Arc<World>, count: Rc<Cell<u64>>) -> Rc<Self> {
        Rc::new(Self { device, world, count, notes: RefCell::default() })
    }

    /// One more.
    pub fn note(&self, saw: Saw) {
        self.count.set(self.count.get() + 1);
        self.world.note(|| format!("device {}  {saw}", self.device));
        let (number, at_ms) = (self.count.get(), self.world.now_ms());
        self.notes.borrow_mut().push(Note { number, at_ms, saw });
    }

    /// All of them.
    #[must_use]
    pub fn notes(&self) -> Ref<'_, Vec<Note>> {
        self.notes.borrow()
    }
}
