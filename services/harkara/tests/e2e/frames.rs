//! On the wire: frames that break rules, in pieces, and too large.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use crate::support::{Client, Home, SOON, Server, client::message, http, uuid};

/// A socket behind a good handshake, for bytes that no library sends.
fn raw_socket(server: &Server) -> TcpStream {
    let more = format!(
        "sec-websocket-protocol: harkara.v1.json\r\nauthorization: Bearer {}\r\n",
        server.token("asha")
    );
    let mut stream = TcpStream::connect(server.clients).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(http::upgrade("/v1/ws", &more).as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    stream
}

/// A masked frame (with a mask of zeros) of a short payload.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126);
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

/// The code of the close frame that comes.
fn close_code(stream: &mut TcpStream) -> u16 {
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head).expect("a frame before the end");
        let mut payload = vec![0; usize::from(head[1])];
        assert!(head[1] < 126, "only short frames are expected");
        stream.read_exact(&mut payload).unwrap();
        if head[0] == 0x88 {
            return u16::from_be_bytes([payload[0], payload[1]]);
        }
    }
}

#[test]
fn frames_that_break_the_rules_close_the_session() {
    let home = Home::new();
    let server = home.start();
    let flood: Vec<u8> = (0..200).flat_map(|_| frame(0x89, b"")).collect();
    for (bytes, code, what) in [
        (frame(0x82, b"binary"), 1003, "a binary message"),
        (frame(0x81, b"\xff\xfe"), 1007, "text that is not UTF-8"),
        (frame(0x81, b"\xe0\xa4"), 1007, "text cut off inside a character"),
        (frame(0x83, b""), 1002, "an opcode that does not exist"),
        (frame(0xc1, b"{}"), 1002, "a reserved bit"),
        (vec![0x81, 0x02, b'{', b'}'], 1002, "no mask"),
        (frame(0x80, b"{}"), 1002, "a continuation of nothing"),
        (frame(0x09, b""), 1002, "a ping in fragments"),
        (flood, 1008, "a flood of pings"),
        ([&[0x81, 0xff], &70_000_u64.to_be_bytes()[..], &[0; 4]].concat(), 1009, "too long"),
    ] {
        let mut stream = raw_socket(&server);
        stream.write_all(&bytes).unwrap();
        assert_eq!(close_code(&mut stream), code, "{what}");
    }
    let evicted = server.metrics().sum("harkara_sessions_evicted_total", "");
    assert!(evicted >= 1.0, "{evicted}");
}

#[tokio::test]
async fn a_message_in_fragments_with_pings_between_is_one() {
    let home = Home::new();
    let server = home.start();
    let mut stream = raw_socket(&server);
    let parts =
        [r#"{"jsonrpc":"2.0","id":"a","#, r#""method":"session.start","#, r#""params":{}}"#];
    stream.write_all(&frame(0x01, parts[0].as_bytes())).unwrap();
    stream.write_all(&frame(0x89, b"still there?")).unwrap();
    stream.write_all(&frame(0x00, parts[1].as_bytes())).unwrap();
    stream.write_all(&frame(0x80, parts[2].as_bytes())).unwrap();
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head, [0x8a, 12], "the pong");
    let mut pong = [0; 12];
    stream.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"still there?");
    let mut answer = [0; 40];
    stream.read_exact(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer).contains(r#""id":"a""#));
}

#[tokio::test]
async fn a_large_message_passes_and_a_larger_one_does_not() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let group = asha.create("group", None, &[]).await;
    let overhead = r#"{"text":"","type":"text"}"#.len();
    let largest = "x".repeat(32_768 - overhead);
    asha.say(&group, &largest).await;
    assert_eq!(asha.event(&group, 2).await["content"]["text"], largest);
    let larger = message(&group, &uuid(), &format!("{largest}x"));
    assert_eq!(asha.word("message.send", larger).await, "too_large");
    // Escapes make the frame longer, not the content.
    let escaped = "\\u0041".repeat(10_000);
    let request = format!(
        r#"{{"jsonrpc":"2.0","id":77,"method":"message.send","params":{{"conversation":"{group}",
        "client_id":"{}","content":{{"type":"text","text":"{escaped}"}}}}}}"#,
        uuid()
    );
    asha.write(&request).await;
    asha.answer(77).await.unwrap();
    assert_eq!(asha.event(&group, 3).await["content"]["text"], "A".repeat(10_000));
    asha.write(&" ".repeat(65_537)).await;
    assert_eq!(asha.closed().await, Some(1009));
}
