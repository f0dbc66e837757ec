//! Fragmented messages and our limits on them. Their rules are in `rfc6455`.

use crate::{
    client::{BINARY, CONTINUE, Client, TEXT, frame},
    server::start,
};

#[test]
pub fn endless_empty_fragments_end_soon() {
    let server = start();
    let mut client = Client::open(server.address);
    client.frame(false, TEXT, b"");
    client.raw(&frame(false, CONTINUE, b"").repeat(1000));
    assert_eq!(client.closed(), (1008, "too many fragments in one message".to_owned()));
}

#[test]
pub fn endless_small_fragments_end_soon() {
    let server = start();
    let mut client = Client::open(server.address);
    client.frame(false, BINARY, b"x");
    client.raw(&frame(false, CONTINUE, b"x").repeat(2000));
    assert_eq!(client.closed().0, 1008);
}

#[test]
pub fn a_message_has_no_more_room_than_a_frame() {
    let server = start();
    let mut client = Client::open(server.address);
    let fragment = [b'x'; 16 * 1024];
    client.frame(false, TEXT, &fragment);
    for _ in 0..2 {
        client.frame(false, CONTINUE, &fragment);
    }
    client.frame(true, CONTINUE, &fragment);
    assert_eq!(client.read_text().len(), 64 * 1024);

    client.frame(false, TEXT, &fragment);
    for _ in 0..3 {
        client.frame(false, CONTINUE, &fragment);
    }
    client.frame(true, CONTINUE, b"y");
    assert_eq!(client.closed(), (1009, "message over its limit".to_owned()));
}
