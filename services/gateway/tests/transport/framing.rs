//! Frames (RFC 6455, section 5): sizes, control frames, and every breach with its close code.

use crate::{
    client::{BINARY, CLOSE, CONTINUE, Client, PING, PONG, TEXT, frame, header},
    server::start,
};

#[test]
pub fn messages_of_every_length_come_back() {
    let server = start();
    let mut client = Client::open(server.address);
    for length in [0, 1, 125, 126, 65_535, 65_536] {
        let text = "x".repeat(length);
        client.text(&text);
        assert_eq!(client.read_text(), text);
        client.frame(true, BINARY, text.as_bytes());
        assert_eq!(client.read(), (BINARY, text.into_bytes()));
    }
}

#[test]
pub fn a_frame_may_come_byte_by_byte_and_many_in_one_packet() {
    let server = start();
    let mut client = Client::open(server.address);
    for byte in frame(true, TEXT, "µ@ß".as_bytes()) {
        client.raw(&[byte]);
    }
    assert_eq!(client.read_text(), "µ@ß");
    let packet: Vec<u8> =
        (0..1000).flat_map(|n| frame(true, TEXT, format!("{n}").as_bytes())).collect();
    client.raw(&packet);
    for n in 0..1000 {
        assert_eq!(client.read_text(), format!("{n}"));
    }
}

#[test]
pub fn pings_are_answered_with_their_payload() {
    let server = start();
    let mut client = Client::open(server.address);
    for payload in [&b""[..], b"hello", &[0xff; 125]] {
        client.frame(true, PING, payload);
        assert_eq!(client.read(), (PONG, payload.to_vec()));
    }
    client.text("!ping abc");
    assert_eq!(client.read(), (PING, b"abc".to_vec()));
    client.frame(true, PONG, b"abc");
    server.until("the pong", |probe| probe.events().contains(&"pong 3".to_owned()));
}

#[test]
pub fn breaches_close_with_their_code() {
    let server = start();
    let mut unmasked = vec![0x81, 3];
    unmasked.extend(b"abc");
    let breaches: [(&str, Vec<u8>, u16); 18] = [
        ("unmasked", unmasked, 1002),
        ("reserved bit 1", vec![0xc1, 0x80], 1002),
        ("reserved bit 3 on a ping", vec![0x99, 0x80], 1002),
        ("opcode 3", frame(true, 3, b""), 1002),
        ("opcode 11", frame(true, 11, b"x"), 1002),
        ("fragmented ping", frame(false, PING, b"x"), 1002),
        ("ping of 126 bytes", frame(true, PING, &[0; 126]), 1002),
        ("close of 126 bytes", header(true, CLOSE, 126), 1002),
        ("continuation of nothing", frame(true, CONTINUE, b"x"), 1002),
        ("open continuation of nothing", frame(false, CONTINUE, b"x"), 1002),
        (
            "message within a message",
            [frame(false, TEXT, b"a"), frame(true, TEXT, b"b")].concat(),
            1002,
        ),
        ("close with one byte", frame(true, CLOSE, b"x"), 1002),
        ("close with 1005", frame(true, CLOSE, &1005_u16.to_be_bytes()), 1002),
        ("close with 999", frame(true, CLOSE, &999_u16.to_be_bytes()), 1002),
        ("close with 5000", frame(true, CLOSE, &5000_u16.to_be_bytes()), 1002),
        ("length over 63 bits", [&[0x81, 0xff][..], &[0xff; 8]].concat(), 1002),
        ("not utf-8", frame(true, TEXT, b"ab\xc0\xaf"), 1007),
        ("surrogate", frame(true, TEXT, b"\xed\xa0\x80"), 1007),
    ];
    for (what, bytes, code) in &breaches {
        let mut client = Client::open(server.address);
        client.text("before");
        assert_eq!(client.read_text(), "before", "{what}");
        client.raw(bytes);
        assert_eq!(client.closed().0, *code, "{what}");
    }
    server.until_stopped(breaches.len());
}

#[test]
pub fn an_oversize_frame_ends_at_its_header() {
    let server = start();
    for length in [65_537, 1 << 30, i64::MAX as u64] {
        let mut client = Client::open(server.address);
        client.raw(&header(true, TEXT, length));
        assert_eq!(client.closed(), (1009, "frame over frame_bytes_max".to_owned()));
    }
}
