//! Strangers' words: what is too large or malformed costs them an answer and the server nothing,
//! and neither secrets nor what people write ever stands in the log.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::support::{
    Client, Home, Server,
    client::message,
    http,
    production::{Production, signed},
    server::Launch,
    until, uuid,
};

/// What would begin a line of its own, if a line break or an escape got through.
const FORGED: &str = "FORGED-LINE";

/// What only members may read, in content, titles and names.
const PRIVATE: &str = "kept-among-us";

const SUBPROTOCOL: &str = "sec-websocket-protocol: harkara.v1.json\r\n";

/// Everything that a server must not repeat, said to it in as many ways as there are.
async fn say_all(production: &Production, server: &Server) -> Vec<String> {
    let stranger = signed(b"a secret of somebody else, long enough", None, 60, &json!({}));
    let expired = production.token(-60, &json!({}));
    let who = json!({"name": format!("Asha {PRIVATE}")});
    let (first, second) = (production.token(60, &who), production.token(60, &who));
    for bad in [&stranger, &expired] {
        assert!(Client::open(server.clients, Some(bad)).await.is_none());
        let mut client = Client::open(server.clients, None).await.unwrap();
        client.start(json!({"token": bad})).await.unwrap_err();
        hang_up(server, bad);
    }
    let mut asha = Client::open(server.clients, Some(&first)).await.unwrap();
    asha.start(json!({"token": first})).await.unwrap();
    let title = format!("{PRIVATE}\n{FORGED}\u{1b}[2J");
    let group = asha.create("group", Some(&title), &[]).await;
    asha.say(&group, &format!("{PRIVATE}\r\n{FORGED}")).await;
    asha.event(&group, 2).await;
    let other = json!({"type": "text", "text": "x", "again": PRIVATE, "n": 1});
    let mut twice = message(&group, &uuid(), PRIVATE);
    twice["content"] = other;
    asha.call("message.send", twice).await;
    nonsense(&mut asha, &group).await;
    let mut late = Client::open(server.clients, None).await.unwrap();
    late.start(json!({"token": second})).await.unwrap();
    vec![stranger, expired, first, second]
}

/// Frames whose errors quote them.
async fn nonsense(client: &mut Client, group: &str) {
    let forged = format!("x\n{FORGED}\u{1b}[31m");
    client.word(&forged, json!({})).await;
    client.word("users.find", json!({"prefix": PRIVATE, "limit": forged})).await;
    client.word("conversation.get", json!({"conversation": forged})).await;
    client.word("conversation.create", json!({"client_id": uuid(), "kind": forged})).await;
    let bad = json!({"type": "text", "text": "", PRIVATE: forged});
    let params = json!({"conversation": group, "client_id": uuid(), "content": bad});
    client.word("message.send", params).await;
    client.write(&format!("{PRIVATE} {forged}")).await;
    client.take().await;
}

/// The same over bare HTTP, in every place that has room for it.
fn hang_up(server: &Server, token: &str) {
    for request in [
        http::upgrade(&format!("/v1/ws?token={token}"), ""),
        http::upgrade(&format!("/v1/{token}"), SUBPROTOCOL),
        http::upgrade("/v1/ws", &format!("{SUBPROTOCOL}authorization: {token}\r\n")),
        http::upgrade("/v1/ws", &format!("{SUBPROTOCOL}authorization: Bearer {token}\u{b}\r\n")),
        http::upgrade("/v1/ws", &format!("sec-websocket-protocol: {token}\r\n")),
        http::upgrade("/v1/ws", &format!("{SUBPROTOCOL}origin: https://{token}.example\r\n")),
        http::upgrade("/v1/ws", &format!("{SUBPROTOCOL}x: \u{1b}[31m{FORGED}\r\n")),
        format!("{FORGED} {token}\r\n\r\n"),
        format!("GET /%0a{FORGED} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"),
    ] {
        // Some are answered, some are cut off: whatever comes, it comes to an end.
        let answer = http::raw(
            server.clients,
            request.replace("x\r\n\r\n", "x\r\nconnection: close\r\n\r\n").as_bytes(),
        );
        assert!(answer.map_or(true, |answer| !answer.starts_with("HTTP/1.1 101")), "{request}");
    }
}

