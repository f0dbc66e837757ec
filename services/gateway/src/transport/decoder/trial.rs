//! The decoder without a socket: bytes in pieces, and all that came of them. For this crate's tests,
//! and for `shared/fuzz` by way of [`crate::fuzzing`].

use bytes::BytesMut;
use harkara_service_runtime::clock::SystemClock;

use super::{Decoder, Inbound, Limits, Settings};

/// What came of some bytes.
#[derive(Debug, Default)]
pub struct Decoded {
    /// Messages in order. Nothing is read behind a close frame.
    pub messages: Vec<Inbound>,
    /// Close code and reason of the breach that ended it.
    pub breach: Option<(u16, &'static str)>,
    /// Most bytes that were held between two reads.
    pub held_bytes_max: usize,
    /// Whether the decoder still owned memory with nothing left in it.
    pub kept_empty_buffer: bool,
}

/// Decodes `bytes` as they would come in reads of the sizes `chunks`; the rest comes in one. How
/// many control frames come in a second is not judged, since these come in no time.
#[must_use]
pub fn decode(limits: Limits, mut bytes: &[u8], chunks: &[usize]) -> Decoded {
    let limits = Limits { control_frames_per_second_max: u32::MAX, ..limits };
    let settings = Settings { limits, clock: SystemClock::shared() };
    let mut decoder = Decoder::new(&settings.limits, BytesMut::new());
    let mut decoded = Decoded::default();
    for chunk in chunks.iter().copied().chain([usize::MAX]) {
        let (now, later) = bytes.split_at(chunk.min(bytes.len()));
        bytes = later;
        decoder.feed(now);
        loop {
            match decoder.next(&settings) {
                Ok(Some(closed @ Inbound::Closed(_))) => {
                    decoded.messages.push(closed);
                    return decoded;
                }
                Ok(Some(message)) => decoded.messages.push(message),
                Ok(None) => break,
                Err(violation) => {
                    decoded.breach = Some((violation.code, violation.why));
                    return decoded;
                }
            }
        }
        let joined = decoder.partial.as_ref().map_or(0, |partial| partial.len());
        let held = decoder.buffer.len() + joined;
        decoded.held_bytes_max = decoded.held_bytes_max.max(held);
    }
    decoded.kept_empty_buffer = decoder.buffer.is_empty() && decoder.buffer.capacity() > 0;
    decoded
}
