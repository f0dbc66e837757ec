//! Joins the fragments of one message: in order, limited in bytes and in number, UTF-8 checked as
//! they come, so that a bad byte ends the session at once and not at the end of the message.
//!
//! Called by the [`super::decoder`], which keeps one of these only while a message is incomplete.

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use super::{Inbound, Limits, decoder::Violation};

/// A message whose last fragment has not come yet.
pub(super) struct Partial {
    text: bool,
    joined: BytesMut,
    /// Bytes of `joined` that are proven UTF-8; the rest is the head of one character.
    proven: usize,
    fragments: u32,
    empty: u32,
}

impl Partial {
    pub(super) fn new(text: bool) -> Self {
        Self { text, joined: BytesMut::new(), proven: 0, fragments: 0, empty: 0 }
    }

    /// Bytes joined so far.
    pub(super) fn len(&self) -> usize {
        self.joined.len()
    }

    /// Adds a fragment. Its size was checked against the message's limit with its header.
    pub(super) fn push(&mut self, fragment: &[u8], limits: &Limits) -> Result<(), Violation> {
        self.fragments += 1;
        self.empty += u32::from(fragment.is_empty());
        if self.fragments > limits.fragments_max || self.empty > limits.empty_fragments_max {
            return Err(Violation::policy("too many fragments in one message"));
        }
        self.joined.extend_from_slice(fragment);
        if self.text {
            self.prove()?;
        }
        Ok(())
    }

    fn prove(&mut self) -> Result<(), Violation> {
        match std::str::from_utf8(&self.joined[self.proven..]) {
            Ok(_) => self.proven = self.joined.len(),
            Err(error) if error.error_len().is_none() => self.proven += error.valid_up_to(),
            Err(_) => return Err(Violation::not_utf8()),
        }
        Ok(())
    }

    /// The whole message.
    pub(super) fn finish(self) -> Result<Inbound, Violation> {
        let joined = self.joined.freeze();
        if self.text { text(joined) } else { Ok(Inbound::Binary(joined)) }
    }
}

/// A text message, if it is UTF-8.
pub(super) fn text(payload: Bytes) -> Result<Inbound, Violation> {
    ByteString::try_from(payload).map(Inbound::Text).map_err(|_| Violation::not_utf8())
}
