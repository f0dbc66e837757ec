//! What a client can get wrong in a frame, and the answer it gets: the exact code, a message that
//! names the place, and its id wherever that could be read.

use harkara_protocol::{
    client::{ErrorWord, RpcError},
    content, json,
};

use crate::samples;

const CONVERSATION: &str = "037f55cd-c70b-89b5-886e-1f676e52e6f8";

/// The answer to a frame: its JSON id, its code (and word), its message.
fn answer(frame: &str) -> (String, i32, Option<ErrorWord>, String) {
    let (id, error): (_, RpcError) = match json::decode_request(frame) {
        Err(bad) => (bad.id, bad.error),
        Ok(request) => match request.call {
            harkara_protocol::client::Call::MessageSend(send) => {
                let refused = content::canonical(&send.content).expect_err("a bad content");
                (Some(request.id), refused.into())
            }
            other => panic!("taken as good: {other:?}"),
        },
    };
    let word = error.error_word();
    let text = String::from_utf8(json::encode_error(id.as_ref(), &error).to_vec()).expect("UTF-8");
    let reply: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(reply["error"]["code"], error.code);
    assert_eq!(word.is_some(), error.code == -32000, "{text}");
    (reply["id"].to_string(), error.code, word, error.message)
}

fn check(frame: &str, id: &str, code: i32, word: Option<ErrorWord>, says: &str) {
    let shown: String = frame.chars().take(200).collect();
    let (found_id, found_code, found_word, message) = answer(frame);
    assert_eq!((found_id.as_str(), found_code, found_word), (id, code, word), "{shown}: {message}");
    assert!(message.contains(says), "{shown}: {message:?} does not say {says:?}");
    assert!(message.len() < 600, "{shown}: {} bytes", message.len());
    assert!(!message.contains(" at line "), "{shown}: {message}");
}

/// A request with id 7.
fn request(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{params}}}"#)
}

