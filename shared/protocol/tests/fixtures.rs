//! Golden frames of the client protocol: each is what the encoder writes for the expected value,
//! and what the decoder reads as that value.

use std::collections::BTreeSet;

use harkara_protocol::{
    client::{
        ErrorWord, Notification, RequestId, RpcError,
        replies::{
            Accepted, Changed, ConversationEntry, ConversationPage, Created, Done, MembersPage,
            SessionStarted, TimelinePage, UsersResult,
        },
        requests::METHODS,
    },
    json::{self, ServerFrame},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    fixtures_values::{errors, notifications, requests, results},
    support::{compact, golden, golden_names, golden_text, pretty},
};

/// A frame: the file it is kept in, and what the encoder writes.
#[derive(Debug, Clone)]
pub struct Frame {
    /// `<method>[.<variant>].<form>`, the file's name without its ending.
    pub file: String,
    /// The message in `docs/asyncapi.yaml`: `<method>.<form>`, or `error`.
    pub message: String,
    /// As encoded.
    pub text: String,
}

fn frame(name: &str, method: &str, form: &str, text: &[u8]) -> Frame {
    let text = std::str::from_utf8(text).expect("UTF-8").to_owned();
    let message = if form == "error" { "error".to_owned() } else { format!("{method}.{form}") };
    Frame { file: format!("{name}.{form}"), message, text }
}

/// The id of the request that a result answers: requests are numbered in their order.
fn request_id(method: &str) -> RequestId {
    let place = requests().iter().position(|(name, _)| *name == method).expect("a request");
    RequestId::number(place as u64 + 1)
}

/// Every frame there is, as the encoder writes it.
pub fn frames() -> Vec<Frame> {
    let mut frames = Vec::new();
    for (id, (name, call)) in (1..).zip(requests()) {
        let text = json::encode_request(&RequestId::number(id), &call).expect("JSON");
        frames.push(frame(name, call.method(), "request", text.as_bytes()));
    }
    for (method, result) in results() {
        let text = json::encode_result(&request_id(method), &result);
        frames.push(frame(method, method, "result", &text));
    }
    for (name, id, error) in errors() {
        let text = json::encode_error(id.map(RequestId::number).as_ref(), &error);
        frames.push(frame(&name, "", "error", &text));
    }
    for (name, notification) in notifications() {
        let text = json::encode_notification(&notification);
        let value: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        let method = value["method"].as_str().expect("a method").to_owned();
        frames.push(frame(name, &method, "notification", &text));
    }
    frames
}

#[test]
fn frames_are_the_golden_ones() {
    for frame in frames() {
        let golden = golden(&format!("client/{}.json", frame.file), || pretty(&frame.text));
        assert_eq!(compact(&golden), frame.text, "{}", frame.file);
    }
}

#[test]
fn every_golden_frame_is_tested() {
    let mut files: Vec<_> = frames().into_iter().map(|frame| frame.file).collect();
    files.sort();
    assert_eq!(golden_names("client", ".json"), files);
}

#[test]
fn every_method_has_a_request_and_a_result() {
    let messages: BTreeSet<_> = frames().into_iter().map(|frame| frame.message).collect();
    for method in METHODS {
        for form in ["request", "result"] {
            assert!(messages.contains(&format!("{method}.{form}")), "{method} has no {form}");
        }
    }
}

#[test]
fn requests_are_read_as_what_was_meant() {
    for (id, (name, call)) in (1..).zip(requests()) {
        let golden = golden_text(&format!("client/{name}.request.json"));
        let request = json::decode_request(&golden).expect(name);
        assert_eq!(request.id, RequestId::number(id), "{name}");
        assert_eq!(format!("{:?}", request.call), format!("{call:?}"), "{name}");
    }
}

#[test]
fn results_are_read_as_what_was_meant() {
    for (method, result) in results() {
        let golden = compact(&golden_text(&format!("client/{method}.result.json")));
        let Ok(ServerFrame::Reply { id: found, outcome: Ok(raw) }) =
            json::decode_server_frame(&golden)
        else {
            panic!("{method} is no result");
        };
        assert_eq!(found, Some(request_id(method)), "{method}");
        assert_eq!(reread(method, raw), serde_json::to_string(&result).expect("JSON"), "{method}");
    }
}

/// Reads a result into its struct and writes it again.
pub fn reread(method: &str, raw: &RawValue) -> String {
    fn again<T: DeserializeOwned + Serialize>(raw: &RawValue) -> String {
        let value: T = serde_json::from_str(raw.get()).expect("a result");
        serde_json::to_string(&value).expect("JSON")
    }
    match method {
        "session.start" => again::<SessionStarted>(raw),
        "users.get" | "users.find" => again::<UsersResult>(raw),
        "conversation.create" => again::<Created>(raw),
        "conversation.get" => again::<ConversationEntry>(raw),
        "conversation.list" => again::<ConversationPage>(raw),
        "conversation.update"
        | "conversation.leave"
        | "members.add"
        | "members.remove"
        | "members.set_role" => again::<Changed>(raw),
        "members.list" => again::<MembersPage>(raw),
        "message.send" => again::<Accepted>(raw),
        "timeline.read" => again::<TimelinePage>(raw),
        "read.advance" | "typing.set" => again::<Done>(raw),
        other => panic!("no such method: {other}"),
    }
}

#[test]
fn errors_are_read_as_what_was_meant() {
    for (name, id, error) in errors() {
        let golden = golden_text(&format!("client/{name}.error.json"));
        match json::decode_server_frame(&golden) {
            Ok(ServerFrame::Reply { id: found, outcome: Err(read) }) => {
                assert_eq!((found, read), (id.map(RequestId::number), error), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    let words: BTreeSet<_> = errors().iter().filter_map(|(_, _, e)| word(e)).collect();
    assert_eq!(words, ErrorWord::ALL.map(ErrorWord::word).into());
}

fn word(error: &RpcError) -> Option<&'static str> {
    error.error_word().map(ErrorWord::word)
}

#[test]
fn notifications_are_read_as_what_was_meant() {
    for (name, notification) in notifications() {
        let golden = compact(&golden_text(&format!("client/{name}.notification.json")));
        match json::decode_server_frame(&golden) {
            Ok(ServerFrame::Notification(read)) => {
                let debug = |n: &Notification<'_>| format!("{n:?}");
                assert_eq!(debug(&read), debug(&notification), "{name}");
                assert_eq!(json::encode_notification(&read), golden, "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn frames_from_a_later_version_do_not_break_a_client() {
    let frame = r#"{"jsonrpc":"2.0","method":"call.ringing","params":{"x":[1,{}]}}"#;
    assert!(matches!(json::decode_server_frame(frame), Ok(ServerFrame::Unknown)));
    for (name, notification) in notifications() {
        let text = String::from_utf8(json::encode_notification(&notification).to_vec());
        let wider = text.expect("UTF-8").replacen("\"params\":{", "\"params\":{\"new\":[{}],", 1);
        match json::decode_server_frame(&wider) {
            Ok(ServerFrame::Notification(read)) => {
                assert_eq!(format!("{read:?}"), format!("{notification:?}"), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}
