//! Bytes of one client to whole messages. The [`super::reader`] feeds it.
//!
//! Decoding itself is `actix_http::ws::Codec`'s. It looks at a frame only when all of it has come
//! and does not say which rule was broken, so every header is checked here first: a frame that
//! announces a gigabyte ends the session after its header, and every breach has its close code.
//! `trial` runs it on bytes from nowhere, for tests and for `shared/fuzz`.

use actix_codec::Decoder as _;
use actix_http::ws::{Codec, Frame, Item};
use bytes::{Buf as _, BytesMut};

use super::{
    Inbound, Limits, Settings,
    fragments::{Partial, text},
};

/// A breach of the protocol or of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) code: u16,
    pub(super) why: &'static str,
}

impl Violation {
    const fn protocol(why: &'static str) -> Self {
        Self { code: 1002, why }
    }

    pub(super) const fn not_utf8() -> Self {
        Self { code: 1007, why: "text is not utf-8" }
    }

    pub(super) const fn policy(why: &'static str) -> Self {
        Self { code: 1008, why }
    }

    const fn too_big(why: &'static str) -> Self {
        Self { code: 1009, why }
    }
}

/// Decoder of one session. Empty, it owns no memory.
pub(super) struct Decoder {
    codec: Codec,
    /// What was read and is not a whole frame yet: at most one frame and one read.
    buffer: BytesMut,
    partial: Option<Box<Partial>>,
    control_second: u64,
    control_frames: u32,
}

impl Decoder {
    pub(super) fn new(limits: &Limits, leftover: BytesMut) -> Self {
        let mut buffer = BytesMut::new();
        // A copy: the original shares its allocation with the whole upgrade request.
        buffer.extend_from_slice(&leftover);
        Self {
            codec: Codec::new().max_size(limits.frame_bytes_max.max(125)),
            buffer,
            partial: None,
            control_second: 0,
            control_frames: 0,
        }
    }

    /// Adds bytes that were read.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message, or `None` when more bytes are needed. After an error the rest of the
    /// stream means nothing.
    pub(super) fn next(&mut self, settings: &Settings) -> Result<Option<Inbound>, Violation> {
        loop {
            let joined = self.partial.as_ref().map(|partial| partial.len());
            check_header(&self.buffer, joined, &settings.limits)?;
            check_close_reason(&self.buffer)?;
            let Some(frame) = self.codec.decode(&mut self.buffer).map_err(|error| {
                tracing::debug!(%error, "client broke the framing");
                Violation::protocol("bad frame")
            })?
            else {
                self.release();
                return Ok(None);
            };
            if let Some(inbound) = self.take(frame, settings)? {
                self.release();
                return Ok(Some(inbound));
            }
        }
    }

