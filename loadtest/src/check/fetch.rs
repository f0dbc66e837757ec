//! Reads all history afresh, as members: the operator of each conversation and, if there was one,
//! another member who saw it from the start. One request at a time on a plain socket.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::{
    history::{Event, Histories},
    logs::Logs,
};
use crate::{
    ids::Id,
    journal::What,
    times,
    wire::{caller::Caller, token},
};

/// Times that a conversation is begun anew after an error: half a minute or so.
const ATTEMPTS: u32 = 20;

/// Reads every conversation of the logs.
///
/// # Errors
/// When a member can't read.
pub async fn all(url: &str, logs: &Logs) -> anyhow::Result<Histories> {
    let mut histories = Histories::new();
    for (second, readings) in [readings(logs, false), readings(logs, true)].into_iter().enumerate()
    {
        for (c, conversations) in readings {
            let name = &logs.clients.get(&c).with_context(|| format!("client {c} unknown"))?.name;
            let mut reader = Reader { url, name, caller: None };
            for n in conversations {
                let (events, head) =
                    reader.read(n).await.with_context(|| format!("{name}, {n}"))?;
                let history = histories.entry(n).or_default();
                if second == 1 {
                    history.again = Some(events);
                } else {
                    (history.events, history.head) = (events, head);
                }
            }
        }
    }
    Ok(histories)
}

/// Who reads what: the operator, or (`second`) another member of the whole time.
fn readings(logs: &Logs, second: bool) -> BTreeMap<u32, Vec<Id>> {
    let mut by_conversation: BTreeMap<Id, Vec<u32>> = BTreeMap::new();
    for intent in logs.intents.values() {
        if let (What::Add, Some(n)) = (intent.what, intent.n) {
            by_conversation.entry(n).or_default().insert(0, intent.c);
        }
    }
    for &(c, n, _) in &logs.finished {
        by_conversation.entry(n).or_default().push(c);
    }
    let mut readings: BTreeMap<u32, Vec<Id>> = BTreeMap::new();
    for (n, clients) in by_conversation {
        let first = clients[0];
        let other = clients.iter().copied().find(|&c| c != first);
        if let Some(c) = if second { other } else { Some(first) } {
            readings.entry(c).or_default().push(n);
        }
    }
    readings
}

/// A member who reads; the server may come and go meanwhile.
struct Reader<'a> {
    url: &'a str,
    name: &'a str,
    caller: Option<Caller>,
}

impl Reader<'_> {
    async fn read(&mut self, n: Id) -> anyhow::Result<(Vec<Event>, u64)> {
        let mut attempt = 0;
        loop {
            match self.try_read(n).await {
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => {
                    self.caller = None;
                    tokio::time::sleep(times::backoff(attempt)).await;
                    attempt += 1;
                }
                all => return all,
            }
        }
    }

    async fn try_read(&mut self, n: Id) -> anyhow::Result<(Vec<Event>, u64)> {
        let caller = match &mut self.caller {
            Some(caller) => caller,
            None => {
                let account = token::fetch(self.url, self.name, "check").await?;
                self.caller.insert(Caller::start(self.url, &account).await?)
            }
        };
        read(caller, n).await
    }
}

async fn read(member: &mut Caller, n: Id) -> anyhow::Result<(Vec<Event>, u64)> {
    let mut events: Vec<Event> = Vec::new();
    let mut after = 0;
    loop {
        let params = json!({"conversation": n, "after": after, "limit": 500});
        let mut page = member.ask("timeline.read", params).await?;
        let head = page["head"].as_u64().context("a page without a head")?;
        let Value::Array(items) = page["events"].take() else { bail!("a page without events") };
        let before = after;
        for item in items {
            let event = Event::new(item)?;
            after = event.seq.max(after);
            events.push(event);
        }
        if page["complete"] == true {
            return Ok((events, head));
        }
        if after == before {
            bail!("a page of nothing after {after} that is not the last");
        }
    }
}
