//! The encoding `harkara.v1.json`: one JSON-RPC 2.0 object a text frame.
//!
//! The gateway uses [`decode_request`], [`encode_result`], [`encode_error`] and
//! [`encode_notification`]; the SDK uses [`encode_request`] and [`decode_server_frame`].

use bytes::Bytes;
use harkara_domain::{ConversationId, Event};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::client::{
    Call, EventParams, Notification, RequestId, RpcError,
    requests::UNSUPPORTED_METHODS,
    rpc::{self, ErrorWord},
};

/// The WebSocket subprotocol of this encoding.
pub const SUBPROTOCOL: &str = "harkara.v1.json";

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// To be given back with the answer.
    pub id: RequestId,
    /// What is asked.
    pub call: Call,
}

/// A frame that is no good request: the id as far as it was readable, and what to answer.
#[derive(Debug, Clone, PartialEq)]
pub struct BadRequest {
    /// The id, or none: then the answer says `"id":null`.
    pub id: Option<RequestId>,
    /// What to answer.
    pub error: RpcError,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// Reads a client's frame.
///
/// # Errors
/// The answer that the client gets instead of a result.
pub fn decode_request(frame: &str) -> Result<Request, BadRequest> {
    let bad = |code, message: String| BadRequest { id: None, error: RpcError::rpc(code, message) };
    let raw: &RawValue = serde_json::from_str(frame)
        .map_err(|e| bad(rpc::PARSE_ERROR, format!("the frame is not JSON: {e}")))?;
    if !raw.get().starts_with('{') {
        let message = "a frame is one JSON-RPC 2.0 request object; batches are not taken";
        return Err(bad(rpc::INVALID_REQUEST, message.to_owned()));
    }
    let envelope: Envelope<'_> = serde_json::from_str(raw.get())
        .map_err(|e| bad(rpc::INVALID_REQUEST, format!("no good request: {}", strip_place(&e))))?;
    let id = envelope.id.map(|id| serde_json::from_str::<RequestId>(id.get()));
    let id = match id {
        Some(Ok(id)) => id,
        Some(Err(e)) => return Err(bad(rpc::INVALID_REQUEST, strip_place(&e))),
        None => return Err(bad(rpc::INVALID_REQUEST, "a request needs an id".to_owned())),
    };
    match decode_call(&envelope) {
        Ok(call) => Ok(Request { id, call }),
        Err(error) => Err(BadRequest { id: Some(id), error }),
    }
}

fn decode_call(envelope: &Envelope<'_>) -> Result<Call, RpcError> {
    if envelope.jsonrpc.map(RawValue::get) != Some("\"2.0\"") {
        return Err(RpcError::rpc(rpc::INVALID_REQUEST, "jsonrpc must be \"2.0\""));
    }
    let method = envelope.method.map(|m| serde_json::from_str::<String>(m.get()));
    let Some(Ok(method)) = method else {
        return Err(RpcError::rpc(rpc::INVALID_REQUEST, "method must be a string"));
    };
    let params = match envelope.params {
        Some(params) if params.get().starts_with('{') => params,
        Some(_) => return Err(RpcError::params("params must be an object")),
        None => empty_params(),
    };
    match Call::read(&method, params) {
        Some(Ok(call)) => Ok(call),
        Some(Err(e)) => Err(RpcError::params(params_message(&e))),
        None if UNSUPPORTED_METHODS.contains(&method.as_str()) => Err(RpcError::word(
            ErrorWord::Unsupported,
            format!("this server does not support {method} yet"),
        )),
        None => {
            let shown: String = method.chars().take(64).collect();
            Err(RpcError::rpc(rpc::METHOD_NOT_FOUND, format!("no method {shown:?}")))
        }
    }
}

fn empty_params() -> &'static RawValue {
    serde_json::from_str("{}").unwrap_or(RawValue::NULL)
}

/// `params.users[1]: invalid value …`, without the parser's line and column.
fn params_message(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let inner = strip_place(error.inner());
    match error.path().to_string().as_str() {
        "." => format!("params: {inner}"),
        path => format!("params.{path}: {inner}"),
    }
}

fn strip_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    let short: String = text[..end].chars().take(300).collect();
    short
}

#[derive(Serialize)]
struct ResultFrame<'a, T> {
    jsonrpc: &'static str,
    id: &'a RequestId,
    result: &'a T,
}

#[derive(Serialize)]
struct ErrorFrame<'a> {
    jsonrpc: &'static str,
    id: Option<&'a RequestId>,
    error: &'a RpcError,
}

