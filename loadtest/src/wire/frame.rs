//! Reads what the server says: one JSON-RPC object a text frame. Only what a client needs is
//! looked at; events keep their text, which goes to the journal as it came.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    ids::Id,
    journal::{Entry, Received},
};

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The word, or the JSON-RPC code as text where there is none.
    pub code: String,
    /// May the same request succeed later?
    pub retryable: bool,
    /// Not before this many milliseconds.
    pub retry_after_ms: u64,
    /// What the server says about it.
    pub message: String,
}

/// A frame from the server.
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are the protocol's")]
pub enum Incoming {
    /// The answer to a request; a result keeps its text.
    Reply {
        id: u64,
        result: Result<Box<str>, Failure>,
    },
    Event {
        conversation: Id,
        device: Id,
        client_id: Id,
        received: Received,
    },
    Settled {
        client_id: Id,
        seq: u64,
    },
    Rejected {
        client_id: Id,
        code: String,
    },
    Read {
        conversation: Id,
        user: Id,
        seq: u64,
    },
    Conversation {
        change: String,
        entry: Entry,
    },
    GoAway {
        reconnect_after_ms: u64,
    },
    /// Something newer than this client.
    Other,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    method: Option<&'a str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<WireError>,
}

#[derive(Deserialize)]
struct WireError {
    code: i64,
    #[serde(default)]
    message: String,
    data: Option<ErrorData>,
}

#[derive(Deserialize)]
struct ErrorData {
    code: String,
    #[serde(default)]
    retryable: bool,
    #[serde(default)]
    retry_after_ms: u64,
}

#[derive(Deserialize)]
struct EventHead {
    conversation: Id,
    seq: u64,
    device: Id,
    client_id: Id,
}

#[derive(Deserialize)]
struct Outcome {
    client_id: Id,
    seq: Option<u64>,
    code: Option<String>,
}

#[derive(Deserialize)]
struct ReadParams {
    conversation: Id,
    user: Id,
    seq: u64,
}

#[derive(Deserialize)]
struct GoAway {
    #[serde(default)]
    reconnect_after_ms: u64,
}

/// An entry of the user's list.
#[derive(Debug, Deserialize)]
pub struct WireEntry {
    id: Id,
    from: Option<u64>,
    head: Option<u64>,
    read: Option<u64>,
    #[serde(default)]
    behind: bool,
}

impl From<WireEntry> for Entry {
    fn from(e: WireEntry) -> Self {
        Self { n: e.id, from: e.from, head: e.head, read: e.read, behind: e.behind }
    }
}

#[derive(Deserialize)]
struct Change {
    change: String,
    conversation: Id,
    from: Option<u64>,
    head: Option<u64>,
    read: Option<u64>,
    #[serde(default)]
    behind: bool,
}

/// `session.start`'s result, and `conversation.list`'s, which has a part of it.
#[derive(Debug, Deserialize)]
pub struct Started {
    /// A page of the user's list.
    pub conversations: Vec<WireEntry>,
    /// Where the next page begins.
    pub next: Option<Id>,
    /// Cursors above the head.
    #[serde(default)]
    pub reset: Vec<Id>,
    /// Cursors of conversations that aren't the user's.
    #[serde(default)]
    pub unknown: Vec<Id>,
    /// What the server takes.
    #[serde(default)]
    pub limits: Limits,
}

/// The limits that matter here.
#[derive(Debug, Default, Deserialize)]
pub struct Limits {
    /// Requests without an answer at one time.
    pub requests_in_flight_max: Option<usize>,
}

/// Reads the head of an event's params.
///
/// # Errors
/// When it isn't an event.
pub fn received(raw: &RawValue) -> Result<(Id, Id, Received), serde_json::Error> {
    let head: EventHead = serde_json::from_str(raw.get())?;
    Ok((head.device, head.client_id, Received { seq: head.seq, raw: raw.get().into() }))
}

