//! Sections 5.1, 5.2, 5.3 and 5.6: masks, reserved bits, opcodes, lengths, data frames.

use super::{Case, breach, good, hold, text};
use crate::client::{BINARY, CLOSE, CONTINUE, PING, PONG, TEXT, frame, header};

/// All that are defined, and whether a message must be open.
const OPCODES: [(u8, &str); 6] = [
    (CONTINUE, "continuation"),
    (TEXT, "text"),
    (BINARY, "binary"),
    (CLOSE, "close"),
    (PING, "ping"),
    (PONG, "pong"),
];

#[test]
pub fn frames_that_break_a_rule() {
    hold(
        [unmasked(), reserved_bits(), unknown_opcodes(), bad_lengths()]
            .into_iter()
            .flatten()
            .collect(),
    );
}

/// An opening fragment where the opcode needs one.
fn opening(opcode: u8) -> Vec<u8> {
    if opcode == CONTINUE { frame(false, TEXT, b"a") } else { Vec::new() }
}

/// 5.1: "The server MUST close the connection upon receiving a frame that is not masked."
fn unmasked() -> Vec<Case> {
    let case = |(opcode, name): (u8, &str)| {
        let bare = vec![0x80 | opcode, 2, 0x03, 0xe8];
        breach("5.1", format!("{name} without a mask"), [opening(opcode), bare].concat(), 1002)
    };
    OPCODES.map(case).into()
}

/// 5.2: "MUST be 0 unless an extension is negotiated". None is.
fn reserved_bits() -> Vec<Case> {
    let mut cases = Vec::new();
    for (opcode, name) in OPCODES {
        for bits in 1..8_u8 {
            let mut bad = frame(true, opcode, b"");
            bad[0] |= bits << 4;
            let sent = [opening(opcode), bad].concat();
            cases.push(breach("5.2", format!("{name} with reserved bits {bits:03b}"), sent, 1002));
        }
    }
    cases
}

/// 5.2: "If an unknown opcode is received, the receiving endpoint MUST _Fail_".
fn unknown_opcodes() -> Vec<Case> {
    let mut cases = Vec::new();
    for opcode in (3..8).chain(11..16) {
        for (last, payload) in [(true, &b""[..]), (true, b"x"), (false, b"x")] {
            let what = format!("opcode {opcode}, last: {last}, {} bytes", payload.len());
            cases.push(breach("5.2", what, frame(last, opcode, payload), 1002));
        }
        let within = [frame(false, TEXT, b"a"), frame(true, opcode, b"")].concat();
        cases.push(breach("5.2", format!("opcode {opcode} within a message"), within, 1002));
    }
    cases
}

/// A masked frame whose length is written in the given form.
fn in_form(opcode: u8, form: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode, 0x80 | form];
    match form {
        126 => bytes.extend(u16::try_from(length).unwrap().to_be_bytes()),
        _ => bytes.extend(length.to_be_bytes()),
    }
    bytes.extend([0; 4]);
    bytes.resize(bytes.len() + usize::try_from(length.min(70_000)).unwrap(), b'x');
    bytes
}

fn bad_lengths() -> Vec<Case> {
    let mut cases = Vec::new();
    // "The minimal number of bytes MUST be used to encode the length".
    for (form, lengths) in [(126, &[0, 1, 124, 125][..]), (127, &[0, 125, 126, 65_535])] {
        for length in lengths {
            let what = format!("a length of {length} in the form of {form}");
            cases.push(breach("5.2", what, in_form(TEXT, form, *length), 1002));
        }
    }
    // "The most significant bit MUST be 0".
    for length in [1 << 63, (1 << 63) + 1, u64::MAX] {
        let bytes = header(true, BINARY, length);
        cases.push(breach("5.2", format!("a length of {length:#x}"), bytes, 1002));
    }
    // 7.4.1: "too big for it to process", known from the header alone.
    for length in [65_537, 1 << 32, (1 << 63) - 1] {
        let bytes = header(true, TEXT, length);
        cases.push(breach("7.4.1", format!("a length of {length:#x}"), bytes, 1009));
    }
    cases
}

#[test]
pub fn data_frames_of_every_length_come_back() {
    let mut cases = Vec::new();
    for length in [0, 1, 2, 125, 126, 127, 128, 255, 256, 65_534, 65_535, 65_536] {
        for opcode in [TEXT, BINARY] {
            let payload = vec![b'x'; length];
            let sent = frame(true, opcode, &payload);
            cases.push(good("5.6", format!("{length} bytes"), sent, vec![(opcode, payload)]));
        }
    }
    let bytes: Vec<u8> = (0..=255).collect();
    let every_byte = frame(true, BINARY, &bytes);
    cases.push(good("5.6", "binary of every byte", every_byte, vec![(BINARY, bytes)]));
    hold(cases);
}

#[test]
pub fn every_mask_is_taken_off() {
    let masked = |mask: [u8; 4], payload: &[u8]| {
        let length = 0x80 | u8::try_from(payload.len()).unwrap();
        let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        [0x81, length].into_iter().chain(mask).chain(payload).collect::<Vec<u8>>()
    };
    let masks = [[0; 4], [0xff; 4], [1, 2, 3, 4], [0x80, 0, 0, 1], *b"abcd"];
    let cases = masks.into_iter().flat_map(|mask| {
        ["", "a", "abc", "abcd", "abcdefghij"].map(|payload| {
            let back = vec![text(payload)];
            good(
                "5.3",
                format!("{mask:?} over {payload:?}"),
                masked(mask, payload.as_bytes()),
                back,
            )
        })
    });
    hold(cases.collect());
}

#[test]
pub fn many_frames_come_back_in_order() {
    let sent: Vec<u8> =
        (0..50).flat_map(|n| frame(true, TEXT, format!("{n}").as_bytes())).collect();
    let back = (0..50).map(|n| text(&n.to_string())).collect();
    hold(vec![good("5.6", "fifty messages at once", sent, back)]);
}
