//! Refusals as HTTP answers: a status and a small JSON body,
//! `{"error": {"code": "…", "message": "…"}}`.
//!
//! [`super::upgrade`] writes them to the bare socket, the REST half returns them as responses.

use std::{fmt::Write as _, time::Duration};

use actix_http::{StatusCode, header};
use actix_web::HttpResponse;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::transport::{Refusal, Socket};

/// What a refused client may still send before it is cut off.
const DISCARDED_BYTES_MAX: u64 = 64 * 1024;

/// For the REST half.
pub(super) fn response(refusal: &Refusal) -> HttpResponse {
    let mut response = HttpResponse::build(status(refusal));
    response.insert_header((header::CONTENT_TYPE, "application/json"));
    if let Some(after) = refusal.retry_after {
        response.insert_header((header::RETRY_AFTER, seconds(after)));
    }
    response.body(body(refusal))
}

/// The whole answer, as bytes. The connection ends after it.
pub(super) fn encode(refusal: &Refusal) -> String {
    let (status, body) = (status(refusal), body(refusal));
    let mut answer = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\nsec-websocket-version: 13\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or("Refused"),
        body.len(),
    );
    if let Some(after) = refusal.retry_after {
        let _ = write!(answer, "retry-after: {}\r\n", seconds(after));
    }
    answer + "\r\n" + &body
}

/// Sends the answer and ends the connection within `within`, reading on to the client's end: bytes
/// left unread would make the kernel reset the connection before the client has read the answer.
pub(super) async fn refuse(
    mut socket: impl Socket,
    before: &[u8],
    refusal: &Refusal,
    within: Duration,
) {
    let answer = encode(refusal);
    let exchange = async {
        socket.write_all(before).await?;
        socket.write_all(answer.as_bytes()).await?;
        socket.shutdown().await?;
        tokio::io::copy(&mut socket.take(DISCARDED_BYTES_MAX), &mut tokio::io::sink()).await
    };
    // A client that does not wait for its answer has nothing more to learn.
    let _ = timeout(within, exchange).await;
}

fn status(refusal: &Refusal) -> StatusCode {
    StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Whole seconds, rounded up: 0 would invite the client back at once.
fn seconds(after: Duration) -> u64 {
    after.as_secs() + u64::from(after.subsec_nanos() > 0)
}

fn body(refusal: &Refusal) -> String {
    format!(
        r#"{{"error":{{"code":"{}","message":"{}"}}}}"#,
        escape(refusal.code),
        escape(&refusal.message)
    )
}

/// A JSON string's inside (RFC 8259, section 7).
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\\' => escaped.extend(['\\', character]),
            control if control < ' ' => {
                let _ = write!(escaped, "\\u{:04x}", u32::from(control));
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_http_with_json() {
        let refusal = Refusal::unavailable("a \"b\"\n", Duration::from_millis(1500));
        let answer = encode(&refusal);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{head}");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        assert!(head.ends_with("retry-after: 2"), "{head}");
        assert_eq!(body, r#"{"error":{"code":"unavailable","message":"a \"b\"\u000a"}}"#);
    }
}
