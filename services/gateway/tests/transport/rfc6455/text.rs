//! Section 8.1: text is UTF-8, wherever its bytes are cut.

use super::{Case, breach, good, hold, text};
use crate::{
    client::{BINARY, CONTINUE, Client, PING, TEXT, frame},
    server::start,
};

/// Characters of one to four bytes, combining ones, joiners, the ends of the ranges.
const GOOD: [&str; 9] = [
    "κόσμε",
    "नमस्ते 👋🏽",
    "\u{0}",
    "\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}",
    "\u{d7ff}\u{e000}",
    "\u{fffd}\u{fffe}\u{fdd0}",
    "\u{feff}mark",
    "e\u{301}\u{200d}\u{202e}",
    "a",
];

/// What is not UTF-8 (RFC 3629), and how many of its bytes are needed to see that; 0 where only
/// the message's end shows it.
const BAD: [(&str, &[u8], usize); 25] = [
    ("a continuation byte", b"\x80", 1),
    ("the last continuation byte", b"\xbf", 1),
    ("two continuation bytes", b"\x80\xbf", 1),
    ("0xfe", b"\xfe", 1),
    ("0xff", b"\xff", 1),
    ("0xff behind text", b"ab\xff", 3),
    ("slash in two bytes", b"\xc0\xaf", 1),
    ("slash in three bytes", b"\xe0\x80\xaf", 2),
    ("slash in four bytes", b"\xf0\x80\x80\xaf", 2),
    ("zero in two bytes", b"\xc0\x80", 1),
    ("U+007F in two bytes", b"\xc1\xbf", 1),
    ("U+07FF in three bytes", b"\xe0\x9f\xbf", 2),
    ("U+FFFF in four bytes", b"\xf0\x8f\xbf\xbf", 2),
    ("the first surrogate", b"\xed\xa0\x80", 2),
    ("the last surrogate", b"\xed\xbf\xbf", 2),
    ("a pair of surrogates", b"\xed\xa0\x80\xed\xb0\x80", 2),
    ("U+110000", b"\xf4\x90\x80\x80", 2),
    ("U+140000", b"\xf5\x80\x80\x80", 1),
    ("five bytes", b"\xf8\x88\x80\x80\x80", 1),
    ("six bytes", b"\xfc\x84\x80\x80\x80\x80", 1),
    ("a character cut by another", b"\xce\xceab", 2),
    ("a character cut by text", b"\xe0\xa4a", 3),
    ("half a character of two", b"ab\xce", 0),
    ("two thirds of a character of three", b"ab\xe0\xa4", 0),
    ("three quarters of a character of four", b"\xf0\x9f\x91", 0),
];

#[test]
pub fn good_text_comes_back_wherever_it_is_cut() {
    let mut cases = Vec::new();
    for word in GOOD {
        let bytes = word.as_bytes();
        cases.push(good("8.1", format!("{word:?}"), frame(true, TEXT, bytes), vec![text(word)]));
        let all: Vec<u8> = (0..=bytes.len())
            .flat_map(|cut| {
                let (head, tail) = bytes.split_at(cut);
                [frame(false, TEXT, head), frame(true, CONTINUE, tail)].concat()
            })
            .collect();
        let back = vec![text(word); bytes.len() + 1];
        cases.push(good("8.1", format!("{word:?} cut at every byte"), all, back));
        let single: Vec<u8> = bytes
            .iter()
            .enumerate()
            .flat_map(|(n, byte)| frame(false, if n == 0 { TEXT } else { CONTINUE }, &[*byte]))
            .chain(frame(true, CONTINUE, b""))
            .collect();
        let what = format!("{word:?} with each byte a fragment");
        cases.push(good("8.1", what, single, vec![text(word)]));
    }
    hold(cases);
}

#[test]
pub fn bad_text_is_refused_wherever_it_is_cut() {
    let mut cases = Vec::new();
    for (what, bytes, _) in BAD {
        cases.push(breach("8.1", what, frame(true, TEXT, bytes), 1007));
        for cut in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            let sent = [frame(false, TEXT, head), frame(true, CONTINUE, tail)].concat();
            cases.push(breach("8.1", format!("{what}, cut at {cut}"), sent, 1007));
        }
        // 5.6: binary is arbitrary.
        let back = vec![(BINARY, bytes.to_vec())];
        cases.push(good("5.6", format!("{what}, binary"), frame(true, BINARY, bytes), back));
    }
    hold(cases);
}

/// The fragment that cannot become text any more is the last one that is read; no end is waited
/// for.
#[test]
pub fn bad_text_ends_at_the_byte_that_breaks_it() {
    let server = start();
    for (what, bytes, seen) in BAD.into_iter().filter(|(_, _, seen)| *seen > 0) {
        let mut client = Client::open(server.address);
        for (n, byte) in bytes[..seen].iter().enumerate() {
            if n > 0 {
                // It is still open: this is answered.
                client.frame(true, PING, b"?");
                assert_eq!(client.read().1, b"?", "{what}, byte {n}");
            }
            client.frame(false, if n == 0 { TEXT } else { CONTINUE }, &[*byte]);
        }
        assert_eq!(client.closed().0, 1007, "{what}");
    }
}

/// Every byte that a character of good text can be replaced with is judged as the standard library
/// judges it.
#[test]
pub fn text_with_one_byte_changed() {
    let (mut cases, word): (Vec<Case>, &[u8]) = (Vec::new(), "aनb".as_bytes());
    for at in 0..word.len() {
        for byte in (0..=255_u8).step_by(5) {
            let mut changed = word.to_vec();
            changed[at] = byte;
            let sent = frame(true, TEXT, &changed);
            let what = format!("byte {at} is {byte:#04x}");
            cases.push(match std::str::from_utf8(&changed) {
                Ok(same) => good("8.1", what, sent, vec![text(same)]),
                Err(_) => breach("8.1", what, sent, 1007),
            });
        }
    }
    hold(cases);
}
