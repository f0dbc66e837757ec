//! The envelope: request ids, errors and their closed list of words (JSON-RPC 2.0).

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::value::RawValue;

/// Longest request id in bytes of JSON text: a UUID with quotes takes 38.
pub const REQUEST_ID_BYTES_MAX: usize = 128;

/// A request's id: a string or an integer, given back exactly as it came.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct RequestId(Box<RawValue>);

impl RequestId {
    /// An integer id, as the SDK uses.
    #[must_use]
    pub fn number(n: u64) -> Self {
        // The digits of an integer are valid JSON.
        Self(serde_json::value::to_raw_value(&n).unwrap_or_default())
    }

    /// The JSON text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// The integer, where it is one.
    #[must_use]
    pub fn as_number(&self) -> Option<u64> {
        self.text().parse().ok()
    }
}

impl PartialEq for RequestId {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = raw.get();
        let is_string = text.starts_with('"') && serde_json::from_str::<String>(text).is_ok();
        let is_integer = text.trim_start_matches('-').bytes().all(|b| b.is_ascii_digit());
        if text.len() > REQUEST_ID_BYTES_MAX || !(is_string || is_integer) {
            return Err(de::Error::custom(format_args!(
                "id must be a string or an integer of at most {REQUEST_ID_BYTES_MAX} bytes"
            )));
        }
        Ok(Self(raw))
    }
}

/// The closed list of words in `error.data.code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorWord {
    /// No valid `session.start` yet, or the token is no longer valid.
    Unauthenticated,
    /// The role doesn't allow it.
    Forbidden,
    /// The sender isn't a member (any more).
    NotAMember,
    /// There is no such thing, or it isn't yours.
    NotFound,
    /// The client id was used before with another body.
    Conflict,
    /// Over a documented limit.
    TooLarge,
    /// Too many, too fast.
    RateLimited,
    /// Not now: an engine or an owner can't be reached.
    Unavailable,
    /// This server doesn't do that.
    Unsupported,
    /// The content can't be one.
    InvalidContent,
    /// An encrypted conversation has moved on.
    StaleEpoch,
}

impl ErrorWord {
    /// Every word, for documents and tests.
    pub const ALL: [Self; 11] = [
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotAMember,
        Self::NotFound,
        Self::Conflict,
        Self::TooLarge,
        Self::RateLimited,
        Self::Unavailable,
        Self::Unsupported,
        Self::InvalidContent,
        Self::StaleEpoch,
    ];

    /// The word itself.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotAMember => "not_a_member",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Unsupported => "unsupported",
            Self::InvalidContent => "invalid_content",
            Self::StaleEpoch => "stale_epoch",
        }
    }

    /// May the same request succeed later?
    #[must_use]
    pub const fn retryable(self) -> bool {
        matches!(self, Self::RateLimited | Self::Unavailable)
    }
}

/// `error` of a reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// JSON-RPC's code; -32000 for everything that has a word.
    pub code: i32,
    /// What was wrong and what would be right.
    pub message: String,
    /// Present with code -32000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<ErrorData>,
}

/// `error.data` of a reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorData {
    /// One of the closed list.
    pub code: ErrorWord,
    /// May the same request succeed later?
    pub retryable: bool,
    /// Not before this many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// The frame is not JSON.
pub const PARSE_ERROR: i32 = -32700;
/// The frame is JSON and no request.
pub const INVALID_REQUEST: i32 = -32600;
/// There is no such method.
pub const METHOD_NOT_FOUND: i32 = -32601;
/// The params are not the method's.
pub const INVALID_PARAMS: i32 = -32602;
/// A fault of the server.
pub const INTERNAL_ERROR: i32 = -32603;
/// Everything that has a word.
pub const APPLICATION_ERROR: i32 = -32000;

impl RpcError {
    /// An error with one of JSON-RPC's own codes.
    pub fn rpc(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// Bad params, in words.
    pub fn params(message: impl Into<String>) -> Self {
        Self::rpc(INVALID_PARAMS, message)
    }

    /// An error with a word.
    pub fn word(code: ErrorWord, message: impl Into<String>) -> Self {
        let data = ErrorData { code, retryable: code.retryable(), retry_after_ms: None };
        Self { code: APPLICATION_ERROR, message: message.into(), data: Some(data) }
    }

    /// The same with the time after which a retry makes sense.
    #[must_use]
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        if let Some(data) = &mut self.data {
            data.retry_after_ms = Some(ms);
        }
        self
    }

    /// The word, where there is one.
    #[must_use]
    pub fn error_word(&self) -> Option<ErrorWord> {
        self.data.as_ref().map(|data| data.code)
    }
}
