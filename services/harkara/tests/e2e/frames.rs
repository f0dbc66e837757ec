//! On the wire: frames that break rules, requests that make no sense, texts of all kinds.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    Client, Home, SOON, Server,
    client::{Frame, message},
    http, uuid,
};

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

#[tokio::test]
async fn requests_that_make_no_sense_are_answered_and_the_session_lives() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let group = asha.create("group", None, &[]).await;
    let deep = format!("{}0{}", r#"{"a":"#.repeat(200), "}".repeat(200));
    let send = |content: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":5,"method":"message.send","params":{{"conversation":"{group}","client_id":"{}","content":{content}}}}}"#,
            uuid()
        )
    };
    let read = |more: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":5,"method":"timeline.read","params":{{"conversation":"{group}",{more}}}}}"#
        )
    };
    let ask = |rest: &str| format!(r#"{{"jsonrpc":"2.0","id":5,{rest}}}"#);
    let nested = |n: usize| format!(r#"{{"type":"x/y","a":{}{}}}"#, "[".repeat(n), "]".repeat(n));
    for (text, id, code, word) in [
        ("".to_owned(), false, -32700, ""),
        ("{".to_owned(), false, -32700, ""),
        ("nonsense".to_owned(), false, -32700, ""),
        ("\u{feff}{}".to_owned(), false, -32700, ""),
        ("[]".to_owned(), false, -32600, ""),
        ("null".to_owned(), false, -32600, ""),
        ("7".to_owned(), false, -32600, ""),
        ("{}".to_owned(), false, -32600, ""),
        (r#"{"jsonrpc":"2.0","method":"users.get"}"#.to_owned(), false, -32600, ""),
        (r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#.to_owned(), false, -32600, ""),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"x"}"#.to_owned(), false, -32600, ""),
        (r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#.to_owned(), false, -32600, ""),
        (r#"{"jsonrpc":"2.0","id":5,"id":6,"method":"x"}"#.to_owned(), false, -32600, ""),
        (
            format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"x"}}"#, "i".repeat(127)),
            false,
            -32600,
            "",
        ),
        (r#"{"jsonrpc":"1.0","id":5,"method":"x"}"#.to_owned(), true, -32600, ""),
        (r#"{"id":5,"method":"x"}"#.to_owned(), true, -32600, ""),
        (ask(r#""method":7"#), true, -32600, ""),
        (ask(r#""method":"no.such""#), true, -32601, ""),
        (ask(r#""method":"users.get","params":[]"#), true, -32602, ""),
        (ask(r#""method":"users.get""#), true, -32602, ""),
        (ask(r#""method":"users.get","params":{"users":null}"#), true, -32602, ""),
        (ask(r#""method":"users.get","params":{"users":["x"]}"#), true, -32602, ""),
        (ask(r#""method":"users.get","params":{"users":[7]}"#), true, -32602, ""),
        (ask(r#""method":"users.get","params":{"users":[],"users":[]}"#), true, -32602, ""),
        (ask(&format!(r#""method":"users.get","params":{deep}"#)), true, -32602, ""),
        (
            ask(&format!(
                r#""method":"conversation.get","params":{{"conversation":"{}"}}"#,
                group.replace('-', "")
            )),
            true,
            -32602,
            "",
        ),
        (
            ask(&format!(
                r#""method":"conversation.get","params":{{"conversation":"{{{group}}}"}}"#
            )),
            true,
            -32602,
            "",
        ),
        (read(r#""after":-1"#), true, -32602, ""),
        (read(r#""after":1.0"#), true, -32602, ""),
        (read(r#""after":1e3"#), true, -32602, ""),
        (read(r#""after":9007199254740993"#), true, -32602, ""),
        (read(r#""after":99999999999999999999999999"#), true, -32602, ""),
        (read(r#""after":"1""#), true, -32602, ""),
        (read(r#""limit":0"#), true, -32602, ""),
        (send("null"), true, -32000, "invalid_content"),
        (send("[]"), true, -32000, "invalid_content"),
        (send("{}"), true, -32000, "invalid_content"),
        (send(r#"{"type":""}"#), true, -32000, "invalid_content"),
        (send(r#"{"type":7}"#), true, -32000, "invalid_content"),
        (send(r#"{"type":"text"}"#), true, -32000, "invalid_content"),
        (send(r#"{"type":"text","text":""}"#), true, -32000, "invalid_content"),
        (send(r#"{"type":"text","text":"a","text":"b"}"#), true, -32000, "invalid_content"),
        (send(r#"{"type":"text","text":"\ud800"}"#), true, -32000, "invalid_content"),
        (send(r#"{"type":"x/y","n":1e999}"#), true, -32000, "invalid_content"),
        (send(&nested(40)), true, -32000, "invalid_content"),
        (send(&nested(20_000)), true, -32000, "invalid_content"),
    ] {
        let shown: String = text.chars().take(200).collect();
        asha.write(&text).await;
        let answer = match asha.frame().await {
            Frame::Json(answer) => answer,
            Frame::Closed(code) => panic!("{shown}: closed with {code:?}"),
        };
        let expected_id = if id { json!(5) } else { Value::Null };
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&expected_id, &json!(code)),
            "{shown}: {answer}"
        );
        let got = answer["error"]["data"]["code"].as_str().unwrap_or_default();
        assert_eq!(got, word, "{shown}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().len() < 600, "{shown}");
    }
    asha.say(&group, "still here").await;
    asha.event(&group, 2).await;
}

#[tokio::test]
async fn null_is_absent_and_unknown_members_are_ignored() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let group = asha.create("group", None, &[]).await;
    let all = asha.history(&group).await;
    let upper = group.to_uppercase();
    let read =
        json!({"conversation": upper, "after": null, "before": null, "limit": null, "x": [1]});
    assert_eq!(asha.call("timeline.read", read).await["events"], json!(all));
    let mut send = message(&group, &uuid().to_uppercase(), "hi");
    send["reply_to"] = Value::Null;
    send["later"] = json!({"anything": true});
    asha.call("message.send", send).await;
    let event = asha.event(&group, 2).await;
    assert!(event.get("reply_to").is_none() && event.get("later").is_none());
    let client_id = event["client_id"].as_str().unwrap();
    assert_eq!(client_id, client_id.to_lowercase());
    for id in ["\"text with \\\"quotes\\\" and नाम\"", "0", "-7", "9007199254740991"] {
        asha.write(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"users.get","params":{{"users":[]}}}}"#
        ))
        .await;
        let answer = match asha.frame().await {
            Frame::Json(answer) => answer,
            Frame::Closed(code) => panic!("{id}: closed with {code:?}"),
        };
        assert_eq!(answer["id"], serde_json::from_str::<Value>(id).unwrap());
        assert_eq!(answer["result"], json!({"users": []}));
    }
}

#[tokio::test]
async fn text_arrives_exactly_as_it_was_sent() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let mut bilal = Client::join(&server, "bilal").await;
    let talk = asha.create("direct", None, &[&bilal.user.clone()]).await;
    let texts = [
        "\u{202e}right to left\u{202c} and \u{2066}isolated\u{2069}",
        "👩\u{200d}👩\u{200d}👧 क\u{94d}\u{200d}ष क\u{94d}\u{200c}ष",
        "e\u{301} is not \u{e9}",
        "a\u{0}b\u{1}\u{7f}\u{85}",
        "\u{feff}line\r\nline\u{2028}line\ttab \"quotes\" \\ / </script>",
        "\u{10ffff}\u{fffe}",
        "  spaces  ",
        "جی، میں دس بجے پہنچ جاؤں گا",
    ];
    for (seq, text) in (2..).zip(texts) {
        asha.say(&talk, text).await;
        for client in [&mut asha, &mut bilal] {
            assert_eq!(client.event(&talk, seq).await["content"]["text"], text);
        }
    }
    let all = bilal.history(&talk).await;
    let read: Vec<_> = all[1..].iter().map(|event| &event["content"]["text"]).collect();
    assert_eq!(read, texts);
    // Numbers that no double holds keep their digits.
    let content = r#"{"type":"x/y","n":9007199254740993,"big":123456789012345678901234567890}"#;
    asha.write(&format!(
        r#"{{"jsonrpc":"2.0","id":91,"method":"message.send","params":{{"conversation":"{talk}","client_id":"{}","content":{content}}}}}"#,
        uuid()
    ))
    .await;
    asha.answer(91).await.unwrap();
    let Ok(()) = bilal.socket.send(Message::Ping("x".into())).await else { panic!("broken") };
    let frame = raw_text(&mut bilal).await;
    assert!(
        frame.contains(
            r#""content":{"big":123456789012345678901234567890,"n":9007199254740993,"type":"x/y"}"#
        ),
        "{frame}"
    );
}

/// The next text frame, as it came.
async fn raw_text(client: &mut Client) -> String {
    use futures_util::StreamExt as _;
    loop {
        match client.socket.next().await.unwrap().unwrap() {
            Message::Text(text) => return text.to_string(),
            _ => {}
        }
    }
}
