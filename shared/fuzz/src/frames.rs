//! A client's WebSocket frames: the gateway's decoder against [`crate::rfc6455`], however the
//! bytes are cut into reads.
//!
//! An input is a number of cuts and whether the limits are small, the cuts, and the bytes.

use harkara_gateway::{
    fuzzing::decode,
    transport::{Inbound, Limits},
};

use crate::rfc6455::{self, Heard, Said};

/// Longest header of a frame.
const HEADER_BYTES_MAX: usize = 14;

/// Limits that a short input can reach.
fn small() -> Limits {
    Limits {
        frame_bytes_max: 130,
        message_bytes_max: 140,
        fragments_max: 4,
        empty_fragments_max: 2,
        ..Limits::default()
    }
}

/// Decodes, whole and in pieces.
pub fn run(bytes: &[u8]) {
    let Some((&how, bytes)) = bytes.split_first() else { return };
    let limits = if how & 0x80 == 0 { Limits::default() } else { small() };
    let (cuts, bytes) = bytes.split_at(usize::from(how & 0x0f).min(bytes.len()));
    let cuts: Vec<usize> = cuts.iter().map(|cut| usize::from(*cut)).collect();
    let expected = rfc6455::hear(bytes, &limits);
    assert_eq!(heard(&limits, bytes, &[]), expected, "in one read");
    assert_eq!(heard(&limits, bytes, &cuts), expected, "in reads of {cuts:?}");
}

fn heard(limits: &Limits, bytes: &[u8], cuts: &[usize]) -> Heard {
    let decoded = decode(limits.clone(), bytes, cuts);
    let most = limits.message_bytes_max + limits.frame_bytes_max.max(125) + HEADER_BYTES_MAX;
    assert!(decoded.held_bytes_max <= most, "{} bytes held", decoded.held_bytes_max);
    assert!(!decoded.kept_empty_buffer, "an idle decoder owns no buffer");
    let said = decoded.messages.into_iter().filter_map(said).collect();
    (said, decoded.breach.map(|(code, _)| code))
}

fn said(message: Inbound) -> Option<Said> {
    Some(match message {
        Inbound::Text(text) => Said::Text(text.to_string()),
        Inbound::Binary(bytes) => Said::Binary(bytes.to_vec()),
        Inbound::Ping(bytes) => Said::Ping(bytes.to_vec()),
        Inbound::Pong(bytes) => Said::Pong(bytes.to_vec()),
        Inbound::Closed(reason) => {
            Said::Close(reason.map(|it| (it.code.into(), it.description.unwrap_or_default())))
        }
        // What a socket says, and a decoder can not.
        Inbound::Drained | Inbound::Violation { .. } => return None,
    })
}
