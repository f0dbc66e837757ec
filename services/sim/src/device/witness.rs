//! What a device saw, in the order in which it saw it.

use std::{
    cell::{Cell, Ref, RefCell},
    rc::Rc,
};

use harkara_domain::{ClientId, ConversationId, Seq, UserId};

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

/// A device's notes.
pub struct Witness {
    count: Rc<Cell<u64>>,
    notes: RefCell<Vec<(u64, Saw)>>,
}

impl Witness {
    /// Notes numbered by a count that several share: so all have one order.
    #[must_use]
    pub fn new(count: Rc<Cell<u64>>) -> Rc<Self> {
        Rc::new(Self { count, notes: RefCell::default() })
    }

    /// One more.
    pub fn note(&self, saw: Saw) {
        self.count.set(self.count.get() + 1);
        self.notes.borrow_mut().push((self.count.get(), saw));
    }

    /// All of them, with their numbers.
    #[must_use]
    pub fn notes(&self) -> Ref<'_, Vec<(u64, Saw)>> {
        self.notes.borrow()
    }
}
