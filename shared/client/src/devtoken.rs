//! `POST /v1/dev/token` of a server in development mode: names become users. A few lines of
//! HTTP/1.1 by hand, because nothing else here needs an HTTP client.

use std::{io, time::Duration};

use harkara_domain::{DeviceId, UserId};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::{
    address::Address,
    error::Stopped,
    tls::{self, Tls},
};

/// Longest answer taken: a token is below 2 KiB.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Longest time for everything.
const TIME_MAX: Duration = Duration::from_secs(10);

/// A development user with a token.
#[derive(Clone, PartialEq, Eq)]
pub struct DevToken {
    /// The user that the name stands for, always the same.
    pub user: UserId,
    /// The device that its name stands for, always the same.
    pub device: DeviceId,
    /// The bearer token.
    pub token: String,
    /// RFC 3339.
    pub expires_at: String,
}

impl std::fmt::Debug for DevToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevToken").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Why there is no development token.
#[derive(Debug, thiserror::Error)]
pub enum DevTokenError {
    /// The URL can't be one.
    #[error(transparent)]
    BadUrl(#[from] Stopped),
    /// The server can't be reached.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The server says no: by this name, or to everybody because it isn't in development mode.
    #[error("the server gives no development token (HTTP {status}): {body}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The beginning of the answer.
        body: String,
    },
    /// The answer is not what the protocol says.
    #[error("the answer to POST /v1/dev/token makes no sense")]
    BadAnswer,
}

/// Asks the server behind `url` (`ws://…`, `wss://…`) for a token of the user with this name.
/// `tls` is for `wss://`, by default the system's.
///
/// # Errors
/// See [`DevTokenError`].
pub async fn dev_token(
    url: &str,
    tls: Option<&Tls>,
    user: &str,
    device: Option<&str>,
) -> Result<DevToken, DevTokenError> {
    ask(&Address::parse(url, tls)?, user, device).await
}

pub(crate) async fn ask(
    address: &Address,
    user: &str,
    device: Option<&str>,
) -> Result<DevToken, DevTokenError> {
    let mut body = serde_json::json!({ "user": user });
    if let Some(device) = device {
        body["device"] = device.into();
    }
    let answer = timeout(TIME_MAX, post(address, "/v1/dev/token", &body.to_string()))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let (status, body) = take_apart(&answer).ok_or(DevTokenError::BadAnswer)?;
    if status != 200 {
        let body = body.trim().chars().take(200).collect();
        return Err(DevTokenError::Refused { status, body });
    }
    read(body).ok_or(DevTokenError::BadAnswer)
}

fn read(body: &str) -> Option<DevToken> {
    let value: serde_json::Value = serde_json::from_str(body).ok()?;
    let text = |key: &str| value.get(key)?.as_str();
    Some(DevToken {
        user: text("user")?.parse().ok()?,
        device: text("device")?.parse().ok()?,
        token: text("token")?.to_owned(),
        expires_at: text("expires_at")?.to_owned(),
    })
}

async fn post(address: &Address, path: &str, body: &str) -> io::Result<String> {
    let mut stream = tls::connect(address).await?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        address.authority,
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await {
        // TLS without its last word; the answer has a length of its own.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        read => drop(read?),
    }
    String::from_utf8(answer).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Status and body of an answer that ended with the connection.
fn take_apart(answer: &str) -> Option<(u16, &str)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    let header = |name: &str| {
        head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    if header("transfer-encoding").is_some() {
        // One JSON object has a known length; whoever cuts it up is no harkara server.
        return None;
    }
    let length = header("content-length").and_then(|value| value.parse::<usize>().ok());
    Some((status, length.map_or(Some(body), |length| body.get(..length))?))
}

#[cfg(test)]
mod tests {
    use super::take_apart;

    #[test]
    fn answers_are_taken_apart() {
        let answer = "HTTP/1.1 200 OK\r\ncontent-Length: 2\r\n\r\n{}";
        assert_eq!(take_apart(answer), Some((200, "{}")));
        assert_eq!(take_apart("HTTP/1.1 404 Not Found\r\n\r\nno"), Some((404, "no")));
        for bad in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}"] {
            assert_eq!(take_apart(bad), None, "{bad}");
        }
    }
}
