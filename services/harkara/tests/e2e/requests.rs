//! Requests that make no sense are answered and the session lives; texts and numbers arrive as
//! they were sent.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    Client, Home,
    client::{Frame, message},
    uuid,
};

/// A frame, whether its answer has the frame's id (5), and the answer's code.
type Case = (String, bool, i64);

/// Frames that are no requests.
fn envelopes() -> Vec<Case> {
    let none = |text: &str, code| (text.to_owned(), false, code);
    let some = |rest: &str, code| (format!("{{\"id\":5,{rest}}}"), true, code);
    let long = "i".repeat(127);
    vec![
        none("", -32700),
        none("{", -32700),
        none("nonsense", -32700),
        none("\u{feff}{}", -32700),
        none("[]", -32600),
        none("null", -32600),
        none("7", -32600),
        none("{}", -32600),
        none(r#"{"jsonrpc":"2.0","method":"users.get"}"#, -32600),
        none(r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, -32600),
        none(r#"{"jsonrpc":"2.0","id":1.5,"method":"x"}"#, -32600),
        none(r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, -32600),
        none(r#"{"jsonrpc":"2.0","id":5,"id":6,"method":"x"}"#, -32600),
        none(&format!(r#"{{"jsonrpc":"2.0","id":"{long}","method":"x"}}"#), -32600),
        some(r#""jsonrpc":"1.0","method":"x""#, -32600),
        some(r#""method":"x""#, -32600),
        some(r#""jsonrpc":"2.0""#, -32600),
        some(r#""jsonrpc":"2.0","method":7"#, -32600),
        some(r#""jsonrpc":"2.0","method":"no.such""#, -32601),
        some(r#""jsonrpc":"2.0","method":"users.get","params":[]"#, -32602),
        some(r#""jsonrpc":"2.0","method":"users.get""#, -32602),
    ]
}

/// Params of the wrong shape.
fn params(conversation: &str) -> Vec<Case> {
    let deep = format!("{}0{}", r#"{"a":"#.repeat(200), "}".repeat(200));
    let users = |params: &str| ("users.get", params.to_owned());
    let get = |id: &str| ("conversation.get", format!(r#"{{"conversation":"{id}"}}"#));
    let read =
        |more: &str| ("timeline.read", format!(r#"{{"conversation":"{conversation}",{more}}}"#));
    let all = [
        users(r#"{"users":null}"#),
        users(r#"{"users":["x"]}"#),
        users(r#"{"users":[7]}"#),
        users(r#"{"users":[],"users":[]}"#),
        users(&deep),
        get(&conversation.replace('-', "")),
        get(&format!("{{{conversation}}}")),
        get(""),
        read(r#""after":-1"#),
        read(r#""after":1.0"#),
        read(r#""after":1e3"#),
        read(r#""after":9007199254740992"#),
        read(r#""after":9007199254740993"#),
        read(r#""after":99999999999999999999999999"#),
        read(r#""after":"1""#),
        read(r#""after":true"#),
        read(r#""limit":0"#),
        read(r#""limit":-9007199254740993"#),
    ];
    let frame = |(method, params): (&str, String)| {
        let text = format!(r#"{{"jsonrpc":"2.0","id":5,"method":"{method}","params":{params}}}"#);
        (text, true, -32602)
    };
    all.into_iter().map(frame).collect()
}

fn sending(id: u64, conversation: &str, content: &str) -> String {
    let client_id = uuid();
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"message.send","params":{{"conversation":"{conversation}","client_id":"{client_id}","content":{content}}}}}"#
    )
}

/// Contents that are none.
fn contents(conversation: &str) -> Vec<Case> {
    let nested = |n: usize| format!(r#"{{"type":"x/y","a":{}{}}}"#, "[".repeat(n), "]".repeat(n));
    let (deep, deeper) = (nested(40), nested(20_000));
    let all = [
        "null",
        "[]",
        "{}",
        r#"{"type":""}"#,
        r#"{"type":7}"#,
        r#"{"type":"text"}"#,
        r#"{"type":"text","text":""}"#,
        r#"{"type":"text","text":"a","text":"b"}"#,
        r#"{"type":"text","text":"\ud800"}"#,
        r#"{"type":"x/y","n":1e999}"#,
        &deep,
        &deeper,
    ];
    all.into_iter().map(|content| (sending(5, conversation, content), true, -32000)).collect()
}

#[tokio::test]
async fn requests_that_make_no_sense_are_answered_and_the_session_lives() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let group = asha.create("group", None, &[]).await;
    let cases = [envelopes(), params(&group), contents(&group)].concat();
    for (text, id, code) in cases {
        let shown: String = text.chars().take(200).collect();
        asha.write(&text).await;
        let answer = match asha.frame().await {
            Frame::Json(answer) => answer,
            Frame::Closed(code) => panic!("{shown}: closed with {code:?}"),
        };
        let error = &answer["error"];
        let expected_id = if id { json!(5) } else { Value::Null };
        assert_eq!(
            (&answer["id"], &error["code"]),
            (&expected_id, &json!(code)),
            "{shown}: {error}"
        );
        if code == -32000 {
            assert_eq!(error["data"]["code"], "invalid_content", "{shown}: {error}");
        }
        assert!(error["message"].as_str().unwrap().len() < 600, "{shown}");
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
    bilal.told("conversation", &talk).await;
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
    asha.write(&sending(91, &talk, content)).await;
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
    loop {
        if let Message::Text(text) = client.socket.next().await.unwrap().unwrap() {
            return text.to_string();
        }
    }
}
