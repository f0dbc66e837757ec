//! Frames as they come: in pieces, many in one packet, too large. Their rules are in `rfc6455`.

use crate::{
    client::{Client, PING, PONG, TEXT, frame, header},
    server::start,
};

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
pub fn an_oversize_frame_ends_at_its_header() {
    let server = start();
    for length in [65_537, 1 << 30, i64::MAX as u64] {
        let mut client = Client::open(server.address);
        client.raw(&header(true, TEXT, length));
        assert_eq!(client.closed(), (1009, "frame over frame_bytes_max".to_owned()));
    }
}
