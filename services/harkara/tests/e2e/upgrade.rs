//! Coming in: what is refused before there is a session, and with which words.

use std::{io::Read as _, net::TcpStream, time::Duration};

use serde_json::{Value, json};

use crate::support::{
    Client, Home, SOON, Server, Stopwatch,
    client::{Frame, message},
    http,
    production::Production,
    uuid,
};

const SUBPROTOCOL: &str = "sec-websocket-protocol: harkara.v1.json\r\n";

#[test]
fn a_bad_upgrade_is_answered_with_a_status_and_a_code() {
    let home = Home::new();
    let server = home.start();
    let token = server.token("asha");
    let with = |more: &str| format!("{SUBPROTOCOL}{more}\r\n");
    for (path, more, status, code) in [
        ("/v1/other", SUBPROTOCOL.to_owned(), 404, "not_found"),
        ("/v1/ws", String::new(), 400, "bad_subprotocol"),
        ("/v1/ws", "sec-websocket-protocol: harkara.v9\r\n".to_owned(), 400, "bad_subprotocol"),
        ("/v1/ws", with("authorization: Bearer nonsense"), 401, "unauthenticated"),
        ("/v1/ws", with("authorization: Basic YTpi"), 401, "unauthenticated"),
        ("/v1/ws", with(&format!("authorization: Bearer {token}x")), 401, "unauthenticated"),
        ("/v1/ws", with("origin: https://evil.example"), 403, "forbidden"),
    ] {
        let answer = http::raw(server.clients, http::upgrade(path, &more).as_bytes()).unwrap();
        let (got, body) = http::take_apart(&answer);
        let body: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{answer}"));
        assert_eq!((got, &body["error"]["code"]), (status, &json!(code)), "{more}: {body}");
        assert!(body["error"]["message"].as_str().is_some_and(|m| !m.is_empty()));
    }
    for (path, status, code) in [("/v1/ws", 400, "bad_handshake"), ("/nowhere", 404, "not_found")] {
        let (got, body) = http::get(server.clients, path).unwrap();
        assert_eq!(got, status, "{body}");
        assert!(body.contains(code), "{body}");
    }
    for (good, bad) in [("version: 13", "version: 12"), ("key: dGhl", "kay: dGhl")] {
        let request = http::upgrade("/v1/ws", SUBPROTOCOL).replace(good, bad);
        let answer = http::raw(server.clients, request.as_bytes()).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && answer.contains("bad_handshake"),
            "{answer}"
        );
    }
    let (status, body) = http::get(server.clients, "/v1/openapi.json").unwrap();
    assert!(status == 200 && serde_json::from_str::<Value>(&body).is_ok());
}

#[tokio::test]
async fn an_origin_of_the_same_host_may_connect_and_others_as_configured() {
    let home = Home::new();
    let server = home.start();
    let tried = |server: &Server, origin: &str| {
        let more = format!("{SUBPROTOCOL}origin: {origin}\r\n");
        let mut stream = TcpStream::connect(server.clients).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        std::io::Write::write_all(&mut stream, http::upgrade("/v1/ws", &more).as_bytes()).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        String::from_utf8_lossy(&head[9..]).into_owned()
    };
    assert_eq!(tried(&server, "https://chat.example.org"), "101");
    assert_eq!(tried(&server, "http://localhost:3000"), "101");
    assert_eq!(tried(&server, "null"), "403");
    let origins = "https://a.example,https://b.example";
    let server = home_with(&Home::new(), "HARKARA_GATEWAY__ORIGINS", origins);
    assert_eq!(tried(&server, "https://b.example"), "101");
    assert_eq!(tried(&server, "https://chat.example.org"), "403");
}

fn home_with(home: &Home, name: &str, value: &str) -> Server {
    home.launch().env(name, value).start()
}

#[tokio::test]
async fn who_does_not_start_a_session_in_time_is_closed() {
    let home = Home::new();
    let server = home_with(&home, "HARKARA_GATEWAY__SESSION_START_TIMEOUT", "300ms");
    let watch = Stopwatch::start();
    let mut silent = Client::open(server.clients, None).await.unwrap();
    let mut wrong = Client::open(server.clients, None).await.unwrap();
    let early = message(&uuid(), &uuid(), "too early");
    assert_eq!(wrong.word("message.send", early).await, "unauthenticated");
    assert_eq!(wrong.word("session.start", json!({})).await, "unauthenticated");
    assert_eq!(wrong.word("session.start", json!({"token": "x"})).await, "unauthenticated");
    assert_eq!(silent.closed().await, Some(1008));
    assert_eq!(wrong.closed().await, Some(1008));
    assert!(watch.elapsed() >= Duration::from_millis(300));
    // A bad token may be followed by a good one.
    let mut client = Client::open(server.clients, None).await.unwrap();
    client.start(json!({"token": "bad"})).await.unwrap_err();
    client.start(json!({"token": server.token("asha")})).await.unwrap();
    assert_eq!(client.word("session.start", json!({})).await, "-32600");
}

#[test]
fn a_slow_handshake_is_closed() {
    let home = Home::new();
    let server = home_with(&home, "HARKARA_GATEWAY__HANDSHAKE_TIMEOUT", "500ms");
    let answer = http::raw(server.clients, b"GET /v1/ws HTTP/1.1\r\nhost: x\r\nupgr").unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    // Nothing at all is sent either.
    assert!(http::raw(server.clients, b"").is_ok());
}

#[tokio::test]
async fn sends_above_the_rate_are_refused_and_may_be_repeated() {
    let production = Production::new();
    let server = production.start();
    let token = production.token(60, &json!({}));
    let mut client = Client::open(server.clients, Some(&token)).await.unwrap();
    client.start(json!({})).await.unwrap();
    let group = client.create("group", None, &[]).await;
    let (mut refused, mut accepted) = (None, 0);
    for n in 0..400 {
        client.post("message.send", message(&group, &uuid(), &format!("{n}"))).await;
    }
    for _ in 0..10_000 {
        let Frame::Json(frame) = client.frame().await else { panic!("closed") };
        if frame["error"]["data"]["code"] == "rate_limited" {
            assert_eq!(frame["error"]["data"]["retryable"], true);
            refused = frame["error"]["data"]["retry_after_ms"].as_u64();
            assert!(refused.is_some_and(|ms| (1..=1_000).contains(&ms)), "{frame}");
        } else if frame.get("result").is_some() {
            accepted += 1;
        }
        if refused.is_some() && accepted >= 200 {
            break;
        }
    }
    assert!(refused.is_some() && accepted >= 200);
}