/// The whole log of a server that has been told everything.
async fn log_of(form: &str) -> (String, Vec<String>) {
    let production = Production::new();
    // Everything that any part of the program has to say.
    let more = format!("[telemetry]\nlog = \"{form}\"\nfilter = \"trace\"");
    let mut server = production.start_with(&more);
    let mut secrets = say_all(&production, &server).await;
    secrets.push(production.encoded());
    secrets.push(String::from_utf8(production.secret.clone()).unwrap());
    server.terminate();
    assert_eq!(server.wait(), 0);
    let log = format!("{}{}", server.process.out(), server.process.err());
    assert!(log.lines().count() > 50, "it does say something: {log}");
    (log, secrets)
}

/// The piece of a token that is worth having.
fn signature(secret: &str) -> &str {
    secret.rsplit('.').next().unwrap_or(secret)
}

fn check(log: &str, secrets: &[String]) {
    for secret in secrets {
        let found = log.lines().find(|line| line.contains(signature(secret)));
        assert!(found.is_none(), "a secret in the log: {found:?}");
    }
    let found = log.lines().find(|line| line.contains(PRIVATE));
    assert!(found.is_none(), "what somebody wrote is in the log: {found:?}");
    assert!(!log.contains('\u{1b}'), "an escape sequence got through");
}

#[tokio::test]
async fn secrets_and_peoples_words_never_stand_in_the_log() {
    let (log, secrets) = log_of("text").await;
    check(&log, &secrets);
    // Every line is one of ours: a time, or the announcement.
    let forged = |line: &&str| line.trim_start().starts_with(FORGED);
    assert_eq!(log.lines().find(forged), None);
}

#[tokio::test]
async fn every_line_of_a_json_log_is_one_object() {
    let (log, secrets) = log_of("json").await;
    check(&log, &secrets);
    for line in log.lines().filter(|line| line.starts_with('{')) {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()), "{line}");
    }
    let others = log.lines().filter(|line| !line.starts_with('{'));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn a_setting_that_is_wrong_does_not_tell_a_secret() {
    let home = Home::new();
    let secret = STANDARD.encode("a secret that nobody may read anywhere");
    let key = |rest: &str| format!("[[auth.keys]]\nalg = \"HS256\"\nissuer = \"i\"\n{rest}");
    for (n, text) in [
        key(&format!("secret = \"{secret}")),
        key(&format!("secret = \"{secret}\" x")),
        key(&format!("secret = {secret}")),
        key(&format!("secret = [\"{secret}\"]")),
        key(&format!("secret = {{ is = \"{secret}\" }}")),
        key(&format!("secret = \"{secret}!\"")),
        key(&format!("secert = \"{secret}\"")),
        key(&format!("pem = \"{secret}\"")),
        key(&format!("secret = \"{secret}\"\nsecret = \"x\"")),
        format!("[auth]\nkeys = [{{ alg = \"HS257\", secret = \"{secret}\" }}]"),
        format!("[auth]\nkeys = \"{secret}\""),
        format!("[auth.keys]\nsecret = \"{secret}\""),
    ]
    .iter()
    .enumerate()
    {
        let file = home.file(&format!("{n}.toml"), text);
        let launch = Launch::bare(home.path()).arg("config").arg("print").arg("--config").arg(file);
        let (code, out, err) = launch.run();
        assert_ne!((code, out.contains(&secret)), (0, true), "{text}");
        assert!(!out.contains(&secret) && !err.contains(&secret), "{text}\n{out}{err}");
        assert!(code == 0 || !err.is_empty(), "refused without a word: {text}");
    }
}

