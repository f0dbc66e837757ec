//! Server frames as bytes (RFC 6455, section 5). They are unmasked, so one encoded frame serves
//! every session: hubs encode an event once and give [`super::SocketHandle::send`] clones.

use actix_http::ws::{CloseReason, OpCode, Parser};
use bytes::{Bytes, BytesMut};

/// Longest header of an unmasked frame: two bytes and a 64-bit length.
const HEADER_BYTES_MAX: usize = 10;

/// Longest payload of a control frame.
const CONTROL_BYTES_MAX: usize = 125;

/// One whole text frame. The payload must be UTF-8, which encoders of text guarantee.
#[must_use]
pub fn encode_text_frame(payload: &[u8]) -> Bytes {
    encode(OpCode::Text, payload)
}

/// One whole binary frame.
#[must_use]
pub fn encode_binary_frame(payload: &[u8]) -> Bytes {
    encode(OpCode::Binary, payload)
}

/// A ping. A payload over 125 bytes is cut.
#[must_use]
pub fn encode_ping(payload: &[u8]) -> Bytes {
    encode(OpCode::Ping, &payload[..payload.len().min(CONTROL_BYTES_MAX)])
}

pub(super) fn encode_pong(payload: &[u8]) -> Bytes {
    encode(OpCode::Pong, &payload[..payload.len().min(CONTROL_BYTES_MAX)])
}

/// A close frame. A reason over 123 bytes is cut at a character.
#[must_use]
pub fn encode_close(code: u16, reason: &str) -> Bytes {
    let room = CONTROL_BYTES_MAX - size_of::<u16>();
    let end = (0..=reason.len().min(room)).rev().find(|at| reason.is_char_boundary(*at));
    let mut payload = BytesMut::with_capacity(CONTROL_BYTES_MAX);
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(&reason.as_bytes()[..end.unwrap_or(0)]);
    encode(OpCode::Close, &payload)
}

/// The answer to a close frame: the same code and reason, or none.
pub(super) fn encode_close_echo(received: Option<&CloseReason>) -> Bytes {
    match received {
        None => encode(OpCode::Close, &[]),
        Some(reason) => {
            encode_close(reason.code.into(), reason.description.as_deref().unwrap_or_default())
        }
    }
}

fn encode(opcode: OpCode, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEADER_BYTES_MAX + payload.len());
    Parser::write_message(&mut frame, payload, opcode, true, false);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_the_shortest_form() {
        for (length, header) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let frame = encode_text_frame(&vec![b'x'; length]);
            assert_eq!(frame.len(), header + length);
            assert_eq!(frame[0], 0x81);
            assert_eq!(frame[1] & 0x80, 0, "server frames are unmasked");
        }
    }

    #[test]
    fn close_reasons_are_cut_at_a_character() {
        let frame = encode_close(1008, &"न".repeat(60));
        assert_eq!(&frame[..4], &[0x88, 2 + 123, 0x03, 0xf0]);
        assert_eq!(std::str::from_utf8(&frame[4..]).unwrap().chars().count(), 41);
    }
}
