//! Upgrades: every documented refusal, the first frame in the handshake's packet, slow clients.

use std::time::Duration;

use crate::{
    client::{Client, End, HANDSHAKE, frame},
    server::{Fixture, config, start, start_with},
};

/// The handshake with one header changed (or, with an empty value, left out).
fn changed(name: &str, value: &str) -> String {
    let kept: Vec<_> = HANDSHAKE
        .lines()
        .filter(|line| !line.to_ascii_lowercase().starts_with(&format!("{name}:")))
        .collect();
    let added = if value.is_empty() { String::new() } else { format!("{name}: {value}\r\n") };
    format!("{}\r\n{added}\r\n", kept.join("\r\n"))
}

fn refused(server: &Fixture, request: &str, status: u16, code: &str) -> String {
    let (got, answer) = Client::answer(server.address, request);
    assert_eq!(got, status, "{request}\n{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(body.starts_with(&format!(r#"{{"error":{{"code":"{code}","message":""#)), "{body}");
    assert!(head.to_ascii_lowercase().contains("content-type: application/json"), "{head}");
    head.to_ascii_lowercase()
}

#[test]
pub fn every_refusal_has_its_status() {
    let server = start();
    let path = HANDSHAKE.replace("/v1/ws", "/v1/wss") + "\r\n";
    refused(&server, &path, 404, "not_found");
    let method = HANDSHAKE.replace("GET", "POST") + "\r\n";
    refused(&server, &method, 400, "bad_handshake");
    for (name, value) in [
        ("sec-websocket-version", "12"),
        ("sec-websocket-version", ""),
        ("sec-websocket-key", ""),
        ("sec-websocket-key", "short"),
        ("connection", "keep-alive"),
    ] {
        let head = refused(&server, &changed(name, value), 400, "bad_handshake");
        assert!(head.contains("sec-websocket-version: 13"), "{head}");
    }
    for value in ["", "chat", "harkara.v1.cbor", "harkara.v1.jsonx, soap"] {
        let request = changed("sec-websocket-protocol", value);
        refused(&server, &request, 400, "bad_subprotocol");
    }
    refused(&server, &changed("origin", "https://evil.test"), 403, "forbidden");
    refused(&server, &changed("authorization", "Bearer bad"), 401, "unauthenticated");
    refused(&server, &changed("authorization", "Basic Zm9v"), 401, "unauthenticated");
    refused(&server, &changed("authorization", "Bearer foreign"), 403, "forbidden");
    let head = refused(&server, &changed("authorization", "Bearer busy"), 503, "unavailable");
    assert!(head.contains("retry-after: 3"), "{head}");
    assert!(server.probe.events().is_empty(), "no session was started");
}

#[test]
pub fn good_upgrades_pass() {
    let server = start();
    for request in [
        changed("authorization", "bearer  good"),
        changed("sec-websocket-protocol", "soap, harkara.v1.json"),
        changed("origin", "http://localhost:3000"),
        HANDSHAKE.replace("/v1/ws", "/v1/ws?x=1") + "\r\n",
    ] {
        let mut client = Client::bare(server.address);
        client.raw(request.as_bytes());
        client.upgraded();
        client.text("नमस्ते");
        assert_eq!(client.read_text(), "नमस्ते");
    }
    assert_eq!(server.probe.events()[..2], ["start good", "start none"]);
}

#[test]
pub fn listed_origins_are_the_only_ones() {
    let origins = vec!["https://chat.test".to_owned()];
    let server = start_with(harkara_gateway::http::ServerConfig { origins, ..config() });
    refused(&server, &changed("origin", "http://localhost:3000"), 403, "forbidden");
    let mut client = Client::bare(server.address);
    client.raw(changed("origin", "https://chat.test").as_bytes());
    client.upgraded();
}

#[test]
pub fn rest_answers_beside_it() {
    let server = start();
    let plain = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    refused(&server, &plain("/v1/ws"), 400, "bad_handshake");
    refused(&server, &plain("/v1/nothing"), 404, "not_found");
    assert_eq!(Client::answer(server.address, &plain("/hello")).0, 200);
    assert_eq!(Client::answer(server.address, "NONSENSE\r\n\r\n").0, 400);
}

#[test]
pub fn a_first_frame_may_ride_with_the_handshake() {
    let server = start();
    let mut client = Client::bare(server.address);
    let mut packet = format!("{HANDSHAKE}\r\n").into_bytes();
    packet.extend(frame(true, 1, b"early"));
    packet.extend(&frame(true, 1, b"cut in two")[..9]);
    client.raw(&packet);
    client.upgraded();
    assert_eq!(client.read_text(), "early");
    client.raw(&frame(true, 1, b"cut in two")[9..]);
    assert_eq!(client.read_text(), "cut in two");
}

#[test]
pub fn a_slow_handshake_is_closed_in_time() {
    let handshake_timeout = Duration::from_millis(300);
    let server = start_with(harkara_gateway::http::ServerConfig { handshake_timeout, ..config() });
    let clock = harkara_service_runtime::clock::SystemClock::shared();
    let mut client = Client::bare(server.address);
    client.raw(HANDSHAKE.as_bytes());
    let before = clock.elapsed_ns();
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    assert_eq!(client.end(), End::Closed);
    let took = Duration::from_nanos(clock.elapsed_ns() - before);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
pub fn over_the_limit_there_is_503_until_somebody_leaves() {
    let server = start_with(harkara_gateway::http::ServerConfig { sessions_max: 1, ..config() });
    let mut first = Client::open(server.address);
    let request = format!("{HANDSHAKE}\r\n");
    let head = refused(&server, &request, 503, "unavailable");
    assert!(head.contains("retry-after: 5"), "{head}");
    first.text("!close");
    first.closed();
    drop(first);
    server.until("a free place", |_| {
        let mut client = Client::bare(server.address);
        client.raw(request.as_bytes());
        client.head().starts_with("HTTP/1.1 101")
    });
}
