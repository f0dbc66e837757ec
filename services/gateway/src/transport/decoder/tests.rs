//! The decoder against random messages, fragments, cuts and noise: what comes out does not hang on
//! how the bytes arrived, and noise costs at most one frame of memory.

use actix_http::ws::{OpCode, Parser};
use proptest::prelude::*;

use super::*;

fn frame(bytes: &mut BytesMut, last: bool, opcode: OpCode, payload: &[u8]) {
    Parser::write_message(bytes, payload, opcode, last, true);
}

/// One message in fragments that end at `cuts`, with a ping after each.
fn fragmented(text: bool, payload: &[u8], cuts: &[usize]) -> BytesMut {
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut % (payload.len() + 1)).collect();
    ends.sort_unstable();
    let (mut bytes, mut start) = (BytesMut::new(), 0);
    let mut opcode = if text { OpCode::Text } else { OpCode::Binary };
    for end in ends {
        frame(&mut bytes, false, opcode, &payload[start..end]);
        frame(&mut bytes, true, OpCode::Ping, b"between");
        (opcode, start) = (OpCode::Continue, end);
    }
    frame(&mut bytes, true, opcode, &payload[start..]);
    bytes
}

/// Messages but for pings, and the code of the breach.
fn decode(bytes: &[u8], chunks: &[usize]) -> (Vec<String>, Option<u16>) {
    let decoded = trial::decode(Limits::default(), bytes, chunks);
    let held = decoded.held_bytes_max;
    assert!(held <= 2 * (64 * 1024 + 14), "{held} bytes for an unfinished message");
    assert!(!decoded.kept_empty_buffer, "an idle decoder owns no buffer");
    let heard = decoded.messages.iter().filter(|message| !matches!(message, Inbound::Ping(_)));
    let heard = heard.map(|message| format!("{message:?}")).collect();
    (heard, decoded.breach.map(|(code, _)| code))
}

proptest! {
    #[test]
    fn messages_survive_any_cut(
        messages in prop::collection::vec((any::<bool>(), "\\PC{0,40}"), 1..4),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
        chunks in prop::collection::vec(1_usize..50, 0..40),
    ) {
        let mut bytes = BytesMut::new();
        for (text, payload) in &messages {
            bytes.extend_from_slice(&fragmented(*text, payload.as_bytes(), &cuts));
        }
        let expected: Vec<_> = messages
            .iter()
            .map(|(text, payload)| match text {
                true => format!("{:?}", Inbound::Text(payload.as_str().into())),
                false => format!("{:?}", Inbound::Binary(payload.clone().into_bytes().into())),
            })
            .collect();
        prop_assert_eq!(decode(&bytes, &chunks), (expected, None));
    }

    #[test]
    fn text_is_refused_exactly_when_it_is_not_utf8(
        payload in prop::collection::vec(prop_oneof![any::<u8>(), 0x80_u8..0xc0], 0..12),
        cuts in prop::collection::vec(any::<usize>(), 0..4),
    ) {
        let (messages, violation) = decode(&fragmented(true, &payload, &cuts), &[]);
        match std::str::from_utf8(&payload) {
            Ok(_) => prop_assert_eq!((messages.len(), violation), (1, None)),
            Err(_) => prop_assert_eq!(violation, Some(1007)),
        }
    }

    #[test]
    fn noise_is_a_breach_or_a_wait(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        chunks in prop::collection::vec(1_usize..50, 0..10),
    ) {
        let (_, code) = decode(&bytes, &chunks);
        prop_assert!(matches!(code, None | Some(1002 | 1007 | 1008 | 1009)));
    }
}
