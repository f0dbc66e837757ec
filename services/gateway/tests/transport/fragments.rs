//! Fragmented messages: joining, control frames in between, and the limits.

use crate::{
    client::{BINARY, CONTINUE, Client, PING, PONG, TEXT, frame},
    server::start,
};

#[test]
pub fn fragments_join_in_order_with_pings_between() {
    let server = start();
    let mut client = Client::open(server.address);
    for opcode in [TEXT, BINARY] {
        client.frame(false, opcode, b"one ");
        client.frame(true, PING, b"p");
        assert_eq!(client.read(), (PONG, b"p".to_vec()), "answered while the message is open");
        client.frame(false, CONTINUE, b"");
        client.frame(false, CONTINUE, b"two ");
        client.frame(true, CONTINUE, b"three");
        assert_eq!(client.read(), (opcode, b"one two three".to_vec()));
    }
    client.frame(false, TEXT, b"");
    client.frame(true, CONTINUE, b"");
    assert_eq!(client.read_text(), "");
}

#[test]
pub fn a_character_may_be_cut_anywhere() {
    let server = start();
    let mut client = Client::open(server.address);
    let text = "κόσμε 👋🏽 नमस्ते";
    client.frame(false, TEXT, &text.as_bytes()[..1]);
    for byte in &text.as_bytes()[1..] {
        client.frame(false, CONTINUE, &[*byte]);
    }
    client.frame(true, CONTINUE, b"");
    assert_eq!(client.read_text(), text);
}

#[test]
pub fn bad_text_ends_at_the_fragment_that_breaks_it() {
    let server = start();
    let mut client = Client::open(server.address);
    client.frame(false, TEXT, b"\xf4");
    client.frame(false, CONTINUE, b"\x90");
    assert_eq!(client.closed().0, 1007, "without the last fragment");

    let mut client = Client::open(server.address);
    client.frame(false, TEXT, b"ab\xce");
    client.frame(true, CONTINUE, b"");
    assert_eq!(client.closed().0, 1007, "half a character at the end");
}

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