    /// Gives memory back as soon as nothing is left in it. An empty buffer of capacity 0 may still
    /// hold all that the last message was cut from.
    fn release(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    fn take(&mut self, frame: Frame, settings: &Settings) -> Result<Option<Inbound>, Violation> {
        let limits = &settings.limits;
        match frame {
            Frame::Text(payload) => return text(payload).map(Some),
            Frame::Binary(payload) => return Ok(Some(Inbound::Binary(payload))),
            Frame::Continuation(Item::FirstText(payload)) => {
                self.partial.insert(Box::new(Partial::new(true))).push(&payload, limits)?;
            }
            Frame::Continuation(Item::FirstBinary(payload)) => {
                self.partial.insert(Box::new(Partial::new(false))).push(&payload, limits)?;
            }
            Frame::Continuation(Item::Continue(payload)) => {
                self.open()?.push(&payload, limits)?;
            }
            Frame::Continuation(Item::Last(payload)) => {
                self.open()?.push(&payload, limits)?;
                return self.partial.take().map(|partial| partial.finish()).transpose();
            }
            Frame::Ping(payload) => {
                self.count_control(settings)?;
                return Ok(Some(Inbound::Ping(payload)));
            }
            Frame::Pong(payload) => {
                self.count_control(settings)?;
                return Ok(Some(Inbound::Pong(payload)));
            }
            Frame::Close(reason) => return Ok(Some(Inbound::Closed(reason))),
        }
        Ok(None)
    }

    fn open(&mut self) -> Result<&mut Partial, Violation> {
        self.partial.as_deref_mut().ok_or(Violation::protocol("continuation of no message"))
    }

    fn count_control(&mut self, settings: &Settings) -> Result<(), Violation> {
        let second = settings.clock.elapsed_ns() / 1_000_000_000;
        if second != self.control_second {
            (self.control_second, self.control_frames) = (second, 0);
        }
        self.control_frames += 1;
        if self.control_frames > settings.limits.control_frames_per_second_max {
            return Err(Violation::policy("too many control frames"));
        }
        Ok(())
    }
}

/// Judges the header at the start of `buffer` as far as it has come. `joined` are the bytes of the
/// message that is open, if there is one.
fn check_header(buffer: &[u8], joined: Option<usize>, limits: &Limits) -> Result<(), Violation> {
    let &[first, ref rest @ ..] = buffer else { return Ok(()) };
    if first & 0b0111_0000 != 0 {
        return Err(Violation::protocol("reserved bits without an extension"));
    }
    let opcode = first & 0x0f;
    if !matches!(opcode, 0..=2 | 8..=10) {
        return Err(Violation::protocol("unknown opcode"));
    }
    let control = opcode >= 8;
    if control && first & 0x80 == 0 {
        return Err(Violation::protocol("fragmented control frame"));
    }
    match (opcode, joined) {
        (0, None) => return Err(Violation::protocol("continuation of no message")),
        (1 | 2, Some(_)) => return Err(Violation::protocol("message within a message")),
        _ => {}
    }
    let &[second, ref rest @ ..] = rest else { return Ok(()) };
    if second & 0x80 == 0 {
        return Err(Violation::protocol("client frames must be masked"));
    }
    let short = second & 0x7f;
    if control {
        return if short <= 125 { Ok(()) } else { Err(Violation::protocol("long control frame")) };
    }
    let Some(length) = length(short, rest)? else { return Ok(()) };
    if length > limits.frame_bytes_max as u64 {
        return Err(Violation::too_big("frame over frame_bytes_max"));
    }
    if joined.unwrap_or(0) as u64 + length > limits.message_bytes_max as u64 {
        return Err(Violation::too_big("message over its limit"));
    }
    Ok(())
}

/// The payload's length, once all of it has come.
fn length(short: u8, mut rest: &[u8]) -> Result<Option<u64>, Violation> {
    match short {
        126 if rest.len() >= 2 => shortest(u64::from(rest.get_u16()), 126),
        127 if rest.len() >= 8 => {
            let length = rest.get_u64();
            if length > i64::MAX as u64 {
                return Err(Violation::protocol("length over 63 bits"));
            }
            shortest(length, 1 << 16)
        }
        126 | 127 => Ok(None),
        short => Ok(Some(u64::from(short))),
    }
}

/// RFC 6455, 5.2: "the minimal number of bytes MUST be used to encode the length".
fn shortest(length: u64, least: u64) -> Result<Option<u64>, Violation> {
    if length < least {
        return Err(Violation::protocol("length in a longer form than it needs"));
    }
    Ok(Some(length))
}

/// A close frame's reason is text as well (RFC 6455, 5.5.1 and 8.1); the codec has one error for
/// this and for a code that must not be sent.
fn check_close_reason(buffer: &[u8]) -> Result<(), Violation> {
    const CLOSE: u8 = 0x88;
    let Some((&[CLOSE, length, ref mask @ ..], rest)) = buffer.split_first_chunk::<6>() else {
        return Ok(());
    };
    let Some(payload) = rest.get(..usize::from(length & 0x7f)) else { return Ok(()) };
    let unmasked: Vec<u8> = payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m).collect();
    match unmasked.get(2..).map(std::str::from_utf8) {
        Some(Err(_)) => Err(Violation::not_utf8()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod trial;