#[derive(Serialize)]
struct NotificationFrame<'a> {
    jsonrpc: &'static str,
    #[serde(flatten)]
    notification: &'a Notification<'a>,
}

#[derive(Serialize)]
struct EventFrame<'a> {
    jsonrpc: &'static str,
    method: &'static str,
    params: &'a EventParams<'a>,
}

#[derive(Serialize)]
struct RequestFrame<'a> {
    jsonrpc: &'static str,
    id: &'a RequestId,
    method: &'a str,
    params: &'a RawValue,
}

/// What most frames fit into: an event with 200 bytes of text. Larger ones make it grow.
const USUAL_BYTES: usize = 896;

/// Our own structs always serialize; a frame that says so is better than a panic if not.
fn encode<T: Serialize>(frame: &T) -> Bytes {
    let fallback = || {
        br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"encoding failed"}}"#
            .to_vec()
    };
    let mut out = Vec::with_capacity(USUAL_BYTES);
    let written = serde_json::to_writer(&mut out, frame);
    Bytes::from(written.map_or_else(|_| fallback(), |()| out))
}

/// The answer to a request that succeeded.
#[must_use]
pub fn encode_result<T: Serialize>(id: &RequestId, result: &T) -> Bytes {
    encode(&ResultFrame { jsonrpc: "2.0", id, result })
}

/// The answer to a request that failed.
#[must_use]
pub fn encode_error(id: Option<&RequestId>, error: &RpcError) -> Bytes {
    encode(&ErrorFrame { jsonrpc: "2.0", id, error })
}

/// A notification.
#[must_use]
pub fn encode_notification(notification: &Notification<'_>) -> Bytes {
    match notification {
        Notification::Event(params) => {
            encode(&EventFrame { jsonrpc: "2.0", method: "event", params })
        }
        other => encode(&NotificationFrame { jsonrpc: "2.0", notification: other }),
    }
}

/// An event's notification: encoded once, sent to every session that speaks JSON.
#[must_use]
pub fn encode_event(conversation: ConversationId, event: &Event) -> Bytes {
    let params = EventParams::new(conversation, event);
    encode(&EventFrame { jsonrpc: "2.0", method: "event", params: &params })
}

/// A piece of JSON that is ready to be put into an answer.
pub type Item = Box<RawValue>;

/// An event as an item of `timeline.read`.
///
/// # Errors
/// When the stored content is no JSON, which only damage can cause.
pub fn event_item(conversation: ConversationId, event: &Event) -> Result<Item, serde_json::Error> {
    serde_json::value::to_raw_value(&EventParams::new(conversation, event))
}

/// A client's request.
///
/// # Errors
/// Never for params made from this crate's structs.
pub fn encode_request(id: &RequestId, call: &Call) -> Result<String, serde_json::Error> {
    let params = call.params()?;
    let (method, params) = (call.method(), &*params);
    serde_json::to_string(&RequestFrame { jsonrpc: "2.0", id, method, params })
}

/// What a server sends.
#[derive(Debug)]
pub enum ServerFrame<'a> {
    /// An answer to the request with this id.
    Reply {
        /// The request's id; none where the server could not read it.
        id: Option<RequestId>,
        /// What came of it.
        outcome: Result<&'a RawValue, RpcError>,
    },
    /// Something unasked.
    Notification(Box<Notification<'a>>),
    /// A notification of a kind that this version doesn't know.
    Unknown,
}

#[derive(Deserialize)]
struct AnyFrame<'a> {
    id: Option<RequestId>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<RpcError>,
}

/// Reads a server's frame.
///
/// # Errors
/// When it isn't one.
pub fn decode_server_frame(frame: &str) -> Result<ServerFrame<'_>, serde_json::Error> {
    let any: AnyFrame<'_> = serde_json::from_str(frame)?;
    if let Some(error) = any.error {
        return Ok(ServerFrame::Reply { id: any.id, outcome: Err(error) });
    }
    if let Some(result) = any.result {
        return Ok(ServerFrame::Reply { id: any.id, outcome: Ok(result) });
    }
    let (method, params) = (any.method.map_or("", RawValue::get), any.params.map(RawValue::get));
    Ok(match (method, params) {
        ("\"event\"", Some(params)) => {
            ServerFrame::Notification(Box::new(Notification::Event(serde_json::from_str(params)?)))
        }
        ("\"settled\"" | "\"rejected\"" | "\"read\"" | "\"typing\"" | "\"conversation\"", _)
        | ("\"session.goaway\"", _) => {
            ServerFrame::Notification(Box::new(serde_json::from_str(frame)?))
        }
        _ => ServerFrame::Unknown,
    })
}
