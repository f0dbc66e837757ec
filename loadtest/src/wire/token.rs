//! Development tokens: `POST /v1/dev/token` by hand, one small HTTP/1.1 request over a socket.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::ids::Id;

/// Longest wait for a token.
const PATIENCE: Duration = Duration::from_secs(10);

/// A user's device and the right to speak for it.
#[derive(Debug, Clone, Deserialize)]
pub struct Account {
    /// Who.
    pub user: Id,
    /// Which device.
    pub device: Id,
    /// The bearer token.
    pub token: String,
}

#[derive(Serialize)]
struct Ask<'a> {
    user: &'a str,
    device: &'a str,
}

/// The `host:port` of a `ws://` address.
///
/// # Errors
/// When it isn't one.
pub fn authority(url: &str) -> anyhow::Result<&str> {
    let rest =
        url.strip_prefix("ws://").with_context(|| format!("{url:?} must begin with ws://"))?;
    let authority = rest.split('/').next().unwrap_or(rest);
    if !authority.contains(':') {
        bail!("{url:?} must name a port: ws://host:port");
    }
    Ok(authority)
}

/// Asks the server at `url` (`ws://host:port`) for a token.
///
/// # Errors
/// When the server can't be reached or does not hand out development tokens.
pub async fn fetch(url: &str, user: &str, device: &str) -> anyhow::Result<Account> {
    let authority = authority(url)?;
    let answer = timeout(PATIENCE, exchange(authority, &Ask { user, device }))
        .await
        .with_context(|| format!("{authority} did not answer a token request in {PATIENCE:?}"))??;
    let text = std::str::from_utf8(&answer).context("the token answer is not text")?;
    let (head, body) = text.split_once("\r\n\r\n").context("the token answer has no body")?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("{authority} gave no development token: {status}: {}", body.trim());
    }
    serde_json::from_str(body).with_context(|| format!("a strange token answer: {body}"))
}

async fn exchange(authority: &str, ask: &Ask<'_>) -> anyhow::Result<Vec<u8>> {
    let body = serde_json::to_string(ask)?;
    let request = format!(
        "POST /v1/dev/token HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut socket = TcpStream::connect(authority).await?;
    socket.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(1024);
    loop {
        if socket.read_buf(&mut answer).await? == 0 || complete(&answer) {
            return Ok(answer);
        }
    }
}

/// Is the whole body there? Without a `content-length` the end of the connection says so.
fn complete(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|l| l.strip_prefix("content-length:")?.trim().parse().ok());
    length.is_some_and(|length: usize| answer.len() >= end + 4 + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities() {
        assert_eq!(authority("ws://127.0.0.1:8080").ok(), Some("127.0.0.1:8080"));
        assert_eq!(authority("ws://h:1/v1/ws").ok(), Some("h:1"));
        assert!(authority("http://h:1").is_err());
        assert!(authority("ws://h").is_err());
    }

    #[test]
    fn the_end_of_an_answer() {
        assert!(!complete(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{"));
        assert!(complete(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"));
        assert!(!complete(b"HTTP/1.1 200 OK\r\n\r\n{}"));
    }
}
