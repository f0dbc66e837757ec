//! Sections 5.4 and 5.5: fragments, and control frames in between.

use super::{Case, breach, close, good, hold, text};
use crate::client::{BINARY, CLOSE, CONTINUE, PING, PONG, TEXT, frame};

#[test]
pub fn fragments_are_one_message() {
    let cut = |opcode: u8, pieces: &[&[u8]]| {
        let last = pieces.len() - 1;
        let fragment = |(n, piece): (usize, &&[u8])| {
            frame(n == last, if n == 0 { opcode } else { CONTINUE }, piece)
        };
        pieces.iter().enumerate().flat_map(fragment).collect::<Vec<u8>>()
    };
    let mut cases = Vec::new();
    for pieces in [
        &[&b"a"[..], b"b"][..],
        &[b"a", b"b", b"c"],
        &[b"", b"a"],
        &[b"a", b""],
        &[b"", b"", b""],
        &[b"a", b"", b"b"],
        &[&b"abc"[..]; 40],
        &[&[b'x'; 200], b"y"],
    ] {
        for opcode in [TEXT, BINARY] {
            let what = format!("{} fragments", pieces.len());
            cases.push(good("5.4", what, cut(opcode, pieces), vec![(opcode, pieces.concat())]));
        }
    }
    let two = [cut(TEXT, &[b"a", b"b"]), cut(BINARY, &[b"c", b"d"]), frame(true, TEXT, b"e")];
    let back = vec![text("ab"), (BINARY, b"cd".to_vec()), text("e")];
    cases.push(good("5.4", "messages one after the other", two.concat(), back));
    hold(cases);
}

/// 5.4: "Control frames MAY be injected in the middle of a fragmented message."
#[test]
pub fn control_frames_come_in_between() {
    let (first, last) = (frame(false, TEXT, b"a"), frame(true, CONTINUE, b"b"));
    let between = |frames: &[Vec<u8>]| [&first[..], &frames.concat(), &last].concat();
    let pong = |payload: &[u8]| (PONG, payload.to_vec());
    let mut cases = vec![
        good(
            "5.4",
            "a ping between, answered before the message",
            between(&[frame(true, PING, b"?")]),
            vec![pong(b"?"), text("ab")],
        ),
        good(
            "5.4",
            "a ping of 125 bytes between",
            between(&[frame(true, PING, &[b'?'; 125])]),
            vec![pong(&[b'?'; 125]), text("ab")],
        ),
        good("5.5.3", "a pong nobody asked for", frame(true, PONG, b"!"), Vec::new()),
        good("5.5.3", "a pong between", between(&[frame(true, PONG, b"!")]), vec![text("ab")]),
        good("5.5.2", "an empty ping", frame(true, PING, b""), vec![pong(b"")]),
    ];
    // What is open when the client closes is lost, and that is the client's wish.
    for (what, sent) in [
        ("a close between", [first.clone(), close(1000, b""), last.clone()].concat()),
        ("a close behind a fragment", [first.clone(), close(1000, b"")].concat()),
    ] {
        cases.push(breach("5.5.1", what, sent, 1000));
    }
    hold(cases);
}

#[test]
pub fn fragments_out_of_place() {
    let (text_begins, binary_begins) = (frame(false, TEXT, b"a"), frame(false, BINARY, b"a"));
    let mut cases: Vec<Case> = [true, false]
        .map(|last| {
            let nothing = frame(last, CONTINUE, b"x");
            breach("5.4", format!("a continuation of nothing, last: {last}"), nothing, 1002)
        })
        .into();
    for begins in [&text_begins, &binary_begins] {
        for opcode in [TEXT, BINARY] {
            for last in [true, false] {
                let sent = [&begins[..], &frame(last, opcode, b"b")].concat();
                let what = format!("opcode {opcode} within a message, last: {last}");
                cases.push(breach("5.4", what, sent, 1002));
            }
        }
    }
    // Said before its payload has come.
    let begun = [&text_begins[..], &[0x81, 0xfe, 0xff, 0xff]].concat();
    cases.push(breach("5.4", "the header of a message within a message", begun, 1002));
    let twice = [&text_begins[..], &frame(true, CONTINUE, b"b"), &frame(true, CONTINUE, b"c")];
    let ended =
        Case { back: vec![text("ab")], ..breach("5.4", "a second end", twice.concat(), 1002) };
    cases.push(ended);
    hold(cases);
}

/// 5.5: "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be
/// fragmented."
#[test]
pub fn control_frames_are_small_and_whole() {
    let mut cases = Vec::new();
    for (opcode, name) in [(PING, "ping"), (PONG, "pong"), (CLOSE, "close")] {
        for (what, sent) in [
            ("of 126 bytes", frame(true, opcode, &[0; 126])),
            ("of 65,536 bytes", frame(true, opcode, &[0; 65_536])),
            (
                "of 125 bytes in a longer form",
                [&[0x80 | opcode, 0xfe, 0, 125][..], &[0; 129]].concat(),
            ),
            ("in fragments", frame(false, opcode, b"")),
            (
                "in fragments within a message",
                [frame(false, TEXT, b"a"), frame(false, opcode, b"")].concat(),
            ),
        ] {
            cases.push(breach("5.5", format!("a {name} {what}"), sent, 1002));
        }
    }
    hold(cases);
}
