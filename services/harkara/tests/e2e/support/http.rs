//! HTTP/1.1 by hand: one request a connection, the answer read to its end.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use serde_json::Value;

use super::SOON;

/// Sends bytes and reads to the connection's end.
pub fn raw(at: SocketAddr, request: &[u8]) -> io::Result<String> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(SOON))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Status and body.
pub fn get(at: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n\r\n");
    raw(at, request.as_bytes()).map(|answer| take_apart(&answer))
}

/// Status and body.
pub fn post(at: SocketAddr, path: &str, body: &str) -> io::Result<(u16, String)> {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\ncontent-length: {length}\r\n\
         \r\n{body}"
    );
    raw(at, request.as_bytes()).map(|answer| take_apart(&answer))
}

/// Status and body of an answer; 0 where there was none.
pub fn take_apart(answer: &str) -> (u16, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, body.to_owned())
}

/// A development token.
pub fn token(at: SocketAddr, user: &str, device: &str) -> String {
    let body = serde_json::json!({"user": user, "device": device}).to_string();
    let (status, body) = post(at, "/v1/dev/token", &body).expect("an answer with a token");
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    answer["token"].as_str().expect("a token").to_owned()
}

/// An upgrade request, with more headers, each ended by a line break.
pub fn upgrade(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: chat.example.org\r\nupgrade: websocket\r\n\
         connection: upgrade\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-version: 13\r\n{more}\r\n"
    )
}
