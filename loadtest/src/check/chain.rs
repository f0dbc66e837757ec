//! The hash chain of a conversation, recomputed from what a member was given.
//!
//! ```text
//! chain(0) = BLAKE3-derive-key("harkara 2026 conversation chain v1", conversation)
//! leaf     = BLAKE3(salt ‖ body)
//! chain(n) = BLAKE3(chain(n-1) ‖ seq ‖ at ‖ sender ‖ device ‖ client_id ‖ kind ‖ leaf)
//! ```
//!
//! `seq` and `at` (milliseconds) are 8 bytes big-endian, ids 16 bytes, `kind` one byte, `salt` 16
//! bytes for messages and empty otherwise, `body` the canonical JSON of what the event says beyond
//! the fields above.

use serde_json::{Map, Value};

use super::{canonical, history::Event};
use crate::ids::Id;

const CONTEXT: &str = "harkara 2026 conversation chain v1";

/// Before the first event.
#[must_use]
pub fn start(conversation: Id) -> [u8; 32] {
    blake3::derive_key(CONTEXT, conversation.bytes())
}

/// After `event`; nothing where the event is of a kind unknown here.
#[must_use]
pub fn link(before: &[u8; 32], event: &Event) -> Option<[u8; 32]> {
    let (kind, fields) = shape(event)?;
    let mut body = Map::new();
    for &field in fields {
        if let Some(value) = event.value.get(field) {
            body.insert(field.to_owned(), value.clone());
        }
    }
    let mut leaf = blake3::Hasher::new();
    if kind == 7 {
        leaf.update(&unhex(event.word("salt")).filter(|salt| salt.len() == 16)?);
    }
    leaf.update(canonical::text(&Value::Object(body)).as_bytes());
    let mut chain = blake3::Hasher::new();
    chain.update(before);
    chain.update(&event.seq.to_be_bytes());
    chain.update(&event.at.to_be_bytes());
    for id in [&event.sender, &event.device, &event.client_id] {
        chain.update(id.bytes());
    }
    chain.update(&[kind]);
    chain.update(leaf.finalize().as_bytes());
    Some(*chain.finalize().as_bytes())
}

/// The kind's byte and the fields that make its body.
fn shape(event: &Event) -> Option<(u8, &'static [&'static str])> {
    Some(match (event.word("kind"), event.word("action")) {
        ("conversation", _) if event.value.get("members").is_some() => {
            (1, &["conversation_kind", "members", "title"])
        }
        ("conversation", _) => (2, &["conversation_kind", "title"]),
        ("member", "added") => (3, &["action", "role", "users"]),
        ("member", "removed") => (4, &["action", "users"]),
        ("member", "left") => (5, &["action", "successor"]),
        ("member", "role") => (6, &["action", "role", "users"]),
        ("message", _) => (7, &["content", "reply_to"]),
        _ => return None,
    })
}

/// A hash as text.
#[must_use]
pub fn hex(hash: &[u8; 32]) -> String {
    blake3::Hash::from(*hash).to_hex().to_string()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    Some(digits?.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
