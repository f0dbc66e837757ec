//! Handshakes by RFC 6455, section 4, whose headers are wrong, twice there, or smuggle something.

use crate::{
    client::{Client, End, HANDSHAKE},
    server::{Fixture, start},
};

/// The handshake without the lines of some headers, and with others behind them.
fn handshake(without: &[&str], with: &str) -> String {
    let name = |line: &str| line.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let kept = HANDSHAKE.lines().filter(|line| !without.contains(&name(line).as_str()));
    let kept: String = kept.map(|line| format!("{line}\r\n")).collect();
    format!("{kept}{with}\r\n")
}

fn refused(server: &Fixture, what: &str, request: &str, status: u16, code: &str) {
    let (got, answer) = Client::answer(server.address, request);
    assert_eq!(got, status, "{what}: {answer}");
    assert!(answer.contains(&format!(r#""code":"{code}""#)), "{what}: {answer}");
}

const KEY: &str = "sec-websocket-key";
const VERSION: &str = "sec-websocket-version";

/// 4.2.1: "If the server, while reading the handshake, finds that the client did not send a
/// handshake that matches the description below […], the server MUST stop processing".
#[test]
pub fn handshakes_that_do_not_match() {
    let server = start();
    let bad = "bad_handshake";
    for (what, request) in [
        ("4.2.1 (1): HTTP/1.0", handshake(&[], "").replace("HTTP/1.1", "HTTP/1.0")),
        ("4.2.1 (1): PUT", handshake(&[], "").replace("GET", "PUT")),
        ("4.2.1 (4): no connection", handshake(&["connection"], "")),
        ("4.2.1 (4): another connection", handshake(&["connection"], "connection: close\r\n")),
        ("4.2.1 (5): no key", handshake(&[KEY], "")),
        ("4.2.1 (5): an empty key", handshake(&[KEY], "sec-websocket-key: \r\n")),
        ("4.2.1 (5): 15 bytes", handshake(&[KEY], "sec-websocket-key: AAAAAAAAAAAAAAAAAAAA\r\n")),
        (
            "4.2.1 (5): 17 bytes",
            handshake(&[KEY], "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAAA=\r\n"),
        ),
        (
            "4.2.1 (5): no base64",
            handshake(&[KEY], "sec-websocket-key: !!!!!!!!!!!!!!!!!!!!!!==\r\n"),
        ),
        ("4.2.1 (6): no version", handshake(&[VERSION], "")),
        ("4.2.1 (6): version 0", handshake(&[VERSION], "sec-websocket-version: 0\r\n")),
        ("4.2.1 (6): version 7", handshake(&[VERSION], "sec-websocket-version: 7\r\n")),
        ("4.2.1 (6): version 8", handshake(&[VERSION], "sec-websocket-version: 8\r\n")),
        ("4.2.1 (6): version 14", handshake(&[VERSION], "sec-websocket-version: 14\r\n")),
        ("4.2.1 (6): version 013", handshake(&[VERSION], "sec-websocket-version: 013\r\n")),
        ("4.2.1 (6): a list", handshake(&[VERSION], "sec-websocket-version: 13, 8\r\n")),
        ("11.3.5: the version twice", handshake(&[], "sec-websocket-version: 13\r\n")),
        ("11.3.5: two versions", handshake(&[], "sec-websocket-version: 8\r\n")),
        (
            "11.3.1: the key twice",
            handshake(&[], "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"),
        ),
    ] {
        refused(&server, what, &request, 400, bad);
    }
    assert!(server.probe.events().is_empty(), "no session was started");
}

/// Which of two would count? A proxy in front may have looked at the other one.
#[test]
pub fn what_may_stand_once_does_not_stand_twice() {
    let server = start();
    let two = |name: &str, one: &str, other: &str| {
        handshake(&[name], &format!("{name}: {one}\r\n{name}: {other}\r\n"))
    };
    for (one, other) in [("Bearer good", "Bearer bad"), ("Bearer good", "Basic Zm9v")] {
        for request in [two("authorization", one, other), two("authorization", other, one)] {
            refused(&server, "two tokens", &request, 401, "unauthenticated");
        }
    }
    let (ours, theirs) = ("http://localhost", "https://evil.test");
    for request in [two("origin", ours, theirs), two("origin", theirs, ours)] {
        refused(&server, "two origins", &request, 403, "forbidden");
    }
    assert!(server.probe.events().is_empty(), "no session was started");
}

#[test]
pub fn handshakes_that_are_unusual_but_good() {
    let server = start();
    for (what, request) in [
        ("4.2.1 (3): in capitals", handshake(&["upgrade"], "UPGRADE: WebSocket\r\n")),
        ("4.2.1 (4): in a list", handshake(&["connection"], "connection: x , uPgRaDe\r\n")),
        ("11.3.4: subprotocols in two headers", handshake(&[], "sec-websocket-protocol: soap\r\n")),
        (
            "9.1: an extension that nobody has",
            handshake(&[], "sec-websocket-extensions: x; y=1\r\n"),
        ),
        ("headers that nobody knows", handshake(&[], "x-a: b\r\nx-a: c\r\n")),
        ("spaces around a value", handshake(&["host"], "host: \t localhost \t\r\n")),
    ] {
        let mut client = Client::bare(server.address);
        client.raw(request.as_bytes());
        let head = client.upgraded();
        assert!(!head.contains("sec-websocket-extensions"), "{what}: {head}");
        client.text(what);
        assert_eq!(client.read_text(), what);
    }
}

/// Requests that two readers could understand differently.
#[test]
pub fn requests_that_smuggle() {
    let server = start();
    let no_host = handshake(&["host"], "");
    let two_hosts = handshake(&[], "host: evil.test\r\n");
    for (what, request) in [
        ("RFC 6455, 4.2.1 (2): no host", no_host.as_str()),
        ("RFC 9112, 3.2: two hosts", two_hosts.as_str()),
        (
            "two lengths",
            "POST /hello HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        ),
        (
            "a length and chunks",
            "POST /hello HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        ("a length with a sign", "POST /hello HTTP/1.1\r\nhost: x\r\ncontent-length: +1\r\n\r\na"),
        ("a line break in a value", "GET /hello HTTP/1.1\r\nhost: x\r\nx: a\nb\r\n\r\n"),
        ("a folded line", "GET /hello HTTP/1.1\r\nhost: x\r\nx: a\r\n b\r\n\r\n"),
        ("a zero in a value", "GET /hello HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n"),
        ("a space before the colon", "GET /hello HTTP/1.1\r\nhost: x\r\nx : y\r\n\r\n"),
        ("a space in the path", "GET /he llo HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ] {
        let (status, answer) = Client::answer(server.address, request);
        assert_eq!(status, 400, "{what}: {answer}");
    }
}

/// A handshake that stops halfway ends with its sender, and nothing is answered to half of it.
#[test]
pub fn half_a_handshake_is_no_handshake() {
    let server = start();
    let whole = handshake(&[], "");
    for end in [0, 1, 3, 20, whole.len() / 2, whole.len() - 2, whole.len() - 1] {
        let mut client = Client::bare(server.address);
        client.raw(&whole.as_bytes()[..end]);
        client.wire.half_close();
        let mut answer = Vec::new();
        let read = std::io::Read::read_to_end(&mut client.wire, &mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(!answer.contains(" 101 "), "{end} bytes: {answer}");
        assert!(read.is_ok() || client.end() != End::Closed, "{end} bytes");
    }
    assert!(server.probe.events().is_empty(), "no session was started");
    // In single bytes it is one.
    let mut client = Client::bare(server.address);
    for byte in whole.as_bytes() {
        client.raw(&[*byte]);
    }
    client.upgraded();
}
