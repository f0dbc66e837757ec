//! What a device has on its disk: sends without an outcome, and how far its person has read. A
//! device without a disk forgets both with its process.

use std::collections::BTreeMap;

use harkara_client::journal::{Draft, Entry, Saved};
use harkara_domain::{ConversationId, Seq};

/// A journal that a crash leaves as a real one may be.
#[derive(Debug, Default)]
pub struct Kept {
    keeps: bool,
    sends: Vec<Draft>,
    cursors: BTreeMap<ConversationId, Seq>,
}

impl Kept {
    /// With a disk, or without one.
    #[must_use]
    pub fn new(keeps: bool) -> Self {
        Self { keeps, ..Self::default() }
    }

    /// What the next process begins with.
    #[must_use]
    pub fn saved(&self) -> Saved {
        if self.keeps {
            Saved { sends: self.sends.clone(), cursors: self.cursors.clone() }
        } else {
            Saved::default()
        }
    }

    /// Writes a line.
    pub fn write(&mut self, entry: Entry) {
        match entry {
            Entry::Taken(draft) => self.sends.push(draft),
            Entry::Done(client_id) => self.sends.retain(|draft| draft.client_id != client_id),
            Entry::Handled(conversation, seq) => {
                self.cursors.insert(conversation, seq);
            }
            Entry::Gone(conversation) => {
                self.cursors.remove(&conversation);
            }
        }
    }
}
