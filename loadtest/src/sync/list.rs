//! A user's whole list as a client reads it that has nothing yet. The list is whole when its last
//! page is there and every entry has a head: those whose owner the server could not reach come
//! later, as notifications.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::{
    ids::Id,
    wire::{connect, token::Account},
};

/// Longest wait for a list.
const PATIENCE: Duration = Duration::from_secs(120);

/// What reading a list came to.
#[derive(Debug, Clone, Copy)]
pub struct Synced {
    /// From the moment that was given to the whole list.
    pub time: Duration,
    /// Entries.
    pub conversations: usize,
    /// Bytes of text that the server sent for it.
    pub bytes: usize,
}

/// Connects and reads the whole list.
///
/// # Errors
/// When there is no session, or the list doesn't come.
pub async fn read(url: &str, account: &Account, since: Instant) -> anyhow::Result<Synced> {
    let reading = timeout(PATIENCE, read_on(url, account, since));
    reading.await.with_context(|| format!("no whole list in {PATIENCE:?}"))?
}

async fn read_on(url: &str, account: &Account, since: Instant) -> anyhow::Result<Synced> {
    let mut socket = match connect::open(url, &account.token).await {
        Ok(socket) => socket,
        Err(failure) => bail!("no session: {failure:?}"),
    };
    let mut list = List::default();
    let mut next = Some(json!({"jsonrpc": "2.0", "id": 1, "method": "session.start"}));
    loop {
        if let Some(request) = next.take() {
            socket.send(Message::text(request.to_string())).await?;
        }
        let message = socket.next().await.context("the connection ended")??;
        let Message::Text(text) = message else { continue };
        next = list.take(&text)?;
        if list.is_whole() {
            let time = since.elapsed();
            return Ok(Synced { time, conversations: list.entries.len(), bytes: list.bytes });
        }
    }
}

/// The list so far.
#[derive(Debug, Default)]
struct List {
    /// Whether each entry's head is known.
    entries: HashMap<Id, bool>,
    /// The last page is there.
    ended: bool,
    bytes: usize,
}

#[derive(Deserialize)]
struct Frame {
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    params: Option<Entry>,
    #[serde(default)]
    result: Option<Page>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Page {
    conversations: Vec<Entry>,
    next: Option<Id>,
}

/// An entry, or the params of a notification that has one.
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    id: Option<Id>,
    #[serde(default)]
    head: Option<u64>,
    #[serde(default)]
    change: Option<String>,
}

impl List {
    /// Takes a frame; gives the request for the next page, if there is one.
    fn take(&mut self, text: &str) -> anyhow::Result<Option<Value>> {
        let frame: Frame = serde_json::from_str(text)?;
        self.bytes += text.len();
        if let Some(error) = frame.error {
            bail!("the list can't be read: {error}");
        }
        if let (Some("conversation"), Some(entry)) = (frame.method.as_deref(), frame.params) {
            self.entry(&entry);
        }
        let Some(page) = frame.result else { return Ok(None) };
        page.conversations.iter().for_each(|entry| self.entry(entry));
        self.ended = page.next.is_none();
        Ok(page.next.map(|after| {
            json!({"jsonrpc": "2.0", "id": 2, "method": "conversation.list",
                   "params": {"after": after}})
        }))
    }

    fn entry(&mut self, entry: &Entry) {
        let Some(id) = entry.id else { return };
        if entry.change.as_deref() == Some("removed") {
            self.entries.remove(&id);
        } else {
            *self.entries.entry(id).or_default() |= entry.head.is_some();
        }
    }

    fn is_whole(&self) -> bool {
        self.ended && self.entries.values().all(|&known| known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "037f55cd-c70b-89b5-886e-1f676e52e6f8";
    const B: &str = "f89304b3-0e65-8c5a-bc41-a0d692731fb8";

    fn page(entries: &Value, next: Option<&str>) -> String {
        let result = json!({"conversations": entries, "next": next, "limits": {}});
        json!({"jsonrpc": "2.0", "id": 1, "result": result}).to_string()
    }

    #[test]
    fn a_list_is_whole_after_its_last_page() {
        let mut list = List::default();
        let more = list.take(&page(&json!([{"id": A, "head": 1}]), Some(A))).expect("a page");
        assert_eq!(more.expect("a request")["params"], json!({"after": A}));
        assert!(!list.is_whole());
        let more = list.take(&page(&json!([{"id": B, "head": 9}]), None)).expect("a page");
        assert!(more.is_none() && list.is_whole());
        assert_eq!(list.entries.len(), 2);
    }

    #[test]
    fn what_the_owner_did_not_say_is_waited_for() {
        let mut list = List::default();
        list.take(&page(&json!([{"id": A, "head": null}, {"id": B, "head": 2}]), None))
            .expect("a page");
        assert!(!list.is_whole());
        let typing = json!({"method": "typing", "params": {"conversation": A, "active": true}});
        list.take(&typing.to_string()).expect("ignored");
        assert!(!list.is_whole());
        let params = json!({"conversation": A, "id": A, "change": "changed", "head": 4});
        let changed = json!({"jsonrpc": "2.0", "method": "conversation", "params": params});
        list.take(&changed.to_string()).expect("an entry");
        assert!(list.is_whole());
    }

    #[test]
    fn an_error_is_one() {
        let error = json!({"id": 1, "error": {"code": -32000, "message": "no"}});
        assert!(List::default().take(&error.to_string()).is_err());
    }
}