/// Reads a frame.
///
/// # Errors
/// When it isn't what the protocol says.
pub fn decode(text: &str) -> Result<Incoming, serde_json::Error> {
    let envelope: Envelope<'_> = serde_json::from_str(text)?;
    if let Some(id) = envelope.id {
        let result = match (envelope.result, envelope.error) {
            (Some(result), _) => Ok(result.get().into()),
            (None, Some(error)) => Err(failure(error)),
            (None, None) => Ok("null".into()),
        };
        return Ok(Incoming::Reply { id, result });
    }
    let params = envelope.params.map_or("{}", RawValue::get);
    Ok(match envelope.method.unwrap_or_default() {
        "event" => {
            let head: EventHead = serde_json::from_str(params)?;
            Incoming::Event {
                conversation: head.conversation,
                device: head.device,
                client_id: head.client_id,
                received: Received { seq: head.seq, raw: params.into() },
            }
        }
        "settled" => {
            let o: Outcome = serde_json::from_str(params)?;
            Incoming::Settled { client_id: o.client_id, seq: o.seq.unwrap_or_default() }
        }
        "rejected" => {
            let o: Outcome = serde_json::from_str(params)?;
            Incoming::Rejected { client_id: o.client_id, code: o.code.unwrap_or_default() }
        }
        "read" => {
            let r: ReadParams = serde_json::from_str(params)?;
            Incoming::Read { conversation: r.conversation, user: r.user, seq: r.seq }
        }
        "conversation" => {
            let c: Change = serde_json::from_str(params)?;
            let (n, behind) = (c.conversation, c.behind);
            let entry = Entry { n, from: c.from, head: c.head, read: c.read, behind };
            Incoming::Conversation { change: c.change, entry }
        }
        "session.goaway" => {
            let g: GoAway = serde_json::from_str(params)?;
            Incoming::GoAway { reconnect_after_ms: g.reconnect_after_ms }
        }
        _ => Incoming::Other,
    })
}

fn failure(error: WireError) -> Failure {
    let (code, retryable, retry_after_ms) = match error.data {
        Some(data) => (data.code, data.retryable, data.retry_after_ms),
        None => (error.code.to_string(), false, 0),
    };
    Failure { code, retryable, retry_after_ms, message: error.message }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "01a00000-0000-7000-8000-000000000001";

    #[test]
    fn answers() {
        let Ok(Incoming::Reply { id: 3, result: Ok(result) }) =
            decode(r#"{"jsonrpc":"2.0","id":3,"result":{"accepted":true}}"#)
        else {
            panic!("no result");
        };
        assert_eq!(&*result, r#"{"accepted":true}"#);
        let error = r#"{"jsonrpc":"2.0","id":5,"error":{"code":-32000,"message":"slow down",
            "data":{"code":"rate_limited","retryable":true,"retry_after_ms":9}}}"#;
        let Ok(Incoming::Reply { id: 5, result: Err(failure) }) = decode(error) else {
            panic!("no error");
        };
        assert_eq!(
            (&*failure.code, failure.retryable, failure.retry_after_ms),
            ("rate_limited", true, 9)
        );
    }

    #[test]
    fn notifications() {
        let event = format!(
            r#"{{"method":"event","params":{{"conversation":"{A}","seq":2,"device":"{A}","client_id":"{A}","x":"😀"}}}}"#
        );
        let Ok(Incoming::Event { received, .. }) = decode(&event) else { panic!("no event") };
        assert!(received.seq == 2 && received.raw.ends_with(r#""x":"😀"}"#));
        let change = format!(
            r#"{{"method":"conversation","params":{{"conversation":"{A}","change":"added","id":"{A}","head":4,"from":3,"kind":null}}}}"#
        );
        let Ok(Incoming::Conversation { change, entry }) = decode(&change) else {
            panic!("no change")
        };
        assert_eq!(
            (&*change, entry.head, entry.from, entry.read),
            ("added", Some(4), Some(3), None)
        );
        assert!(matches!(decode(r#"{"method":"news","params":{}}"#), Ok(Incoming::Other)));
        assert!(decode("{").is_err());
    }
}
