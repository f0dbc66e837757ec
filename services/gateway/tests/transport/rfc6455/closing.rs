//! Sections 5.5.1, 7.1 and 7.4: close frames, their codes, and what follows them.

use super::{Case, breach, close, hold};
use crate::client::{CLOSE, PING, TEXT, frame};

/// Codes that an endpoint may send: 7.4.1, those that IANA's registry got since, 7.4.2.
const GOOD: [u16; 17] = [
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4001,
    4999,
];

/// Codes that must not be sent, and those that nobody has defined.
const BAD: [u16; 16] =
    [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1099, 1100, 2000, 2999, 5000, 10_000, 0x8000, 65_535];

/// 5.5.1: "When sending a Close frame in response, the endpoint typically echos the status code".
#[test]
pub fn good_codes_are_echoed() {
    let mut cases: Vec<Case> = Vec::new();
    for code in GOOD {
        for reason in ["", "bye"] {
            let sent = close(code, reason.as_bytes());
            cases.push(breach("7.4", format!("close {code} {reason:?}"), sent, code));
        }
    }
    cases.push(breach("5.5.1", "close without a body", frame(true, CLOSE, b""), 1005));
    let longest = "न".repeat(41);
    assert_eq!(longest.len(), 123);
    cases.push(breach("5.5.1", "the longest reason", close(1000, longest.as_bytes()), 1000));
    hold(cases);
}

#[test]
pub fn bad_codes_are_a_breach() {
    let mut cases: Vec<Case> = Vec::new();
    for code in BAD {
        for reason in ["", "bye"] {
            let sent = close(code, reason.as_bytes());
            cases.push(breach("7.4", format!("close {code} {reason:?}"), sent, 1002));
        }
    }
    // 5.5.1: "the first two bytes of the body MUST be a 2-byte unsigned integer".
    cases.push(breach("5.5.1", "half a code", frame(true, CLOSE, b"\x03"), 1002));
    // 5.5.1 and 8.1: the reason is UTF-8.
    for (what, reason) in [
        ("an overlong slash", &b"\xc0\xaf"[..]),
        ("half a character", b"bye \xe0\xa4"),
        ("a surrogate", b"\xed\xa0\x80"),
        ("a stray byte", b"\xffbye"),
    ] {
        let sent = close(1000, reason);
        cases.push(breach("8.1", format!("a reason with {what}"), sent, 1007));
    }
    hold(cases);
}

/// 5.5.1: "The application MUST NOT send any more data frames after sending a Close frame." What
/// comes anyway means nothing.
#[test]
pub fn nothing_counts_behind_a_close() {
    let mut cases: Vec<Case> = Vec::new();
    for (what, behind) in [
        ("a message", frame(true, TEXT, b"late")),
        ("a ping", frame(true, PING, b"late")),
        ("another close", close(1002, b"")),
        ("a breach", vec![0xff; 40]),
    ] {
        let sent = [close(1000, b"bye"), behind].concat();
        cases.push(breach("5.5.1", format!("{what} behind a close"), sent, 1000));
    }
    // 7.1.7: a connection that failed takes no more, either.
    let failed = [frame(true, 3, b""), frame(true, TEXT, b"late"), close(1000, b"")].concat();
    cases.push(breach("7.1.7", "a message and a close behind a breach", failed, 1002));
    hold(cases);
}
