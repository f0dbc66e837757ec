//! A client's requests, from text to what the session runs or to the error it answers, and what
//! the SDK makes of such text where it hears it from a server.

use harkara_domain::{Content, limits::CONTENT_BYTES_MAX};
use harkara_protocol::{
    client::{Call, RequestId, rpc::RpcError},
    content,
    json::{self, ServerFrame},
};

/// Longest answer to a frame that made no sense: a message of 300 characters as escapes, its place
/// in the params, an id of 128 bytes.
const REFUSAL_BYTES_MAX: usize = 8 * 1024;

/// Decodes a frame.
pub fn run(bytes: &[u8]) {
    let Ok(frame) = str::from_utf8(bytes) else { return };
    let _heard_by_the_sdk = json::decode_server_frame(frame);
    match json::decode_request(frame) {
        Ok(request) => taken(&request),
        Err(bad) => refused(bad.id.as_ref(), &bad.error),
    }
}

/// Is what the client is told a frame, and does it say what was meant?
fn refused(id: Option<&RequestId>, error: &RpcError) {
    let answer = json::encode_error(id, error);
    assert!(answer.len() <= REFUSAL_BYTES_MAX, "an answer of {} bytes", answer.len());
    let answer = str::from_utf8(&answer).unwrap_or_default();
    match json::decode_server_frame(answer) {
        Ok(ServerFrame::Reply { id: told, outcome: Err(why) }) => {
            assert_eq!((told.as_ref(), &why), (id, error));
        }
        other => assert!(other.is_err(), "{answer} was read as something else: {other:?}"),
    }
    assert!(json::decode_server_frame(answer).is_ok(), "not a frame: {answer}");
}

/// What is taken is written as it was understood, and understood as it was written.
fn taken(request: &json::Request) {
    let written = json::encode_request(&request.id, &request.call);
    let written = written.unwrap_or_default();
    let again = json::decode_request(&written);
    let again = again.map(|again| json::encode_request(&again.id, &again.call));
    assert!(
        matches!(&again, Ok(Ok(again)) if *again == written),
        "{written} was read as something else: {again:?}"
    );
    if let Call::MessageSend(send) = &request.call {
        match content::canonical(&send.content) {
            Ok(content) => canonical(&content),
            Err(error) => refused(Some(&request.id), &error.into()),
        }
    }
}

/// The canonical form is its own canonical form, and within the limit.
fn canonical(content: &Content) {
    assert!(content.as_bytes().len() <= CONTENT_BYTES_MAX);
    let id = "00000000-0000-7000-8000-000000000000";
    let send = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"message.send","params":{{"conversation":"{id}","client_id":"{id}","content":{}}}}}"#,
        content.as_str()
    );
    let again = json::decode_request(&send).map(|request| match request.call {
        Call::MessageSend(send) => content::canonical(&send.content),
        _ => Err(content::ContentError::NoType),
    });
    assert_eq!(again, Ok(Ok(content.clone())));
}