/// What is larger than `docs/protocol.md` takes, and the answer.
fn oversized(group: &str) -> Vec<(&'static str, Value, &'static str)> {
    let client_id = || uuid();
    let content = |text: usize| json!({"type": "text", "text": "x".repeat(text)});
    let ids = |count: usize| (0..count).map(|_| uuid()).collect::<Vec<_>>();
    let create = |title: String| json!({"client_id": client_id(), "kind": "group", "title": title, "members": []});
    let cursors: Value =
        ids(1_300).into_iter().map(|id| (id, json!(1))).collect::<serde_json::Map<_, _>>().into();
    vec![
        ("conversation.create", create("t".repeat(1_025)), "too_large"),
        ("conversation.create", create("न".repeat(342)), "too_large"),
        ("conversation.create", create(" ".repeat(3)), "-32602"),
        (
            "message.send",
            json!({"conversation": group, "client_id": client_id(), "content": content(32_768)}),
            "too_large",
        ),
        (
            "message.send",
            json!({"conversation": group, "client_id": client_id(), "content": content(60_000)}),
            "too_large",
        ),
        ("users.get", json!({"users": ids(1_001)}), "-32602"),
        (
            "members.add",
            json!({"conversation": group, "client_id": client_id(), "users": ids(1_001)}),
            "-32602",
        ),
        (
            "members.remove",
            json!({"conversation": group, "client_id": client_id(), "users": ids(1_001)}),
            "-32602",
        ),
        ("users.find", json!({"prefix": "p".repeat(257)}), "-32602"),
        ("session.start", json!({"cursors": cursors}), "-32600"),
        ("conversation.get", json!({"conversation": "x".repeat(60_000)}), "-32602"),
        (Box::leak("m".repeat(60_000).into_boxed_str()), json!({}), "-32601"),
    ]
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_leaves_nothing_behind() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let group = asha.create("group", None, &[]).await;
    let round = async |client: &mut Client| {
        for (method, params, expected) in oversized(&group) {
            let told = format!("{method:.30} {:.60}", params.to_string());
            assert_eq!(client.word(method, params).await, expected, "{told}");
        }
    };
    round(&mut asha).await;
    let before = server.memory();
    for _ in 0..20 {
        round(&mut asha).await;
    }
    // 20 rounds of half a megabyte: none of it may stay.
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 32 * 1024 * 1024, "{grown} bytes more than before");
    asha.say(&group, "still here").await;
    asha.event(&group, 2).await;
}

#[test]
fn http_that_is_too_large_is_refused_and_leaves_nothing_behind() {
    let home = Home::new();
    let server = home.start();
    let long = "x".repeat(200_000);
    let many: String = (0..500).map(|n| format!("x-{n}: y\r\n")).collect();
    let requests = [
        http::upgrade(&format!("/v1/ws?{long}"), SUBPROTOCOL),
        http::upgrade("/v1/ws", &format!("{SUBPROTOCOL}x: {long}\r\n")),
        http::upgrade("/v1/ws", &format!("{SUBPROTOCOL}authorization: Bearer {long}\r\n")),
        http::upgrade("/v1/ws", &format!("{SUBPROTOCOL}{many}")),
        http::upgrade("/v1/ws", &format!("sec-websocket-protocol: {}\r\n", "a,".repeat(50_000))),
        format!(
            "POST /v1/dev/token HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 200000\r\n\r\n{long}"
        ),
        format!(
            "POST /v1/dev/token HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n30d40\r\n{long}\r\n0\r\n\r\n"
        ),
        long.clone(),
    ];
    let mut before = 0;
    for round in 0..10 {
        for request in &requests {
            // Reset or answered: never taken.
            let answer = http::raw(server.clients, request.as_bytes()).unwrap_or_default();
            let (status, _) = http::take_apart(&answer);
            let shown: String = request.chars().take(60).collect();
            assert!(matches!(status, 0 | 400..=499), "{shown}: {answer}");
        }
        if round == 0 {
            before = server.memory();
        }
    }
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 32 * 1024 * 1024, "{grown} bytes more than before");
    until("a token as ever", || {
        let body = r#"{"user":"asha"}"#;
        http::post(server.clients, "/v1/dev/token", body).ok().filter(|(status, _)| *status == 200)
    });
}
