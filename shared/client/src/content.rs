//! A message's content as the SDK carries it: JSON text, shared, never taken apart on the way.

use std::sync::Arc;

use harkara_protocol::content::{self, ContentError};
use serde_json::value::RawValue;

/// A content: a JSON object with a string `type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content(Arc<str>);

impl Content {
    /// `{"type": "text", "text": …}`.
    ///
    /// # Errors
    /// When the text is empty or longer than the protocol takes.
    pub fn text(text: &str) -> Result<Self, ContentError> {
        Self::json(&serde_json::json!({"type": "text", "text": text}).to_string())
    }

    /// Any content, as JSON text; brought into canonical form.
    ///
    /// # Errors
    /// What the server would say against it.
    pub fn json(text: &str) -> Result<Self, ContentError> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|_| ContentError::NoType)?;
        Ok(Self(content::canonical(raw)?.as_str().into()))
    }

    /// What a server sent, taken as it is.
    pub(crate) fn received(raw: &RawValue) -> Self {
        Self(raw.get().into())
    }

    /// What a journal kept: canonical when it was written.
    pub(crate) fn kept(text: &str) -> Option<Self> {
        serde_json::from_str::<&RawValue>(text).is_ok().then(|| Self(text.into()))
    }

    /// The JSON text.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// The content's type: `text`, or a media type.
    #[must_use]
    pub fn kind(&self) -> Option<String> {
        let value: serde_json::Value = serde_json::from_str(&self.0).ok()?;
        value.get("type")?.as_str().map(str::to_owned)
    }

    /// The text of a text message.
    #[must_use]
    pub fn as_text(&self) -> Option<String> {
        let mut value: serde_json::Value = serde_json::from_str(&self.0).ok()?;
        if value.get("type")?.as_str()? != "text" {
            return None;
        }
        match value.get_mut("text")?.take() {
            serde_json::Value::String(text) => Some(text),
            _ => None,
        }
    }
}
