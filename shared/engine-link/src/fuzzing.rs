//! A door for `shared/fuzz` to what takes another process's bytes. Only there with the feature
//! `fuzzing`, which no binary has.

use harkara_engine::link::{Down, Up};
use harkara_protocol::link::{Ask, DecodeError, FRAME_BYTES_MAX, Frame};

use crate::{Options, frames::Frames, wire};

/// Reads what a connection carried to its end: each frame with what follows it, and why it ended.
pub async fn read(bytes: &[u8], options: &Options) -> (Vec<(Frame, Vec<u8>)>, String) {
    let mut frames = Frames::new(bytes, options);
    let mut read = Vec::new();
    loop {
        match frames.next(FRAME_BYTES_MAX).await {
            Ok((frame, _, rest)) => read.push((frame, rest.to_vec())),
            Err(ended) => return (read, ended.to_string()),
        }
    }
}

/// What an owner said, from its bytes.
///
/// # Errors
/// The bytes are no such form.
pub fn down(bytes: &[u8]) -> Result<Down, DecodeError> {
    wire::decode(bytes)
}

/// What an owner says, as bytes.
#[must_use]
pub fn encode(down: &Down) -> Vec<u8> {
    wire::encode(down)
}

/// A question that came, and how it would be written again.
#[must_use]
pub fn question(ask: Ask) -> (Up, Ask) {
    let up = wire::up(ask);
    let again = wire::ask(&up);
    (up, again)
}
