//! What `session.start` answered, read after the clock has stopped: the cursors that a client would
//! keep, and whether a session really came back as promised.

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ids::Id;

/// The part of the answer that matters here.
#[derive(Debug, Default, Deserialize)]
pub struct Started {
    conversations: Vec<Entry>,
    #[serde(default)]
    next: Option<Id>,
    #[serde(default)]
    reset: Vec<Id>,
    #[serde(default)]
    unknown: Vec<Id>,
    /// For the next time.
    #[serde(default)]
    pub ticket: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    id: Id,
    head: Option<u64>,
    #[serde(default)]
    behind: Option<bool>,
}

impl Started {
    /// Reads the answer.
    ///
    /// # Errors
    /// When it is no answer to `session.start`.
    pub fn read(stream: &[u8]) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Answer {
            result: Started,
        }
        let begin = stream.iter().position(|&byte| byte == b'{').context("no JSON")?;
        let mut values = serde_json::Deserializer::from_slice(&stream[begin..]).into_iter();
        let answer: Answer = values.next().context("no answer")??;
        Ok(answer.result)
    }

    /// Each conversation's newest sequence.
    ///
    /// # Errors
    /// When there are not as many as expected, or the server could not tell one.
    pub fn heads(&self, expected: usize) -> anyhow::Result<Vec<(Id, u64)>> {
        let listed = self.conversations.len();
        if listed != expected || self.next.is_some() {
            let more = if self.next.is_some() { " and more" } else { "" };
            bail!("a session lists {listed} conversations{more}, {expected} were made");
        }
        let entries = self.conversations.iter();
        let heads = entries.map(|entry| Some((entry.id, entry.head?))).collect::<Option<Vec<_>>>();
        heads.context("a conversation's owner was not there: wait until the server is ready")
    }

    /// Stops unless everything was known and nothing missing.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check_resumed(&self, expected: usize) -> anyhow::Result<()> {
        self.heads(expected)?;
        let behind = self.conversations.iter().filter(|entry| entry.behind == Some(true)).count();
        let (reset, unknown) = (self.reset.len(), self.unknown.len());
        if behind + reset + unknown > 0 {
            bail!("a session came back with {behind} behind, {reset} reset, {unknown} unknown");
        }
        Ok(())
    }
}

/// The params of a `session.start` that resumes.
pub fn cursors(heads: &[(Id, u64)]) -> String {
    let cursors: serde_json::Map<_, _> =
        heads.iter().map(|(id, head)| (id.to_string(), Value::from(*head))).collect();
    json!({ "cursors": cursors }).to_string()
}

/// The same with a ticket.
pub fn resume(heads: &[(Id, u64)], ticket: &str) -> String {
    let cursors: serde_json::Map<_, _> =
        heads.iter().map(|(id, head)| (id.to_string(), Value::from(*head))).collect();
    json!({ "ticket": ticket, "cursors": cursors }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::frames;

    const A: &str = "037f55cd-c70b-89b5-886e-1f676e52e6f8";
    const B: &str = "f89304b3-0e65-8c5a-bc41-a0d692731fb8";

    fn stream(result: &Value) -> Vec<u8> {
        let text = json!({"jsonrpc": "2.0", "id": 1, "result": result}).to_string();
        let mut stream = frames::header(frames::TEXT, text.len());
        stream.extend(text.as_bytes());
        // The next frame has begun already.
        stream.extend(frames::header(frames::TEXT, 200));
        stream.extend(br#"{"jsonrpc":"#);
        stream
    }

    #[test]
    fn cursors_are_the_heads() {
        let entries = json!([{"id": A, "head": 3}, {"id": B, "head": 4057, "behind": null}]);
        let stream = stream(&json!({"conversations": entries, "next": null}));
        let started = Started::read(&stream).expect("an answer");
        started.check_resumed(2).expect("all there");
        let heads = started.heads(2).expect("heads");
        let params: Value = serde_json::from_str(&cursors(&heads)).expect("JSON");
        assert_eq!(params, json!({"cursors": {A: 3, B: 4057}}));
    }

    #[test]
    fn what_is_missing_is_noticed() {
        let read = |result: Value| Started::read(&stream(&result)).expect("an answer");
        let full = json!([{"id": A, "head": 3}]);
        assert!(read(json!({"conversations": full})).heads(2).is_err());
        assert!(read(json!({"conversations": full, "next": A})).heads(1).is_err());
        assert!(read(json!({"conversations": [{"id": A, "head": null}]})).heads(1).is_err());
        let lost = json!([{"id": A, "head": 3, "behind": true}]);
        assert!(read(json!({"conversations": lost})).check_resumed(1).is_err());
        let forgot = json!({"conversations": full, "unknown": [B]});
        assert!(read(forgot).check_resumed(1).is_err());
        assert!(Started::read(b"\x81\x02hm").is_err());
    }
}