#[test]
fn frames_that_are_no_json() {
    for (frame, says) in [
        ("", "EOF"),
        ("hello", "expected"),
        ("{", "EOF"),
        (r#"{"jsonrpc":"2.0","id":1,}"#, "key must be a string"),
        (r#"{"jsonrpc":"2.0"} {}"#, "trailing characters"),
        ("\u{feff}{}", "expected value"),
        ("{\"id\":\"\u{1}\"}", "control character"),
        (r#"{"id":1e}"#, "invalid number"),
        ("NaN", "expected value"),
    ] {
        let (id, code, _, message) = answer(frame);
        assert_eq!((id.as_str(), code), ("null", -32700), "{frame}");
        assert!(message.starts_with("the frame is not JSON: "), "{frame}: {message}");
        assert!(message.contains(says), "{frame}: {message}");
    }
}

#[test]
fn frames_that_are_no_request() {
    for (frame, says) in [
        ("[]", "batches are not taken"),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"session.start"}]"#, "batches are not taken"),
        ("\"text\"", "one JSON-RPC 2.0 request object"),
        ("null", "one JSON-RPC 2.0 request object"),
        ("{}", "a request needs an id"),
        (r#"{"jsonrpc":"2.0","method":"session.start"}"#, "a request needs an id"),
        (r#"{"jsonrpc":"2.0","id":null,"method":"session.start"}"#, "a request needs an id"),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"session.start"}"#, "a string or an integer"),
        (r#"{"jsonrpc":"2.0","id":1e3,"method":"session.start"}"#, "a string or an integer"),
        (r#"{"jsonrpc":"2.0","id":true,"method":"session.start"}"#, "a string or an integer"),
        (r#"{"jsonrpc":"2.0","id":{},"method":"session.start"}"#, "a string or an integer"),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"session.start"}"#, "a string or an integer"),
        (r#"{"jsonrpc":"2.0","id":"\ud800","method":"session.start"}"#, "a string or an integer"),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"session.start"}"#, "duplicate field `id`"),
        (r#"{"id":1,"method":"a","method":"b"}"#, "duplicate field `method`"),
    ] {
        check(frame, "null", -32600, None, says);
    }
    let long = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"x"}}"#, "x".repeat(127));
    check(&long, "null", -32600, None, "at most 128 bytes");
}

#[test]
fn requests_that_are_none_but_have_an_id() {
    for (frame, says) in [
        (r#"{"id":7,"method":"session.start"}"#, "jsonrpc must be \"2.0\""),
        (r#"{"jsonrpc":"1.0","id":7,"method":"session.start"}"#, "jsonrpc must be \"2.0\""),
        (r#"{"jsonrpc":2.0,"id":7,"method":"session.start"}"#, "jsonrpc must be \"2.0\""),
        (r#"{"jsonrpc":"2.0","id":7}"#, "method must be a string"),
        (r#"{"jsonrpc":"2.0","id":7,"method":null}"#, "method must be a string"),
        (r#"{"jsonrpc":"2.0","id":7,"method":1}"#, "method must be a string"),
        (r#"{"jsonrpc":"2.0","id":7,"method":"\udfff"}"#, "method must be a string"),
    ] {
        check(frame, "7", -32600, None, says);
    }
    let unknown = |name: &str| request(name, "{}");
    check(&unknown("message.sned"), "7", -32601, None, "no method \"message.sned\"");
    check(&unknown(""), "7", -32601, None, "no method \"\"");
    check(&unknown("Session.Start"), "7", -32601, None, "no method");
    check(&unknown(&"x".repeat(60_000)), "7", -32601, None, "no method");
    for method in ["message.edit", "message.redact", "message.react", "message.unreact"] {
        check(&unknown(method), "7", -32000, Some(ErrorWord::Unsupported), method);
    }
    for method in ["presence.set", "presence.watch"] {
        check(&unknown(method), "7", -32000, Some(ErrorWord::Unsupported), method);
    }
    for params in ["[]", "[1]", "\"x\"", "1", "true"] {
        check(&request("session.start", params), "7", -32602, None, "params must be an object");
    }
}

#[test]
fn fields_that_are_missing_or_of_another_type() {
    let send = |rest: &str| request("message.send", &format!("{{{rest}}}"));
    let conversation = format!(r#""conversation":"{CONVERSATION}""#);
    let client_id = format!(r#""client_id":"{}""#, samples::client(1));
    for (rest, says) in [
        (String::new(), "missing field `conversation`"),
        (conversation.clone(), "missing field `client_id`"),
        (format!("{conversation},{client_id}"), "missing field `content`"),
        (r#""conversation":null"#.into(), "params.conversation: invalid type: null"),
        (r#""conversation":7"#.into(), "params.conversation: invalid type: integer `7`"),
        (r#""conversation":["x"]"#.into(), "params.conversation: invalid type: sequence"),
        (r#""conversation":"room 1""#.into(), "a UUID as a string"),
        (r#""conversation":"""#.into(), "a UUID as a string"),
        (r#""conversation":"037f55cdc70b89b5886e1f676e52e6f8""#.into(), "xxxxxxxx-xxxx"),
        (format!(r#""conversation":"{{{CONVERSATION}}}""#), "a UUID as a string"),
        (format!(r#""conversation":"urn:uuid:{CONVERSATION}""#), "a UUID as a string"),
        (format!("{conversation},{conversation}"), "duplicate field `conversation`"),
        (format!(r#"{conversation},"client_id":5"#), "params.client_id: invalid type"),
    ] {
        check(&send(&rest), "7", -32602, None, says);
    }
    check(&request("message.send", "null"), "7", -32602, None, "missing field `conversation`");
    let typing = request("typing.set", &format!("{{{conversation},\"active\":\"yes\"}}"));
    check(&typing, "7", -32602, None, "params.active: invalid type: string \"yes\"");
    let create = format!(r#"{{{client_id},"kind":"club","members":[]}}"#);
    let says = "expected one of `direct`, `group`, `channel`";
    check(&request("conversation.create", &create), "7", -32602, None, says);
    let title = format!(r#"{{{client_id},"kind":"group","title":"\udc00","members":[]}}"#);
    check(&request("conversation.create", &title), "7", -32602, None, "params.title: ");
}

#[test]
fn numbers_that_are_no_sequence() {
    for (number, says) in [
        ("-1", "an integer from 0 to 9007199254740991"),
        ("1.5", "an integer from 0 to 9007199254740991"),
        ("1.0", "an integer from 0 to 9007199254740991"),
        ("1e3", "an integer from 0 to 9007199254740991"),
        ("9007199254740992", "an integer from 0 to 9007199254740991"),
        ("9007199254740993", "an integer from 0 to 9007199254740991"),
        ("18446744073709551616", "an integer from 0 to 9007199254740991"),
        ("123456789012345678901234567890123", "an integer from 0 to 9007199254740991"),
        ("1e999", "number out of range"),
        ("\"5\"", "an integer from 0 to 9007199254740991"),
        ("true", "an integer from 0 to 9007199254740991"),
        ("{}", "an integer from 0 to 9007199254740991"),
    ] {
        let params = format!(r#"{{"conversation":"{CONVERSATION}","seq":{number}}}"#);
        let (id, code, _, message) = answer(&request("read.advance", &params));
        assert_eq!((id.as_str(), code), ("7", -32602), "{number}: {message}");
        assert!(message.starts_with("params.seq: "), "{number}: {message}");
        assert!(message.contains(says), "{number}: {message}");
        let params = format!(r#"{{"conversation":"{CONVERSATION}","after":{number}}}"#);
        check(&request("timeline.read", &params), "7", -32602, None, "params.after: ");
        let params = format!(r#"{{"cursors":{{"{CONVERSATION}":{number}}}}}"#);
        let place = format!("params.cursors.{CONVERSATION}: ");
        check(&request("session.start", &params), "7", -32602, None, &place);
    }
    let null = format!(r#"{{"conversation":"{CONVERSATION}","seq":null}}"#);
    check(&request("read.advance", &null), "7", -32602, None, "params.seq: invalid type: null");
}

#[test]
fn limits_that_are_no_integer() {
    for number in ["1.5", "\"10\"", "true", "[]", "{}", "1e9"] {
        let params = format!(r#"{{"limit":{number}}}"#);
        let frame = request("conversation.list", &params);
        check(&frame, "7", -32602, None, "expected an integer");
    }
    // The page says what a gateway does with these: they are integers.
    for number in ["0", "-9223372036854775808", "9007199254740993", "18446744073709551615", "null"]
    {
        let frame = request("conversation.list", &format!(r#"{{"limit":{number}}}"#));
        assert!(json::decode_request(&frame).is_ok(), "{number}");
    }
}

#[test]
fn maps_and_lists() {
    let twice =
        format!(r#"{{"cursors":{{"{CONVERSATION}":1,"{}":2}}}}"#, CONVERSATION.to_uppercase());
    check(&request("session.start", &twice), "7", -32602, None, "stands there twice");
    let key = r#"{"cursors":{"room":1}}"#;
    check(&request("session.start", key), "7", -32602, None, "a UUID as a string");
    let list = r#"{"cursors":[]}"#;
    check(&request("session.start", list), "7", -32602, None, "an object of conversation ids");
    let bad = format!(r#"{{"users":["{CONVERSATION}","bilal"]}}"#);
    check(&request("users.get", &bad), "7", -32602, None, "params.users[1]: invalid value");
    let many = vec![format!("\"{CONVERSATION}\""); 1_001].join(",");
    let many = format!(r#"{{"users":[{many}]}}"#);
    check(&request("users.get", &many), "7", -32602, None, "at most 1000 are taken");
    check(
        &request("users.get", r#"{"users":{}}"#),
        "7",
        -32602,
        None,
        "params.users: invalid type",
    );
}

#[test]
fn nesting_of_a_hundred_thousand_brackets() {
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let nest = format!("{open}{close}");
    check(&nest, "null", -32600, None, "batches are not taken");
    check(&format!(r#"{{"id":{nest}}}"#), "null", -32600, None, "a string or an integer");
    check(&request("session.start", &nest), "7", -32602, None, "params must be an object");
    let users = format!(r#"{{"users":{nest}}}"#);
    check(&request("users.get", &users), "7", -32602, None, "params.users[0]: invalid type");
    let (_, code, _, _) = answer(&open);
    assert_eq!(code, -32700);
    let objects = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    check(&objects, "null", -32600, None, "a request needs an id");
    let content = format!(r#"{{"type":"x/y","a":{nest}}}"#);
    let send = format!(
        r#"{{"conversation":"{CONVERSATION}","client_id":"{}","content":{content}}}"#,
        samples::client(1)
    );
    let word = Some(ErrorWord::InvalidContent);
    check(&request("message.send", &send), "7", -32000, word, "deeper than 32 levels");
}

#[test]
fn contents_that_are_none() {
    let long = format!(r#"{{"type":"text","text":"{}"}}"#, "x".repeat(65 * 1024));
    let invalid = ErrorWord::InvalidContent;
    for (content, word, says) in [
        ("null", invalid, "content must be an object"),
        ("\"hello\"", invalid, "content must be an object"),
        ("{}", invalid, "non-empty string \"type\""),
        (r#"{"type":7}"#, invalid, "non-empty string \"type\""),
        (r#"{"type":"text"}"#, invalid, "non-empty string \"text\""),
        (r#"{"type":"text","text":""}"#, invalid, "non-empty string \"text\""),
        (r#"{"type":"text","text":null}"#, invalid, "non-empty string \"text\""),
        (r#"{"type":"text","text":"a","text":"b"}"#, invalid, "the key \"text\" twice"),
        (r#"{"type":"text","text":"\ud83d"}"#, invalid, "unpaired surrogate"),
        (r#"{"type":"x","n":1e400}"#, invalid, "out of range"),
        (&long, ErrorWord::TooLarge, "at most 32768 are taken"),
    ] {
        let params = format!(
            r#"{{"conversation":"{CONVERSATION}","client_id":"{}","content":{content}}}"#,
            samples::client(1)
        );
        check(&request("message.send", &params), "7", -32000, Some(word), says);
    }
}

#[test]
fn what_is_unusual_but_good_is_taken() {
    for frame in [
        " {\"id\" : \"\\u0061\" ,\n\"method\":\"session.start\",\"jsonrpc\":\"2.0\"} ",
        r#"{"jsonrpc":"2.0","id":-5,"method":"session.start","params":null}"#,
        r#"{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"session.start"}"#,
        r#"{"jsonrpc":"2.0","id":"","method":"session.start","params":{"later":[{}]},"x":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"session\u002estart","params":{"token":null}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"session.start","params":{"x":1,"x":2}}"#,
    ] {
        assert!(json::decode_request(frame).is_ok(), "{frame}");
    }
}
