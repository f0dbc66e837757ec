//! The hash chain of a conversation (architecture D11): any client can recompute it from the
//! events it was given and so notice one that was left out, altered or moved.
//!
//! ```text
//! chain(0) = BLAKE3-derive-key("harkara 2026 conversation chain v1", conversation)
//! leaf     = BLAKE3(salt ‖ body)
//! chain(n) = BLAKE3(chain(n-1) ‖ seq ‖ at ‖ sender ‖ device ‖ client_id ‖ kind ‖ leaf)
//! ```
//!
//! `seq` and `at` (milliseconds) are 8 bytes big-endian, ids are 16 bytes, `kind` is one byte
//! (`event::Body::tag`), `salt` is 16 bytes for messages and empty otherwise, and `body` is the
//! canonical JSON of the event's own members (`event::Body::canonical`). The salt keeps a short
//! text from being guessed from its leaf after the body was deleted.

use std::fmt;

use crate::{event::Event, ids::ConversationId};

/// A BLAKE3 hash, 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0xf)];
        }
        // One write: an event's frame holds one of these, and 64 small ones cost more than all else.
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The chain before the first event: it binds the chain to its conversation.
#[must_use]
pub fn start(conversation: ConversationId) -> Hash {
    Hash(blake3::derive_key("harkara 2026 conversation chain v1", conversation.as_bytes()))
}

/// The hash of an event's salted body. It stays when the body is deleted.
#[must_use]
pub fn leaf(event: &Event) -> Hash {
    let mut hasher = blake3::Hasher::new();
    if let Some(salt) = event.body.salt() {
        hasher.update(&salt.0);
    }
    hasher.update(event.body.canonical().as_bytes());
    Hash(*hasher.finalize().as_bytes())
}

/// The chain after `event`, whose own `chain` field is not looked at.
#[must_use]
pub fn link(before: Hash, event: &Event) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&before.0);
    hasher.update(&event.seq.to_be_bytes());
    hasher.update(&event.at.to_be_bytes());
    hasher.update(event.sender.as_bytes());
    hasher.update(event.device.as_bytes());
    hasher.update(event.client_id.as_bytes());
    hasher.update(&[event.body.tag()]);
    hasher.update(&leaf(event).0);
    Hash(*hasher.finalize().as_bytes())
}
