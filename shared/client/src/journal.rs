//! What outlives the process: sends without an outcome and per conversation the last event that
//! the client's user has handled. The task writes it; [`FileJournal`] is the one on disk.

mod file;

use std::{collections::BTreeMap, io};

use harkara_domain::{ClientId, ConversationId, Seq};

pub use self::file::FileJournal;
pub use crate::session::outbox::Draft;

/// What a journal knows at the start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Saved {
    /// Sends without an outcome, in their order.
    pub sends: Vec<Draft>,
    /// Per conversation the last event that was handled.
    pub cursors: BTreeMap<ConversationId, Seq>,
}

/// One line of a journal.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A send was taken. On disk before `send` returns.
    Taken(Draft),
    /// It has its outcome.
    Done(ClientId),
    /// Events of the conversation are handled up to here.
    Handled(ConversationId, Seq),
    /// The conversation is no longer the user's.
    Gone(ConversationId),
}

/// Keeps what must outlive the process.
pub trait Journal: Send + 'static {
    /// What was kept, once, at the start.
    fn load(&mut self) -> Saved;

    /// Keeps more. Returns when every [`Entry::Taken`] among it survives a crash of the machine;
    /// the other kinds may be lost with it.
    ///
    /// # Errors
    /// When it could not be kept: the sends among it are then refused.
    fn append(&mut self, entries: &[Entry]) -> io::Result<()>;

    /// Does [`Self::append`] wait for a disk? Then it is called on a thread of its own.
    fn blocks(&self) -> bool {
        true
    }
}

/// Keeps nothing beyond the process, which knows everything anyway.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemoryJournal;

impl Journal for MemoryJournal {
    fn load(&mut self) -> Saved {
        Saved::default()
    }

    fn append(&mut self, _entries: &[Entry]) -> io::Result<()> {
        Ok(())
    }

    fn blocks(&self) -> bool {
        false
    }
}
